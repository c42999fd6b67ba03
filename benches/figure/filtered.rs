//! Filtered watches of one key beside the calls of others.

use std::sync::Arc;

use clientela::proto::pb::cart_service_client::CartServiceClient;
use clientela::proto::pb::{self, watch_carts_response::Signal};
use futures::StreamExt as _;
use tokio::task::JoinSet;

use crate::bench::{Bench, alternate};
use crate::load::{at_rate, closed_loop};
use crate::shop::{self, Keyed, LINES, Shop, Transport};
use crate::table::{Row, Target};
use crate::watchers::STREAMS_A_CONNECTION;

const WATCHES: usize = 480;
/// Nearly as many as a filter may have. None of them is ever true, so that all are looked at.
const COMPARISONS: usize = 50;
const CARTS: usize = 100;
const CHANGES_A_SECOND: f64 = 100.0;
const SECONDS: f64 = 2.0;
const OPENING: usize = 16;

pub async fn watches(bench: &Bench) -> Vec<Row> {
    let equal = beside(bench, "equal filters", |_| 0).await;
    let apart = beside(bench, "a filter of its own each", |watch| watch).await;
    vec![equal, apart]
}

/// The calls of another key beside watches, whose filter is that of the number which `filter_of` gives.
async fn beside(bench: &Bench, filters: &str, filter_of: fn(usize) -> usize) -> Row {
    let shop = Shop::start(shop::embedded(bench)).await;
    let names = shop.customers(100).await;
    let carts = shop.carts(CARTS, LINES).await;
    let key = shop.keys(1).await.remove(0);
    let rounds = alternate(
        async || {
            let watches = open(&shop, &key, filter_of).await;
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

/// Opens the watches and reads them until the result is dropped.
async fn open(shop: &Shop, key: &str, filter_of: fn(usize) -> usize) -> JoinSet<()> {
    let mut connections = Vec::new();
    for _ in 0..WATCHES.div_ceil(STREAMS_A_CONNECTION) {
        connections.push(Transport::new(shop.child.connect().await, Keyed::new(key)));
    }
    let connections = &connections;
    let opening = futures::stream::iter(0..WATCHES).map(|watch| async move {
        let transport = connections[watch / STREAMS_A_CONNECTION].clone();
        let request = pb::WatchCartsRequest {
            filter: filter(filter_of(watch)),
            ..Default::default()
        };
        let answer = CartServiceClient::new(transport).watch_carts(request).await;
        let mut stream = answer.expect("the watch opens").into_inner();
        loop {
            let message = stream.message().await.expect("the watch goes on");
            let message = message.expect("a watch never ends well");
            if matches!(message.signal, Some(Signal::SnapshotEnd(_))) {
                return stream;
            }
        }
    });
    let mut readers = JoinSet::new();
    let mut opened = opening.buffer_unordered(OPENING);
    while let Some(mut stream) = opened.next().await {
        readers.spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
    }
    readers
}

fn filter(number: usize) -> String {
    let comparisons = (0..COMPARISONS).map(|n| format!("note = \"{number} {n}\""));
    comparisons.collect::<Vec<_>>().join(" OR ")
}

/// The 99th percentile of GetCustomer while carts are changed.
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
