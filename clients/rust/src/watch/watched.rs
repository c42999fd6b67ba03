//! The common face of watches of carts, customers and groups.

use tonic::{Status, Streaming};

use crate::{
    Event, Transport,
    v1::{
        self, ChangeKind, WatchOptions, cart_service_client::CartServiceClient,
        customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
    },
};

/// A change that a watch yields: of a cart, a customer or a group.
#[doc(hidden)]
pub trait Watched: Sized + Send + 'static {
    fn head(&self) -> (ChangeKind, &str, i64);
}

/// The request of a watch.
#[doc(hidden)]
pub trait WatchRequest: Clone + Send + Sync + 'static {
    type Change: Watched;
    type Response: Send;

    fn options(&mut self) -> &mut Option<WatchOptions>;
    fn open(
        self,
        transport: Transport,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>> + Send;
    fn split(response: Self::Response) -> (Option<Event<Self::Change>>, Vec<Self::Change>, String);
}

macro_rules! watched {
    ($change:ident) => {
        impl Watched for v1::$change {
            fn head(&self) -> (ChangeKind, &str, i64) {
                (self.kind(), &self.name, self.version)
            }
        }
    };
}

macro_rules! requested {
    ($request:ident, $change:ident, $response:ident, $signals:ident, $client:ident, $call:ident) => {
        impl WatchRequest for v1::$request {
            type Change = v1::$change;
            type Response = v1::$response;

            fn options(&mut self) -> &mut Option<WatchOptions> {
                &mut self.options
            }

            async fn open(self, transport: Transport) -> Result<Streaming<Self::Response>, Status> {
                Ok($client::new(transport).$call(self).await?.into_inner())
            }

            fn split(
                response: Self::Response,
            ) -> (Option<Event<Self::Change>>, Vec<Self::Change>, String) {
                use v1::$signals::Signal;
                let signal = match response.signal {
                    Some(Signal::SnapshotBegin(begin)) => Some(Event::Reset(begin.cause())),
                    Some(Signal::SnapshotEnd(end)) => Some(Event::Ready { count: end.count }),
                    _ => None,
                };
                (signal, response.changes, response.resume_token)
            }
        }
    };
}

watched!(CartChange);
watched!(CustomerChange);
watched!(GroupChange);

requested!(
    WatchCartsRequest,
    CartChange,
    WatchCartsResponse,
    watch_carts_response,
    CartServiceClient,
    watch_carts
);
requested!(
    WatchCartRequest,
    CartChange,
    WatchCartsResponse,
    watch_carts_response,
    CartServiceClient,
    watch_cart
);
requested!(
    WatchCustomersRequest,
    CustomerChange,
    WatchCustomersResponse,
    watch_customers_response,
    CustomerServiceClient,
    watch_customers
);
requested!(
    WatchGroupsRequest,
    GroupChange,
    WatchGroupsResponse,
    watch_groups_response,
    GroupServiceClient,
    watch_groups
);
