//! Tests the turns of streams: the streams of one key leave turns to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clientela::feed::FaultInjection;
use clientela::proto::pb::{Role, WatchCartsRequest};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{add, visitor};
use crate::harness::{CartWatch, Setup};
use crate::on_both_engines;

/// How many pages of streams are read at a time, and how many of them for one key.
const TURNS: usize = 4;
const TURNS_OF_ONE: usize = 2;
/// The streams of the key with many streams.
const MANY: usize = 60;

/// A page keeps its turn until `TURNS_OF_ONE` + 1 pages have one, so one of them is of another key.
fn held() -> Setup {
    let barrier = Arc::new(Barrier::new(TURNS_OF_ONE + 1));
    Setup {
        store: |store| store.stream_connections = TURNS,
        ..Setup::faulty(FaultInjection::LatePosition(barrier))
    }
}

on_both_engines! {
    async fn many_streams_of_one_key_leave_turns_to_others(shop: Shop with held()) {
        add(&mut shop.carts(), &visitor("watched"), "mug").await;
        let (greedy, good) = (shop.key(&[Role::Support]).await, shop.key(&[Role::Support]).await);
        let done = Arc::new(AtomicUsize::new(0));
        let mut streams = JoinSet::new();
        for _ in 0..MANY {
            let mut carts = shop.carts_as(&greedy);
            let mut watch = CartWatch::open(&mut carts, WatchCartsRequest::default()).await.unwrap();
            let done = Arc::clone(&done);
            streams.spawn(async move {
                watch.snapshot().await;
                done.fetch_add(1, Ordering::Relaxed);
                // The stream stays open.
                std::future::pending::<()>().await;
            });
        }

        let mut carts = shop.carts_as(&good);
        let mut watch = CartWatch::open(&mut carts, WatchCartsRequest::default()).await.unwrap();
        watch.snapshot().await;

        let before = done.load(Ordering::Relaxed);
        assert!(before <= TURNS_OF_ONE, "{before} streams of the other key came first");
        streams.shutdown().await;
    }
}
