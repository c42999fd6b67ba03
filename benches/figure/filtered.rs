//! Filtered watches of one key beside the calls of others.

use std::sync::Arc;

use crate::bench::{Bench, alternate};
use crate::load::{at_rate, closed_loop};
use crate::shop::{self, LINES, Shop};
use crate::table::{Row, Target};
use crate::watchers::{STREAMS_A_CONNECTION, Watched, Watchers};

const WATCHES: usize = 480;
/// Nearly as many comparisons as a filter may have. None of them is ever true, so all are evaluated.
const COMPARISONS: usize = 50;
const CARTS: usize = 100;
const CHANGES_A_SECOND: f64 = 100.0;
const SECONDS: f64 = 2.0;

pub async fn watches(bench: &Bench) -> Vec<Row> {
    let equal = beside(bench, "equal filters", |_| 0).await;
    let apart = beside(bench, "a filter of its own each", |watch| watch).await;
    vec![equal, apart]
}

/// Measures the calls of another key beside watches. `filter_of` returns the number of the filter of each
/// watch.
async fn beside(bench: &Bench, filters: &str, filter_of: fn(usize) -> usize) -> Row {
    let shop = Shop::start(shop::embedded(bench)).await;
    let names = shop.customers(100).await;
    let carts = shop.carts(CARTS, LINES).await;
    let key = shop.keys(1).await.remove(0);
    let keys = vec![key; WATCHES.div_ceil(STREAMS_A_CONNECTION)];
    let rounds = alternate(
        async || {
            let filters = (0..WATCHES).map(|watch| Watched::Matching(filter(filter_of(watch))));
            let watches = Watchers::open(&shop.child, &keys, filters.collect(), None).await;
            let p99 = p99_micros(&shop, &names, &carts).await;
            drop(watches);
            p99
        },
        async || p99_micros(&shop, &names, &carts).await,
    )
    .await;
    let ratios = rounds.ratios();
    let figure =
        format!("GetCustomer beside {WATCHES} filtered watches of one key, {filters}, p99");
    Row::new(figure, "µs", rounds.product, Target::RatioAtMost(5.0))
        .beside("without watches", rounds.yardstick, ratios)
        .note(format!(
            "one GetCustomer at a time, {CHANGES_A_SECOND} changes a second, {COMPARISONS} comparisons a filter"
        ))
}

fn filter(number: usize) -> String {
    let comparisons = (0..COMPARISONS).map(|n| format!("note = \"{number} {n}\""));
    comparisons.collect::<Vec<_>>().join(" OR ")
}

/// Returns the 99th percentile of GetCustomer while carts are changed.
async fn p99_micros(shop: &Shop, names: &Arc<[String]>, carts: &Arc<[String]>) -> f64 {
    let (clients, names) = (shop.clients.clone(), Arc::clone(names));
    let call = move |caller: usize, made: usize| {
        let (clients, names) = (clients.clone(), Arc::clone(&names));
        async move {
            let name = &names[made % names.len()];
            clients.get_customer(caller, name).await;
        }
    };
    let (clients, carts) = (shop.clients.clone(), Arc::clone(carts));
    let change = move |number: usize| {
        let (clients, carts) = (clients.clone(), Arc::clone(&carts));
        async move {
            let cart = &carts[(number * 67) % carts.len()];
            clients.add_item(number, cart, number % LINES).await;
        }
    };
    let (measured, _) = futures::join!(
        closed_loop(1, SECONDS, call),
        at_rate(CHANGES_A_SECOND, SECONDS, change)
    );
    measured.times.quantile(0.99)
}
