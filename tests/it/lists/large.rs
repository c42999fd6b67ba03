//! Tests lists and snapshots of a shop with more rows than one page examines.

use std::collections::BTreeSet;

use clientela::proto::pb;

use crate::harness::{PATIENCE, Setup, Shop};
use crate::on_both_engines;
use crate::plans::fill::{Beside, fill_up};
use crate::plans::{CART_FILTERS, CUSTOMER_FILTERS};

/// More rows than a page examines or collects.
const ROWS: u32 = 6_000;

/// The number of names to compare, from the beginning of a list.
const FIRST: usize = 30;

/// The first names in their order, the number of matches, and the number of pages read.
struct Found {
    names: Vec<String>,
    count: i64,
    pages: usize,
}

/// Reads pages until there are enough names.
macro_rules! found {
    ($request:expr, $client:expr, $list:ident, $rows:ident) => {{
        let mut request = $request;
        let (mut names, mut pages, mut count) = (Vec::new(), 0, None);
        loop {
            let page = $client.$list(request.clone()).await.unwrap().into_inner();
            names.extend(page.$rows.into_iter().map(|row| row.name));
            pages += 1;
            let count = count.get_or_insert_with(|| page.count.unwrap().value);
            if page.next_page_token.is_empty() || names.len() >= FIRST {
                names.truncate(FIRST);
                let count = *count;
                break Found {
                    names,
                    count,
                    pages,
                };
            }
            request.page_token = page.next_page_token;
        }
    }};
}

async fn customers(shop: &Shop, filter: &str, order_by: &str, show_deleted: bool) -> Found {
    let request = pb::ListCustomersRequest {
        filter: filter.to_owned(),
        order_by: order_by.to_owned(),
        show_deleted,
        count: pb::CountMode::Exact.into(),
        page_size: 20,
        ..Default::default()
    };
    found!(request, shop.customers(), list_customers, customers)
}

async fn carts(shop: &Shop, filter: &str, order_by: &str) -> Found {
    let request = pb::ListCartsRequest {
        filter: filter.to_owned(),
        order_by: order_by.to_owned(),
        count: pb::CountMode::Exact.into(),
        page_size: 20,
        ..Default::default()
    };
    found!(request, shop.carts(), list_carts, carts)
}

/// Returns an equivalent filter in which no index leads to the rows.
fn misleading(filter: &str) -> String {
    format!("({filter}) OR number = none")
}

/// Returns the names in the snapshot of a watch.
async fn watched(shop: &Shop, filter: &str) -> BTreeSet<String> {
    use pb::watch_carts_response::Signal;
    let watch = pb::WatchCartsRequest {
        filter: filter.to_owned(),
        ..Default::default()
    };
    let stream = shop.carts().watch_carts(watch).await.unwrap();
    let (mut stream, mut names) = (stream.into_inner(), BTreeSet::new());
    loop {
        let message = tokio::time::timeout(PATIENCE, stream.message()).await;
        let message = message
            .expect("a message arrives in time")
            .unwrap()
            .unwrap();
        names.extend(message.changes.into_iter().map(|change| change.name));
        if let Some(Signal::SnapshotEnd(end)) = message.signal {
            assert_eq!(usize::try_from(end.count).unwrap(), names.len(), "{filter}");
            return names;
        }
    }
}

on_both_engines! {
    async fn an_index_finds_the_same_customers_as_a_scan(shop: Shop) {
        let mut shop = shop;
        fill_up(&mut shop, ROWS, Setup::default()).await;
        // The result of a filter with `now` depends on the time of the call.
        let filters = CUSTOMER_FILTERS.iter().filter(|filter| !filter.contains("now"));

        for filter in filters {
            for (order_by, show_deleted) in
                [("", false), ("create_time desc", false), ("name desc", true)]
            {
                let led = customers(&shop, filter, order_by, show_deleted).await;
                let walked = customers(&shop, &misleading(filter), order_by, show_deleted).await;
                assert_eq!(led.names, walked.names, "{filter} by {order_by:?}");
                assert_eq!(led.count, walked.count, "{filter} by {order_by:?}");
            }
        }
    }

    async fn an_index_finds_the_same_carts_as_a_scan(shop: Shop) {
        let mut shop = shop;
        fill_up(&mut shop, ROWS, Setup::default()).await;
        let filters = CART_FILTERS.iter().filter(|filter| !filter.contains("now"));

        for filter in filters {
            for order_by in ["", "update_time desc"] {
                let led = carts(&shop, filter, order_by).await;
                let walked = carts(&shop, &misleading(filter), order_by).await;
                assert_eq!(led.names, walked.names, "{filter} by {order_by:?}");
                assert_eq!(led.count, walked.count, "{filter} by {order_by:?}");
            }
        }
        let open = carts(&shop, "state = OPEN", "").await;
        let held = watched(&shop, "state = OPEN").await;
        assert_eq!(i64::try_from(held.len()).unwrap(), open.count);
        assert!(open.names.iter().all(|name| held.contains(name)));
    }

    async fn a_page_that_reached_its_limit_leads_to_a_match_at_the_end(shop: Shop) {
        let mut shop = shop;
        fill_up(&mut shop, ROWS, Setup::default()).await;
        let mut beside = Beside::connect(&shop).await;
        // This id is the last one in the order.
        beside.run("UPDATE customers SET vat_number = 'rare' WHERE id = 'c-999'").await;
        beside.run("UPDATE carts SET note = 'rare' WHERE id = 'c-999'").await;
        beside.close().await;

        let found = customers(&shop, "vat_number = rare", "", false).await;
        assert_eq!((found.names, found.pages), (vec!["customers/c-999".to_owned()], 2));
        let found = carts(&shop, "note = rare", "").await;
        assert_eq!((found.names, found.pages), (vec!["carts/c-999".to_owned()], 2));
        let held = watched(&shop, "note = rare").await;
        assert_eq!(held, BTreeSet::from(["carts/c-999".to_owned()]));
    }
}
