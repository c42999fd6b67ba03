//! Pages: every resource of a List call, whatever the size of its pages.

use std::collections::VecDeque;

use futures::Stream;
use tonic::Status;

use crate::{
    Client, Error, Transport,
    v1::{
        self, admin_service_client::AdminServiceClient, cart_service_client::CartServiceClient,
        customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
        operation_service_client::OperationServiceClient,
        saved_filter_service_client::SavedFilterServiceClient,
    },
};

/// The request of a List call.
#[doc(hidden)]
pub trait Listed: Clone + Send + 'static {
    type Item: Send;

    fn turn_to(&mut self, page_token: String);
    fn page(
        self,
        transport: Transport,
    ) -> impl Future<Output = Result<(Vec<Self::Item>, String), Status>> + Send;
}

/// Where the iteration of a list is.
struct Place<Q: Listed> {
    client: Client,
    items: VecDeque<Q::Item>,
    /// The request of the next page; none after the last page and after an error.
    next: Option<Q>,
}

/// Yields the resources of every page of a request.
pub(crate) fn all<Q: Listed>(
    client: Client,
    request: Q,
) -> impl Stream<Item = Result<Q::Item, Error>> + Send {
    let place = Place {
        client,
        items: VecDeque::new(),
        next: Some(request),
    };
    futures::stream::unfold(place, |mut place| async move {
        loop {
            if let Some(item) = place.items.pop_front() {
                return Some((Ok(item), place));
            }
            let mut request = place.next.take()?;
            match request.clone().page(place.client.transport()).await {
                Ok((items, token)) => {
                    place.items = items.into();
                    if !token.is_empty() {
                        request.turn_to(token);
                        place.next = Some(request);
                    }
                }
                Err(status) => return Some((Err(status.into()), place)),
            }
        }
    })
}

macro_rules! listed {
    ($request:ident, $item:ident, $client:ident, $call:ident, $items:ident) => {
        impl Listed for v1::$request {
            type Item = v1::$item;

            fn turn_to(&mut self, page_token: String) {
                self.page_token = page_token;
            }

            async fn page(self, transport: Transport) -> Result<(Vec<v1::$item>, String), Status> {
                let page = $client::new(transport).$call(self).await?.into_inner();
                Ok((page.$items, page.next_page_token))
            }
        }
    };
}

listed!(ListCartsRequest, Cart, CartServiceClient, list_carts, carts);
listed!(
    ListCustomersRequest,
    Customer,
    CustomerServiceClient,
    list_customers,
    customers
);
listed!(
    ListAddressesRequest,
    Address,
    CustomerServiceClient,
    list_addresses,
    addresses
);
listed!(
    ListTitlesRequest,
    Title,
    CustomerServiceClient,
    list_titles,
    titles
);
listed!(
    ListGroupsRequest,
    Group,
    GroupServiceClient,
    list_groups,
    groups
);
listed!(
    ListMembersRequest,
    Member,
    GroupServiceClient,
    list_members,
    members
);
listed!(
    ListShopsRequest,
    Shop,
    AdminServiceClient,
    list_shops,
    shops
);
listed!(
    ListApiKeysRequest,
    ApiKey,
    AdminServiceClient,
    list_api_keys,
    api_keys
);
listed!(
    ListOperationsRequest,
    Operation,
    OperationServiceClient,
    list_operations,
    operations
);
listed!(
    ListSavedFiltersRequest,
    SavedFilter,
    SavedFilterServiceClient,
    list_saved_filters,
    saved_filters
);
