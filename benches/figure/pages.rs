//! ListCustomers over a million rows: a deep page beside the first one, and the cost of filtering a row.

use std::time::Instant;

use clientela::proto::pb;

use crate::bench::{Bench, alternate, repeat};
use crate::fill::{self, With};
use crate::shop::{self, Clients};
use crate::table::{Row, Target, median};

const ROWS: usize = 1_000_000;
const PAGE_SIZE: i32 = 50;
const PAGE: i32 = 5_000;
/// The largest page size, to reach the deep page sooner.
const STRIDE: i32 = 1_000;
/// Pages that are read in a round.
const READS: usize = 200;
/// A filter that no index serves and no customer matches.
const FILTER: &str = "NOT state = ACTIVE";

pub async fn deep_page(bench: &Bench) -> Vec<Row> {
    let shop = fill::shop(shop::embedded(bench), ROWS, With::Nothing).await;
    let admin = shop.admin().await;
    let mut token = String::new();
    for _ in 0..(PAGE - 1) * PAGE_SIZE / STRIDE {
        token = list(&admin, STRIDE, &token).await.next_page_token;
    }
    let rest = (PAGE - 1) * PAGE_SIZE % STRIDE;
    if rest > 0 {
        token = list(&admin, rest, &token).await.next_page_token;
    }
    let deep = list(&admin, PAGE_SIZE, &token).await;
    let expected = shop::customer_name(usize::try_from((PAGE - 1) * PAGE_SIZE).unwrap_or_default());
    assert_eq!(deep.customers[0].name, expected, "this is the deep page");

    let rounds = alternate(
        async || time_of_a_page(&admin, &token).await,
        async || time_of_a_page(&admin, "").await,
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "ListCustomers, 1,000,000 rows, page 5,000",
        "µs",
        rounds.product,
        Target::RatioAtMost(1.2),
    )
    .beside("page 1", rounds.yardstick, ratios)
    .note(format!(
        "pages of {PAGE_SIZE}, SQLite, median of {READS} reads a round; the rows are copies of one \
         customer of the API, inserted by SQL without search text, which a list does not read"
    ));
    let judged = repeat(async || time_of_a_row(&admin).await).await;
    let judged = Row::new(
        "ListCustomers, 1,000,000 rows, judged by a field without an index",
        "µs a row",
        judged.product,
        Target::AtMost(2.0),
    )
    .note(format!("SQLite, `{FILTER}`, page after page to the end"));
    vec![row, judged]
}

/// Reads all pages of a list without results and returns the time for each row.
async fn time_of_a_row(clients: &Clients) -> f64 {
    let started = Instant::now();
    let mut token = String::new();
    loop {
        let request = pb::ListCustomersRequest {
            filter: FILTER.to_owned(),
            page_token: token,
            ..Default::default()
        };
        let answer = clients.customers(0).list_customers(request).await;
        let page = answer.expect("a page").into_inner();
        assert!(page.customers.is_empty(), "no customer matches");
        token = page.next_page_token;
        if token.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
            return started.elapsed().as_secs_f64() * 1e6 / ROWS as f64;
        }
    }
}

async fn list(clients: &Clients, page_size: i32, token: &str) -> pb::ListCustomersResponse {
    let request = pb::ListCustomersRequest {
        page_size,
        page_token: token.to_owned(),
        ..Default::default()
    };
    let answer = clients.customers(0).list_customers(request).await;
    answer.expect("a page").into_inner()
}

async fn time_of_a_page(clients: &Clients, token: &str) -> f64 {
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let started = Instant::now();
        list(clients, PAGE_SIZE, token).await;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    median(&times)
}
