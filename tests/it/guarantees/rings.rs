//! Tests the rings of the latest changes: one budget for all shops and kinds, and no memory for shops without
//! watchers. No stream loses a change by this.

use std::collections::BTreeMap;

use clientela::feed::FeedSettings;
use clientela::proto::pb::{self, DeliveryMode, Role, WatchCartsRequest, WatchOptions};
use futures::future::join_all;
use tokio::time::Instant;

use super::watched::{Connection, Subject, Way};
use crate::harness::{CartWatch, PATIENCE, Setup, Shop, eventually};
use crate::on_both_engines;
use crate::watch::{every, item, visitor};

const BUDGET: usize = 96 * 1024;
const SHOPS: usize = 4;
const WRITES: usize = 60;

fn small() -> Setup {
    let usual = Setup::default();
    let feed = FeedSettings {
        rings_bytes_max: BUDGET,
        ..usual.feed.clone()
    };
    Setup { feed, ..usual }
}

/// The rings hold nothing, and no change can wait for its interval. The clock stands still.
fn without_room() -> Setup {
    let held = Setup::held();
    let feed = FeedSettings {
        rings_bytes_max: 1,
        paced_bytes_max: 1,
        ..held.feed.clone()
    };
    Setup { feed, ..held }
}

/// Returns one key of each of several shops.
async fn keys(shop: &Shop) -> Vec<String> {
    let mut keys = Vec::new();
    for number in 0..SHOPS {
        let id = format!("ring-{number}");
        let request = pb::CreateShopRequest {
            shop: Some(pb::Shop {
                display_name: id.clone(),
                ..Default::default()
            }),
            shop_id: id.clone(),
            ..Default::default()
        };
        let operator = shop.operator_key.clone();
        shop.admin_as(&operator).create_shop(request).await.unwrap();
        keys.push(shop.key_of(&id, &[Role::Admin]).await);
    }
    keys
}

async fn write(shop: &Shop, key: &str, number: usize) -> pb::Cart {
    let request = pb::AddItemRequest {
        target: Some(visitor(&format!("number {}", number % 3))),
        item: Some(pb::ItemInput {
            display_name: "x".repeat(250),
            ..item(&format!("p{}", number % 20), 1)
        }),
        ..Default::default()
    };
    shop.carts_as(key)
        .add_item(request)
        .await
        .unwrap()
        .into_inner()
}

on_both_engines! {
    /// Each stream is opened again at its age. A shop without watchers costs nothing.
    async fn nothing_is_kept_for_shops_without_watchers(shop: Shop) {
        let keys = keys(&shop).await;
        let mut watches = Vec::new();
        for key in &keys {
            let mut watch = CartWatch::open(&mut shop.carts_as(key), every()).await.unwrap();
            watch.snapshot().await;
            write(&shop, key, 0).await;
            watch.until("the change", |watch| !watch.changes.is_empty()).await;
            watches.push(watch);
        }
        let subjects = Subject::of_each_kind(&shop).await;
        for subject in &subjects {
            for way in subject.kind.ways() {
                let mut watch = subject.watch(&Connection::of(&shop), *way, WatchOptions::default()).await.unwrap();
                watch.snapshot().await;
            }
        }
        eventually("the rings of the watched shops", async || {
            let (channels, bytes) = shop.rings();
            (channels == SHOPS && bytes > 0).then_some(())
        }).await;

        drop(watches.split_off(1));
        eventually("one ring", async || (shop.rings().0 == 1).then_some(())).await;
        let cart = write(&shop, &keys[0], 1).await;
        watches[0].until("the change", |watch| watch.carts.values().any(|it| it == &cart)).await;
        drop(watches);

        eventually("no ring", async || (shop.rings() == (0, 0)).then_some(())).await;
        write(&shop, &keys[0], 2).await;
        assert_eq!(shop.rings(), (0, 0));
    }

    /// The readers of all shops stall while writes exceed the size of all rings together.
    async fn all_rings_together_keep_to_their_budget_and_nothing_is_lost(shop: Shop with small()) {
        let keys = keys(&shop).await;
        let mut watches = Vec::new();
        for key in &keys {
            let connection = Connection::narrow(shop.address, key, 16 * 1024).await;
            let stream = connection.carts().watch_carts(WatchCartsRequest { ..every() }).await.unwrap();
            let mut watch = CartWatch::of(stream.into_inner()).strict();
            watch.snapshot().await;
            watches.push(watch);
        }

        let writers = keys.iter().map(|key| async {
            let mut last = BTreeMap::new();
            for number in 0..WRITES {
                let cart = write(&shop, key, number).await;
                last.insert(cart.name.clone(), cart);
                let (_, bytes) = shop.rings();
                assert!(bytes <= BUDGET, "the rings hold {bytes} bytes");
            }
            last
        });
        let last = join_all(writers).await;

        for (mut watch, last) in watches.into_iter().zip(last) {
            watch.until("all changes", |watch| watch.carts == last).await;
            assert_eq!(watch.changes.len(), WRITES, "every version came once");
        }
    }

    /// The ring drops each change before the stream can read it.
    async fn a_stream_of_names_receives_changes_that_the_ring_dropped(shop: Shop with without_room()) {
        let cart = write(&shop, &shop.admin_key, 0).await;
        let request = WatchCartsRequest { names: vec![cart.name], ..every() };
        let mut watch = CartWatch::open(&mut shop.carts(), request).await.unwrap().strict();
        watch.snapshot().await;

        for _ in 0..WRITES / 3 {
            write(&shop, &shop.admin_key, 0).await;
        }

        watch.until("all changes", |watch| watch.changes.len() >= WRITES / 3).await;
        assert_eq!(watch.changes.len(), WRITES / 3, "every version came once");
    }

    /// No interval ends.
    async fn changes_wait_for_their_interval_only_within_the_memory_limit(shop: Shop with without_room()) {
        let options = WatchOptions {
            min_update_interval: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            ..Default::default()
        };
        let request = WatchCartsRequest { options: Some(options), ..Default::default() };
        let mut watch = CartWatch::open(&mut shop.carts(), request).await.unwrap();
        watch.snapshot().await;

        for _ in 0..3 {
            let cart = write(&shop, &shop.admin_key, 0).await;
            watch.until("the change", |watch| watch.carts.values().any(|it| it == &cart)).await;
        }
    }

    /// The streams spell the filter in different ways.
    async fn a_filter_of_many_streams_is_evaluated_once_for_a_change(shop: Shop) {
        let subjects = Subject::of_each_kind(&shop).await;
        let spellings = ["item_count > 0", "  item_count  >  0 ", "(item_count > 0)"];
        let (cart, connection) = (&subjects[0], Connection::of(&shop));
        let mut watches = Vec::new();
        for number in 0..30 {
            let options = WatchOptions {
                delivery_mode: [DeliveryMode::Latest, DeliveryMode::Every][number % 2].into(),
                ..Default::default()
            };
            let filter = spellings[number % spellings.len()];
            let watch = cart.watch_filtered(&connection, Way::Filter, filter, options).await;
            watches.push(watch.unwrap());
        }
        let other = cart.watch_filtered(&connection, Way::Filter, "item_count > 1", WatchOptions::default()).await;
        watches.push(other.unwrap());
        for watch in &mut watches {
            watch.snapshot().await;
        }

        // New streams may read the first changes from the log, each separately.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = shop.evaluations();
            let (version, _) = cart.write(&shop).await;
            for watch in &mut watches {
                watch.until(version).await;
            }
            let evaluated = shop.evaluations() - before;
            if evaluated == 2 {
                break;
            }
            assert!(Instant::now() < deadline, "a filter is evaluated {evaluated} times for a change");
        }
    }
}
