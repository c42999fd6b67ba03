//! ListCustomers.

use futures::FutureExt as _;

use super::Service;
use crate::{
    caller::Caller,
    customers::{
        convert,
        derived::Derived,
        fields::{LAST_NAME_KEY, OF_THE_LIVING, SEARCH, TABLE},
        sql,
    },
    error::Result,
    proto::pb,
    resource::{List, Query},
    shops,
    store::{Conn, SearchTerms},
};

impl Service {
    pub(super) async fn list(
        &self,
        caller: Caller,
        request: pb::ListCustomersRequest,
    ) -> Result<pb::ListCustomersResponse> {
        let query = Query {
            filter: &request.filter,
            order_by: &request.order_by,
            page_size: request.page_size,
            page_token: &request.page_token,
            count: request.count,
        };
        let mut list = List::new(&self.store, &TABLE, &caller, "ListCustomers", &query)?
            .bound_to("query", &request.query)
            .bound_to("show_deleted", [u8::from(request.show_deleted)])
            .searching(&SEARCH, SearchTerms::of(&request.query));
        if request.show_deleted {
            list = list.condition("", OF_THE_LIVING);
        }
        let today = self.store.clock().now();
        let shop = caller.shop;
        let (mut page, derived) = self
            .store
            .snapshot(|conn| {
                async move {
                    if list.is_ordered_by(LAST_NAME_KEY) {
                        // A position in the order of one language is none in that of another.
                        let settings = shops::settings(conn, &shop).await?;
                        list = list.bound_to("language", settings.language());
                    }
                    let page = list.read(conn).await?;
                    let derived = derived(conn, &shop, &page.items).await?;
                    Ok((page, derived))
                }
                .boxed()
            })
            .await?;
        for (customer, derived) in page.items.iter_mut().zip(derived) {
            derived.fill(customer, today);
        }
        Ok(pb::ListCustomersResponse {
            customers: page.items,
            next_page_token: page.next_page_token,
            count: page.count,
        })
    }
}

async fn derived(conn: &mut Conn, shop: &str, customers: &[pb::Customer]) -> Result<Vec<Derived>> {
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = customers
        .iter()
        .map(|customer| convert::id_of(&customer.name).to_owned())
        .collect();
    let visits = sql::last_visits(conn, shop, &ids).await?;
    let zone = shops::settings(conn, shop).await?.zone();
    Ok(ids
        .iter()
        .map(|id| Derived::of(visits.get(id).copied(), zone.clone()))
        .collect())
}
