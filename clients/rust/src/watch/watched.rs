//! What watches have in common, whichever resource they are of.

use tonic::{Status, Streaming};

use crate::{
    Event, Transport,
    v1::{
        self, ChangeKind, WatchOptions, cart_service_client::CartServiceClient,
        customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
    },
};

/// What can be watched: the changes of carts, customers and groups.
#[doc(hidden)]
pub trait Watched: Sized + Send + 'static {
    type Request: Clone + Send + Sync;
    type Response: Send;

    fn options(request: &mut Self::Request) -> &mut Option<WatchOptions>;
    fn open(
        transport: Transport,
        request: Self::Request,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>> + Send;
    fn split(response: Self::Response) -> (Option<Event<Self>>, Vec<Self>, String);
    fn head(&self) -> (ChangeKind, &str, i64);
}

macro_rules! watched {
    ($change:ident, $request:ident, $response:ident, $signals:ident, $client:ident, $call:ident) => {
        impl Watched for v1::$change {
            type Request = v1::$request;
            type Response = v1::$response;

            fn options(request: &mut Self::Request) -> &mut Option<WatchOptions> {
                &mut request.options
            }

            async fn open(
                transport: Transport,
                request: Self::Request,
            ) -> Result<Streaming<Self::Response>, Status> {
                Ok($client::new(transport).$call(request).await?.into_inner())
            }

            fn split(response: Self::Response) -> (Option<Event<Self>>, Vec<Self>, String) {
                use v1::$signals::Signal;
                let signal = match response.signal {
                    Some(Signal::SnapshotBegin(begin)) => Some(Event::Reset(begin.cause())),
                    Some(Signal::SnapshotEnd(end)) => Some(Event::Ready { count: end.count }),
                    _ => None,
                };
                (signal, response.changes, response.resume_token)
            }

            fn head(&self) -> (ChangeKind, &str, i64) {
                (self.kind(), &self.name, self.version)
            }
        }
    };
}

watched!(
    CartChange,
    WatchCartsRequest,
    WatchCartsResponse,
    watch_carts_response,
    CartServiceClient,
    watch_carts
);
watched!(
    CustomerChange,
    WatchCustomersRequest,
    WatchCustomersResponse,
    watch_customers_response,
    CustomerServiceClient,
    watch_customers
);
watched!(
    GroupChange,
    WatchGroupsRequest,
    WatchGroupsResponse,
    watch_groups_response,
    GroupServiceClient,
    watch_groups
);
