//! G9, G10, G11, G12: a stream sends heartbeats while it waits for anything, and ends when it must.
//!
//! The clock stands still until the test moves it, which shows that heartbeats are in time. It moves by one
//! and a half intervals at once, and only after each heartbeat.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clientela::caller::Caller;
use clientela::clock::Clock;
use clientela::feed::FeedSettings;
use clientela::proto::pb::{
    ErrorReason, WatchCartsResponse, WatchOptions, watch_carts_response::Signal,
};
use clientela::store::Purpose;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::stage::{Reader, Stage, stages};
use super::writers::Writers;
use super::{filtered, with};
use crate::harness::store::{START, caller};
use crate::harness::{CartWatch, PATIENCE, Places, Seen, Setup, assert_refused, eventually};
use crate::on_both_engines;

/// The default interval.
const INTERVAL: Duration = Duration::from_secs(15);

/// A server whose clock is held, and whose streams never reach their maximal age.
fn held() -> Setup {
    let setup = Setup::default();
    let feed = FeedSettings {
        stream_age: 1_000_000 * INTERVAL,
        ..setup.feed
    };
    Setup {
        clock: Clock::held_at(START),
        feed,
        ..setup
    }
}

/// Moves the clock by one and a half intervals and returns the heartbeat that must come.
async fn heartbeat(stage: &Stage, reader: &mut Reader) -> WatchCartsResponse {
    stage.test.clock.advance(INTERVAL * 3 / 2);
    let message = reader.next().await.unwrap();
    assert!(
        matches!(message.signal, Some(Signal::Heartbeat(_))),
        "{message:?}"
    );
    message
}

/// Opens a stream that has begun its snapshot and waits for the next page of it.
async fn within_a_snapshot(stage: &Stage, caller: Caller) -> Reader {
    stage.things.hold();
    let mut reader = stage.watch_as(caller, WatchOptions::default());
    let begin = reader.next().await.unwrap();
    assert!(matches!(begin.signal, Some(Signal::SnapshotBegin(_))));
    reader
}

fn token_of(status: &Status) -> Option<String> {
    let info = status.get_details_error_info().expect("an ErrorInfo");
    info.metadata.get("resume_token").cloned()
}

on_both_engines! {
    async fn a_silent_stream_sends_a_heartbeat_within_one_and_a_half_intervals(shop: Shop with held()) {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        // The requested interval, and the one that applies.
        for (asked, meant) in [(None, 15), (seconds(1), 1), (seconds(60), 60), (seconds(0), 1), (seconds(600), 60)] {
            let options = WatchOptions { heartbeat_interval: asked, ..Default::default() };
            let mut watch = CartWatch::open(&mut shop.carts(), with(options)).await.unwrap();
            watch.snapshot().await;
            for _ in 0..3 {
                shop.clock.advance(Duration::from_secs(meant) * 3 / 2);

                assert_eq!(watch.next().await.unwrap(), Seen::Heartbeat);
            }
        }
    }

    /// A stream that wakes only for changes outside its filter is silent too.
    async fn a_stream_that_filters_everything_out_sends_heartbeats(shop: Shop with held()) {
        let watched = filtered("item_count > 1000000");
        let mut watch = CartWatch::open(&mut shop.carts(), watched).await.unwrap();
        watch.snapshot().await;
        let writers = Writers::start(&shop, 8, 5).await;
        let mut places = BTreeSet::new();
        // Filtered changes move the token on. The clock does not run ahead of the writers, since they and the
        // scheduled work could not keep up with years.
        let until = Instant::now() + PATIENCE;
        while places.len() < 30 {
            assert!(Instant::now() < until, "thirty positions did not come");
            let done = writers.done();
            eventually("a write", async || (writers.done() > done).then_some(())).await;
            shop.clock.advance(INTERVAL * 3 / 2);
            assert_eq!(watch.next().await.unwrap(), Seen::Heartbeat);
            let place = Places::of(shop.store(), "default").place(&watch.token);
            places.insert(place.up_to.key());
        }

        writers.finish().await;
        assert!(watch.changes.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_a_delayed_snapshot_sends_heartbeats() {
    for stage in &stages().await {
        stage.put("a", 1).await;
        let mut reader = within_a_snapshot(stage, caller()).await;
        for _ in 0..3 {
            let message = heartbeat(stage, &mut reader).await;
            assert_eq!(
                message.resume_token, "",
                "within a snapshot there is no token"
            );
        }

        stage.things.let_pass(1);

        assert_eq!(reader.next().await.unwrap().changes.len(), 1);
        let end = reader.next().await.unwrap();
        assert!(matches!(end.signal, Some(Signal::SnapshotEnd(_))));
        let message = heartbeat(stage, &mut reader).await;
        let places = Places::of(&stage.test.store, "s");
        assert_eq!(
            places.place(&message.resume_token),
            places.place(&end.resume_token)
        );
    }
}

/// The maximal number of streams is reading. One more stream that resumes has to wait before it can catch up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_waits_for_its_turn_to_catch_up_sends_heartbeats() {
    for mut stage in stages().await {
        let mut reader = stage.watch(WatchOptions::default());
        let resume_token = loop {
            let message = reader.next().await.unwrap();
            if !message.resume_token.is_empty() {
                break message.resume_token;
            }
        };
        stage.put("a", 1).await;
        stage.settled().await;
        stage.restart().await;
        stage.things.hold();
        let turns = stage.test.store.connections_for(Purpose::Streams);
        let readers: Vec<_> = (0..turns)
            .map(|_| {
                let mut reader = stage.watch(WatchOptions::default());
                tokio::spawn(async move { while reader.next().await.is_ok() {} })
            })
            .collect();
        stage.things.asked(1 + readers.len()).await;
        let options = WatchOptions {
            resume_token: resume_token.clone(),
            ..Default::default()
        };
        let mut reader = stage.watch(options);
        for _ in 0..3 {
            let message = heartbeat(&stage, &mut reader).await;
            let places = Places::of(&stage.test.store, "s");
            assert_eq!(
                places.place(&message.resume_token),
                places.place(&resume_token)
            );
        }

        stage.things.let_pass(readers.len());

        let message = reader.next().await.unwrap();
        assert_eq!(message.changes.len(), 1, "the missed change: {message:?}");
        for reader in readers {
            reader.abort();
        }
    }
}

/// G12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_a_delayed_snapshot_can_be_drained() {
    for stage in &stages().await {
        let mut reader = within_a_snapshot(stage, caller()).await;

        stage.draining.cancel();

        let message = reader.next().await.unwrap();
        assert!(matches!(message.signal, Some(Signal::Draining(_))));
        assert_eq!(message.resume_token, "");
        let status = reader.next().await.unwrap_err();
        assert_refused(&status, Code::Unavailable, ErrorReason::Draining);
        assert_eq!(
            token_of(&status),
            None,
            "the rest of the snapshot would be missed"
        );
    }
}

/// G10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_a_delayed_snapshot_ends_with_its_key() {
    for stage in &stages().await {
        let caller = caller();
        let key = caller.key_ended.clone();
        let mut reader = within_a_snapshot(stage, caller).await;

        key.cancel();

        let status = reader.next().await.unwrap_err();
        assert_refused(&status, Code::Unauthenticated, ErrorReason::KeyRevoked);
    }
}

/// G11.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_a_delayed_snapshot_ends_at_its_deadline() {
    for stage in &stages().await {
        let mut caller = caller();
        caller.deadline = Some(Instant::now() + Duration::from_millis(200));
        stage.things.hold();
        let mut reader = stage.watch_as(caller, WatchOptions::default());

        let status = loop {
            if let Err(status) = reader.next().await {
                break status;
            }
        };

        assert_refused(&status, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);
    }
}

/// A stalled reader gets the token of the last message that it received.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_stream_ends_with_a_token_that_loses_nothing() {
    const CHANGES: usize = 600;
    for stage in &stages().await {
        let mut reader = stage.watch(WatchOptions::default());
        let end = loop {
            let message = reader.next().await.unwrap();
            if !message.resume_token.is_empty() {
                break message.resume_token;
            }
        };
        for number in 0..CHANGES {
            stage.put(&format!("{number}"), 1).await;
        }
        stage.settled().await;
        let resume = |resume_token: String| {
            stage.watch(WatchOptions {
                resume_token,
                ..Default::default()
            })
        };
        let mut reader = resume(end);
        let first = reader.next().await.unwrap();

        stage.leave_unread().await;

        let status = reader.next().await.unwrap_err();
        assert_refused(&status, Code::ResourceExhausted, ErrorReason::SlowConsumer);
        let places = Places::of(&stage.test.store, "s");
        let resumable = token_of(&status).map(|token| places.place(&token));
        assert_eq!(resumable, Some(places.place(&first.resume_token)));
        let mut received = first.changes.len();
        assert!(received < CHANGES, "more was ready to be sent: {received}");
        let mut reader = resume(first.resume_token);
        while received < CHANGES {
            received += reader.next().await.unwrap().changes.len();
        }
        assert_eq!(received, CHANGES, "each was sent once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_stream_within_its_snapshot_ends_without_a_token() {
    for stage in &stages().await {
        let mut reader = within_a_snapshot(stage, caller()).await;

        stage.leave_unread().await;

        let status = reader.next().await.unwrap_err();
        assert_refused(&status, Code::ResourceExhausted, ErrorReason::SlowConsumer);
        assert_eq!(
            token_of(&status),
            None,
            "the rest of the snapshot would be missed"
        );
    }
}
