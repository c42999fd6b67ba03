//! Tests of watches with streams that are cut, repeated, reset, refused and silent.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clientela_client::{
    Client, Watch,
    v1::{
        CartChange, ChangeKind, ErrorReason, WatchCartsRequest, WatchCartsResponse,
        snapshot_begin::Cause,
    },
};
use futures::StreamExt as _;
use tonic::{Code, Status};

use crate::{
    fake::{Fake, refusal},
    messages::{
        carts::{begin, change, end, whole},
        told,
    },
};

const UPSERTED: ChangeKind = ChangeKind::Upserted;
const DELETED: ChangeKind = ChangeKind::Deleted;
const LEFT: ChangeKind = ChangeKind::LeftFilter;

fn watch(client: &Client) -> Watch<CartChange> {
    client.watch_carts(WatchCartsRequest::default())
}

/// A server that cuts a watch after each of these, and the watch.
async fn cut_after(scripts: &[&[WatchCartsResponse]]) -> (Fake, Watch<CartChange>) {
    let fake = Fake::start().await;
    for script in scripts {
        fake.cut_after(script);
    }
    let watch = watch(&fake.client());
    (fake, watch)
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_after_the_last_token() {
    let (fake, mut watch) = cut_after(&[
        &whole(Cause::Initial, "carts/a", 1, "t1"),
        &[change("t2", UPSERTED, "carts/a", 2)],
        &[change("t3", UPSERTED, "carts/a", 3)],
    ])
    .await;

    let expected = [
        "reset CAUSE_INITIAL",
        "carts/a@1",
        "ready 1",
        "carts/a@2",
        "carts/a@3",
    ];
    assert_eq!(told(&mut watch, 5).await, expected);
    assert_eq!(fake.tokens()[..3], ["", "t1", "t2"]);
}

#[tokio::test]
async fn what_comes_twice_is_told_once() {
    let (_fake, mut watch) = cut_after(&[
        &whole(Cause::Initial, "carts/a", 2, "t1"),
        &[
            change("t1", UPSERTED, "carts/a", 2),
            change("t2", DELETED, "carts/a", 3),
        ],
        &[
            change("t1", UPSERTED, "carts/a", 2),
            change("t2", DELETED, "carts/a", 3),
            change("t2", DELETED, "carts/unknown", 9),
            change("t3", UPSERTED, "carts/a", 4),
        ],
    ])
    .await;

    let expected = [
        "reset CAUSE_INITIAL",
        "carts/a@2",
        "ready 1",
        "carts/a@3 deleted",
        "carts/a@4",
    ];
    assert_eq!(told(&mut watch, 5).await, expected);
}

#[tokio::test]
async fn what_the_clock_lets_leave_and_enter_is_told_with_the_version_it_has() {
    let (_fake, mut watch) = cut_after(&[
        &whole(Cause::Initial, "carts/a", 3, "t1"),
        &[
            change("t2", LEFT, "carts/a", 3),
            change("t3", UPSERTED, "carts/a", 3),
        ],
    ])
    .await;

    let expected = [
        "reset CAUSE_INITIAL",
        "carts/a@3",
        "ready 1",
        "carts/a@3 left",
        "carts/a@3",
    ];
    assert_eq!(told(&mut watch, 5).await, expected);
}

#[tokio::test]
async fn a_reset_is_told_and_versions_begin_anew() {
    let (_fake, mut watch) = cut_after(&[
        &whole(Cause::Initial, "carts/a", 7, "t1"),
        &whole(Cause::EpochChanged, "carts/a", 2, "t2"),
    ])
    .await;
    told(&mut watch, 3).await;

    let expected = ["reset CAUSE_EPOCH_CHANGED", "carts/a@2", "ready 1"];
    assert_eq!(told(&mut watch, 3).await, expected);
}

#[tokio::test]
async fn a_snapshot_that_is_cut_begins_again() {
    let snapshot = whole(Cause::Initial, "carts/a", 1, "t");
    let (fake, mut watch) = cut_after(&[&snapshot[..2], &snapshot]).await;

    let expected = [
        "reset CAUSE_INITIAL",
        "carts/a@1",
        "reset CAUSE_INITIAL",
        "carts/a@1",
        "ready 1",
    ];
    assert_eq!(told(&mut watch, 5).await, expected);
    assert_eq!(fake.tokens()[..2], ["", ""]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_forgotten() {
    for (code, reason) in [
        (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"),
        (Code::Aborted, "STORE_EPOCH_CHANGED"),
        (Code::InvalidArgument, "INVALID_RESUME_TOKEN"),
    ] {
        let (fake, mut watch) = cut_after(&[&[begin(Cause::Initial), end("t1", 0)]]).await;
        fake.refuse(refusal(code, reason));
        fake.cut_after(&[begin(Cause::Initial), end("t2", 0)]);

        told(&mut watch, 4).await;

        assert_eq!(fake.tokens()[..3], ["", "t1", ""]);
    }
}

#[tokio::test]
async fn what_waiting_cannot_mend_ends_the_watch_with_its_reason() {
    for code in [
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::InvalidArgument,
    ] {
        let (fake, mut watch) = cut_after(&[]).await;
        fake.refuse(refusal(code, "KEY_REVOKED"));

        let error = watch.next().await.unwrap().unwrap_err();

        assert_eq!((error.code, error.reason), (code, ErrorReason::KeyRevoked));
        assert!(watch.next().await.is_none());
    }
}

#[tokio::test]
async fn a_watch_that_was_read_too_slowly_goes_on() {
    let (fake, mut watch) = cut_after(&[&[begin(Cause::Initial), end("t1", 0)]]).await;
    fake.refuse(refusal(Code::ResourceExhausted, "SLOW_CONSUMER"));
    fake.cut_after(&[change("t2", UPSERTED, "carts/a", 1)]);

    let expected = ["reset CAUSE_INITIAL", "ready 0", "carts/a@1"];
    assert_eq!(told(&mut watch, 3).await, expected);
}

#[tokio::test]
async fn a_watch_that_a_proxy_gave_up_goes_on() {
    let (fake, mut watch) = cut_after(&[&[begin(Cause::Initial), end("t1", 0)]]).await;
    fake.refuse(Status::cancelled("the stream was reset"));
    fake.cut_after(&[change("t2", UPSERTED, "carts/a", 1)]);

    let expected = ["reset CAUSE_INITIAL", "ready 0", "carts/a@1"];
    assert_eq!(told(&mut watch, 3).await, expected);
}

#[tokio::test]
async fn a_server_that_is_silent_for_too_long_is_left() {
    let fake = Fake::start().await;
    fake.stay_after(&[begin(Cause::Initial)]);
    fake.cut_after(&[begin(Cause::Initial), end("t", 0)]);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    let client = fake
        .builder()
        .silence(Duration::from_millis(300))
        .on_connection(move |why| {
            let mut notes = notes.lock().unwrap();
            notes.push(why.map(|why| why.message.clone()));
        })
        .connect()
        .unwrap();

    let told = told(&mut watch(&client), 3).await;

    assert_eq!(
        told,
        ["reset CAUSE_INITIAL", "reset CAUSE_INITIAL", "ready 0"]
    );
    let expected = [
        Some("the server sent nothing for too long".to_owned()),
        None,
    ];
    assert_eq!(heard.lock().unwrap()[..2], expected);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let fake = Fake::new();
    let (sender, mut tries) = tokio::sync::mpsc::unbounded_channel();
    let builder = fake.builder().on_connection(move |why| {
        // The receiver is gone once the test has enough events.
        let _ = sender.send(why.map(|why| why.code));
    });
    let client = builder.connect().unwrap();
    let telling = tokio::spawn(async move { told(&mut watch(&client), 2).await });
    for _ in 0..8 {
        assert_eq!(tries.recv().await, Some(Some(Code::Unavailable)));
    }

    fake.cut_after(&[begin(Cause::Initial), end("t", 0)]);
    fake.serve().await;

    assert_eq!(telling.await.unwrap(), ["reset CAUSE_INITIAL", "ready 0"]);
}

#[tokio::test]
async fn the_place_of_the_last_event_is_known() {
    let (_fake, mut watch) = cut_after(&[
        &whole(Cause::Initial, "carts/a", 1, "t1"),
        &[change("t2", UPSERTED, "carts/a", 2)],
    ])
    .await;

    for (events, place) in [(2, ""), (1, "t1"), (1, "t2")] {
        told(&mut watch, events).await;
        assert_eq!(watch.resume_token(), place);
    }
}
