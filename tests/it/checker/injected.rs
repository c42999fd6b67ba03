//! For each fault of `feed::FaultInjection`, runs a scenario that exposes it, and the same scenario with a
//! healthy feed.

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

/// The carts that a stalled reader watches, and the writes to each. They exceed the buffer between a stream
/// and its reader and the inbox of the stream.
const CARTS: usize = 8;
const WRITES: usize = 110;

/// Returns a client with a small receive window.
async fn narrow(shop: &Shop) -> CartServiceClient<Transport> {
    let address = format!("http://{}", shop.address);
    let channel = Channel::from_shared(address).unwrap();
    let channel = channel.initial_stream_window_size(64 * 1024);
    let channel = channel.connect().await.unwrap();
    CartServiceClient::with_interceptor(channel, Shop::with_key(&shop.admin_key))
}

/// A reader of some carts stops reading during writes to them, and continues later.
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
    // Each cart is sent once more, which exposes a gap before it. A feed that skips may skip this change,
    // too.
    let deadline = Instant::now() + PATIENCE;
    let mut was_sent = false;
    while !was_sent {
        assert!(Instant::now() < deadline, "the last change did not come");
        let last = slots.iter().map(|slot| {
            let (recording, mut client) = (recording.clone(), shop.carts());
            async move { recording.add(&mut client, slot, "jug").await }
        });
        let last = join_all(last).await;
        watcher.until_idle().await;
        was_sent = last.iter().all(|cart| watcher.has_sent(cart));
    }
    recording.check(&shop).await
}

/// A cart is ordered and reopened while a reader watches open carts.
async fn a_cart_that_leaves_and_returns(engine: Engine, fault: FaultInjection) -> Verdict {
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
    recording.check(&shop).await
}

/// A cart is written between the reading of a snapshot's rows and of its position, if the position is read
/// later.
async fn a_write_during_a_snapshot(engine: Engine, barrier: Option<Arc<Barrier>>) -> Verdict {
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
    recording.check(&shop).await
}

/// Waits until no transaction holds the log back.
async fn settled(shop: &Shop) {
    let end = |order| {
        let read = shop
            .store()
            .read(move |conn| history::end(conn, order).boxed());
        async move { read.await.unwrap().seq }
    };
    eventually("the end of open transactions", async || {
        let (last, safe) = (
            end(LogOrder::Numbers).await,
            end(LogOrder::Transactions).await,
        );
        (last == safe).then_some(())
    })
    .await;
}

/// The store is restored from a backup, and a reader resumes with a later token.
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
    // The ledger does not have the undone write.
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
    while !watcher.has_sent(&last) {
        if watcher.next().await.is_err() {
            watcher.open(&mut client).await;
        }
    }
    recording.check(&shop).await
}

/// Runs each scenario with a healthy feed and with a faulty one, on both engines.
macro_rules! scenarios {
    ($($name:ident: $scenario:ident($healthy:expr, $faulty:expr) breaks $promise:literal;)*) => { $(
        mod $name {
            use super::*;

            async fn on(engine: Engine) {
                $scenario(engine, $healthy).await.assert_accepted();
                $scenario(engine, $faulty).await.assert_refused($promise);
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

scenarios! {
    skipped_changes_of_a_stalled_reader_are_found:
        a_reader_that_stalls(FaultInjection::None, FaultInjection::SkippedLag) breaks "gap";
    missing_changes_of_carts_that_leave_a_filter_are_found:
        a_cart_that_leaves_and_returns(FaultInjection::None, FaultInjection::LostLeaving) breaks "filter";
    a_late_position_of_a_snapshot_is_found:
        a_write_during_a_snapshot(None, Some(Arc::new(Barrier::new(2)))) breaks "gap";
    a_token_without_its_mark_is_found:
        a_store_that_was_restored(FaultInjection::None, FaultInjection::ForgottenMark) breaks "history";
}
