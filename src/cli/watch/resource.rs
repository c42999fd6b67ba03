//! The three kinds of resources that can be watched, behind one trait.

use tonic::{Status, Streaming};

use crate::proto::pb::{self, ChangeKind, snapshot_begin::Cause};

use super::{
    super::{cart, connection::Client},
    line,
    seen::Head,
};

/// A signal of the server on which the command may act.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// A snapshot follows.
    SnapshotBegin(Cause),
    /// The snapshot is complete.
    SnapshotEnd,
    /// A heartbeat or a notice of the end, which need no action.
    Other,
}

/// A kind of resource.
pub trait Watched: Default {
    /// The message of the stream.
    type Response: prost::Message + Default + 'static;
    /// The type of one change in it.
    type Change: prost::Message + prost::Name;

    /// Begins a stream.
    async fn open(
        &self,
        client: &Client,
        filter: String,
        options: pb::WatchOptions,
    ) -> Result<Streaming<Self::Response>, Status>;

    /// Splits a message into changes, resume token and signal.
    fn split(response: Self::Response) -> (Vec<Self::Change>, String, Option<Signal>);

    /// The common fields of every change.
    fn head(change: &Self::Change) -> Head<'_>;

    /// The name of the resource for people, if the change has the resource.
    fn label(change: &Self::Change) -> Option<String>;

    /// The change as one or more lines for people.
    fn lines(change: &Self::Change, label: &str, in_snapshot: bool) -> String;
}

/// Implements the parts that differ only in the names of generated types.
macro_rules! watched {
    ($client:ident, $watch:ident, $request:ident, $response:ident, $change:ident, $signal:ident) => {
        type Response = pb::$response;
        type Change = pb::$change;

        async fn open(
            &self,
            client: &Client,
            filter: String,
            options: pb::WatchOptions,
        ) -> Result<Streaming<Self::Response>, Status> {
            let options = Some(options);
            let request = pb::$request {
                filter,
                options,
                ..pb::$request::default()
            };
            Ok(client.$client().$watch(request).await?.into_inner())
        }

        fn split(response: Self::Response) -> (Vec<Self::Change>, String, Option<Signal>) {
            use pb::$signal::Signal as Sent;
            let signal = response.signal.map(|signal| match signal {
                Sent::SnapshotBegin(begin) => Signal::SnapshotBegin(begin.cause()),
                Sent::SnapshotEnd(_) => Signal::SnapshotEnd,
                Sent::Heartbeat(_) | Sent::Draining(_) => Signal::Other,
            });
            (response.changes, response.resume_token, signal)
        }

        fn head(change: &Self::Change) -> Head<'_> {
            let kind = ChangeKind::try_from(change.kind).unwrap_or_default();
            Head {
                kind,
                name: &change.name,
                version: change.version,
            }
        }
    };
}

/// Carts.
#[derive(Debug, Default)]
pub struct Carts;

impl Watched for Carts {
    watched!(
        carts,
        watch_carts,
        WatchCartsRequest,
        WatchCartsResponse,
        CartChange,
        watch_carts_response
    );

    fn label(change: &Self::Change) -> Option<String> {
        change.cart.as_ref().map(cart::who)
    }

    fn lines(change: &Self::Change, label: &str, in_snapshot: bool) -> String {
        line::cart(change, label, in_snapshot)
    }
}

/// Customers.
#[derive(Debug, Default)]
pub struct Customers;

impl Watched for Customers {
    watched!(
        customers,
        watch_customers,
        WatchCustomersRequest,
        WatchCustomersResponse,
        CustomerChange,
        watch_customers_response
    );

    fn label(change: &Self::Change) -> Option<String> {
        change.customer.as_ref().map(line::customer_label)
    }

    fn lines(change: &Self::Change, label: &str, in_snapshot: bool) -> String {
        line::customer(change, label, in_snapshot)
    }
}

/// Groups.
#[derive(Debug, Default)]
pub struct Groups;

impl Watched for Groups {
    watched!(
        groups,
        watch_groups,
        WatchGroupsRequest,
        WatchGroupsResponse,
        GroupChange,
        watch_groups_response
    );

    fn label(change: &Self::Change) -> Option<String> {
        change.group.as_ref().map(line::group_label)
    }

    fn lines(change: &Self::Change, label: &str, in_snapshot: bool) -> String {
        line::group(change, label, in_snapshot)
    }
}
