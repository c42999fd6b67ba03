//! The three kinds of resources that can be watched, under one face.

use tonic::{Status, Streaming};

use crate::proto::pb::{self, ChangeKind, snapshot_begin::Cause};

use super::{
    super::{cart, connection::Client},
    line,
    seen::Head,
};

/// What the server says beside the changes, as far as the command acts on it.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// A whole state follows.
    SnapshotBegin(Cause),
    /// The state is whole.
    SnapshotEnd,
    /// The stream lives, or will end soon; neither needs an act.
    Other,
}

/// A kind of resource.
pub trait Watched: Default {
    /// What the stream sends.
    type Response: prost::Message + Default + 'static;
    /// One change in it.
    type Change: prost::Message + prost::Name;

    /// Begins a stream.
    async fn open(
        &self,
        client: &Client,
        filter: String,
        options: pb::WatchOptions,
    ) -> Result<Streaming<Self::Response>, Status>;

    /// Changes, resume token and signal of a message.
    fn split(response: Self::Response) -> (Vec<Self::Change>, String, Option<Signal>);

    /// What every change says.
    fn head(change: &Self::Change) -> Head<'_>;

    /// What people call the resource, if the change holds it.
    fn label(change: &Self::Change) -> Option<String>;

    /// The change for people: one line or more, each with its end.
    fn lines(change: &Self::Change, label: &str, in_snapshot: bool) -> String;
}

/// Implements what differs only in the names of generated types.
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
