//! Each fault that `feed::FaultInjection` knows, and the story that brings it to light; the same story is told with a
//! healthy feed, too.

use std::sync::Arc;
use std::time::Instant;

use clientela::feed::{FaultInjection, LogOrder, history};
use clientela::proto::pb::cart_service_client::CartServiceClient;
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::sync::Barrier;
use tonic::transport::Channel;

use super::recording::{Recording, Verdict, addition};
use super::watcher::{Of, Watcher};
use crate::harness::{Engine, PATIENCE, Setup, Shop, Transport, eventually};

/// Carts that a stalled reader watches, and how often something is put into each: more than what fits
/// between a stream and its reader, and into the inbox of the stream.
const CARTS: usize = 8;
const WRITES: usize = 110;

/// A client on a connection that takes in little.
async fn narrow(shop: &Shop) -> CartServiceClient<Transport> {
    let address = format!("http://{}", shop.address);
    let channel = Channel::from_shared(address).unwrap();
    let channel = channel.initial_stream_window_size(64 * 1024);
    let channel = channel.connect().await.unwrap();
    CartServiceClient::with_interceptor(channel, Shop::with_key(&shop.admin_key))
}

/// A reader of some carts does not read while these are written to, and goes on later.
async fn a_reader_that_stalls(engine: Engine, fault: FaultInjection) -> Verdict {
    let shop = Shop::start_with(engine, Setup::faulty(fault)).await;
    let recording = Recording::new();
    let slots: Vec<String> = (0..CARTS).map(|number| format!("cart-{number}")).collect();
    let first = slots.iter().map(|slot| {
        let (recording, mut client) = (recording.clone(), shop.carts());
        async move { recording.add(&mut client, slot, "mug").await.name }
    });
    let names = join_all(first).await;
    let mut watcher = Watcher::new(&recording, "some", Of::Names(&names));
    watcher.open(&mut narrow(&shop).await).await;
    watcher.snapshot().await;

    let writers = slots.iter().map(|slot| {
        let (recording, mut client) = (recording.clone(), shop.carts());
        async move {
            for _ in 0..WRITES {
                recording.add(&mut client, slot, "mug").await;
            }
        }
    });
    join_all(writers).await;
    // Each cart is told once more, so that a gap before it shows. A feed that skips may skip this, too.
    let deadline = Instant::now() + PATIENCE;
    let mut is_told = false;
    while !is_told {
        assert!(Instant::now() < deadline, "what comes at last is not told");
        let last = slots.iter().map(|slot| {
            let (recording, mut client) = (recording.clone(), shop.carts());
            async move { recording.add(&mut client, slot, "jug").await }
        });
        let last = join_all(last).await;
        watcher.until_idle().await;
        is_told = last.iter().all(|cart| watcher.has_told(cart));
    }
    recording.judge(&shop).await
}

/// A cart is ordered and opened again under a reader of open carts.
async fn a_cart_that_leaves_and_comes_back(engine: Engine, fault: FaultInjection) -> Verdict {
    let shop = Shop::start_with(engine, Setup::faulty(fault)).await;
    let recording = Recording::new();
    let mut client = shop.carts();
    let mut all = Watcher::new(&recording, "all", Of::All);
    let mut open = Watcher::new(&recording, "open", Of::Open);
    for watcher in [&mut all, &mut open] {
        watcher.open(&mut client).await;
        watcher.snapshot().await;
    }

    recording.add(&mut client, "comes-back", "mug").await;
    let ordered = recording.order(&mut client, "comes-back").await;
    recording.reopen(&mut client, &ordered).await;
    let last = recording.add(&mut client, "comes-last", "mug").await;

    for watcher in [&mut all, &mut open] {
        watcher.until(&last).await;
    }
    recording.judge(&shop).await
}

/// A cart is written to between the reading of a snapshot's rows and of its position, if that is later.
async fn a_write_amid_a_snapshot(engine: Engine, barrier: Option<Arc<Barrier>>) -> Verdict {
    let fault = barrier
        .clone()
        .map_or(FaultInjection::None, FaultInjection::LatePosition);
    let shop = Shop::start_with(engine, Setup::faulty(fault)).await;
    let recording = Recording::new();
    let mut client = shop.carts();
    let cart = recording.add(&mut client, "written-to", "mug").await;
    let mut watcher = Watcher::new(&recording, "all", Of::All);
    watcher.open(&mut client).await;
    let snapshot = async {
        watcher.snapshot().await;
    };
    let write = async {
        let mut client = shop.carts();
        if let Some(barrier) = &barrier {
            barrier.wait().await;
        }
        recording.add(&mut client, &cart.slot, "cup").await;
        settled(&shop).await;
        if let Some(barrier) = &barrier {
            barrier.wait().await;
        }
    };
    tokio::join!(snapshot, write);

    let last = recording.add(&mut client, &cart.slot, "jug").await;

    watcher.until(&last).await;
    recording.judge(&shop).await
}

/// Waits until nothing holds back what was written.
async fn settled(shop: &Shop) {
    let end = |order| {
        let read = shop
            .store()
            .read(move |conn| history::end(conn, order).boxed());
        async move { read.await.unwrap().seq }
    };
    eventually("the end of what is under way", async || {
        let (last, safe) = (
            end(LogOrder::Numbers).await,
            end(LogOrder::Transactions).await,
        );
        (last == safe).then_some(())
    })
    .await;
}

/// The store is put back to a copy, and a reader comes with a token from after it.
async fn a_store_that_was_restored(engine: Engine, fault: FaultInjection) -> Verdict {
    let mut shop = Shop::start_with(engine, Setup::faulty(fault.clone())).await;
    let recording = Recording::new();
    recording.add(&mut shop.carts(), "restored", "mug").await;
    shop.stop().await;
    let copy = shop.back_up().await;
    shop.start_again(Setup::faulty(fault.clone())).await;
    let mut watcher = Watcher::new(&recording, "all", Of::All);
    watcher.open(&mut shop.carts()).await;
    watcher.snapshot().await;
    // What is undone is in no ledger.
    for slot in ["restored", "restored", "undone"] {
        let request = addition(slot, "cup");
        let cart = shop.carts().add_item(request).await.unwrap().into_inner();
        watcher.until(&cart).await;
    }
    tokio::join!(shop.stop(), watcher.end());

    shop.restore(&copy).await;
    recording.restored();
    shop.start_again(Setup::faulty(fault)).await;
    let mut client = shop.carts();
    for _ in 0..4 {
        recording.add(&mut client, "restored", "jug").await;
    }
    let last = recording.add(&mut client, "comes-last", "mug").await;

    watcher.open(&mut client).await;
    while !watcher.has_told(&last) {
        if watcher.next().await.is_err() {
            watcher.open(&mut client).await;
        }
    }
    recording.judge(&shop).await
}

/// Tells each story with a healthy feed and with a faulty one, on both engines.
macro_rules! stories {
    ($($name:ident: $story:ident($healthy:expr, $faulty:expr) breaks $promise:literal;)*) => { $(
        mod $name {
            use super::*;

            async fn on(engine: Engine) {
                $story(engine, $healthy).await.assert_accepted();
                $story(engine, $faulty).await.assert_refused($promise);
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                on(Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                on(Engine::Postgres).await;
            }
        }
    )* };
}

stories! {
    skipping_what_a_stalled_reader_missed_is_seen:
        a_reader_that_stalls(FaultInjection::None, FaultInjection::SkippedLag) breaks "gap";
    keeping_silent_about_what_leaves_a_filter_is_seen:
        a_cart_that_leaves_and_comes_back(FaultInjection::None, FaultInjection::LostLeaving) breaks "filter";
    reading_the_position_of_a_snapshot_late_is_seen:
        a_write_amid_a_snapshot(None, Some(Arc::new(Barrier::new(2)))) breaks "gap";
    forgetting_the_mark_of_a_token_is_seen:
        a_store_that_was_restored(FaultInjection::None, FaultInjection::ForgottenMark) breaks "history";
}
