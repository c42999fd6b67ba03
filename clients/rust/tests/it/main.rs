//! What calls carry and how they are repeated, and what a watch makes of streams that are cut,
//! repeated, reset, refused and silent: against a server that does what it was told to.

mod fake;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clientela_client::{
    Client, Event, Watch,
    v1::{
        AddItemRequest, CartChange, ChangeKind, ErrorReason, WatchCartsRequest, WatchOptions,
        snapshot_begin::Cause,
    },
};
use futures::StreamExt as _;
use tonic::Code;

use fake::{Fake, begin, change, end, refusal};

const UPSERTED: ChangeKind = ChangeKind::Upserted;
const DELETED: ChangeKind = ChangeKind::Deleted;
const LEFT: ChangeKind = ChangeKind::LeftFilter;

fn watch(client: &Client) -> Watch<CartChange> {
    client.watch_carts(WatchCartsRequest::default())
}

async fn told(watch: &mut Watch<CartChange>, events: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < events {
        told.push(match watch.next().await.unwrap().unwrap() {
            Event::Changed(change) => {
                let end = match change.kind() {
                    ChangeKind::Deleted => " deleted",
                    ChangeKind::LeftFilter => " left",
                    _ => "",
                };
                format!("{}@{}{end}", change.name, change.version)
            }
            Event::Reset(cause) => format!("reset {}", cause.as_str_name()),
            Event::Ready { count } => format!("ready {count}"),
        });
    }
    told
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_after_the_last_token() {
    let fake = Fake::start().await;
    fake.cut_after(&[
        begin(Cause::Initial),
        change("", UPSERTED, "carts/a", 1),
        end("t1", 1),
    ]);
    fake.cut_after(&[change("t2", UPSERTED, "carts/a", 2)]);
    fake.cut_after(&[change("t3", UPSERTED, "carts/a", 3)]);

    let told = told(&mut watch(&fake.client()), 5).await;

    let expected = [
        "reset CAUSE_INITIAL",
        "carts/a@1",
        "ready 1",
        "carts/a@2",
        "carts/a@3",
    ];
    assert_eq!(told, expected);
    assert_eq!(fake.tokens()[..3], ["", "t1", "t2"]);
}

#[tokio::test]
async fn what_comes_twice_is_told_once() {
    let fake = Fake::start().await;
    fake.cut_after(&[
        begin(Cause::Initial),
        change("", UPSERTED, "carts/a", 2),
        end("t1", 1),
    ]);
    fake.cut_after(&[
        change("t1", UPSERTED, "carts/a", 2),
        change("t2", DELETED, "carts/a", 3),
    ]);
    fake.cut_after(&[
        change("t1", UPSERTED, "carts/a", 2),
        change("t2", DELETED, "carts/a", 3),
        change("t2", DELETED, "carts/unknown", 9),
        change("t3", UPSERTED, "carts/a", 4),
    ]);

    let told = told(&mut watch(&fake.client()), 5).await;

    let expected = [
        "reset CAUSE_INITIAL",
        "carts/a@2",
        "ready 1",
        "carts/a@3 deleted",
        "carts/a@4",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_the_clock_lets_leave_and_enter_is_told_with_the_version_it_has() {
    let fake = Fake::start().await;
    fake.cut_after(&[
        begin(Cause::Initial),
        change("", UPSERTED, "carts/a", 3),
        end("t1", 1),
        change("t2", LEFT, "carts/a", 3),
        change("t3", UPSERTED, "carts/a", 3),
    ]);

    let told = told(&mut watch(&fake.client()), 5).await;

    let expected = [
        "reset CAUSE_INITIAL",
        "carts/a@3",
        "ready 1",
        "carts/a@3 left",
        "carts/a@3",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_reset_is_told_and_versions_begin_anew() {
    let fake = Fake::start().await;
    fake.cut_after(&[
        begin(Cause::Initial),
        change("", UPSERTED, "carts/a", 7),
        end("t1", 1),
    ]);
    fake.cut_after(&[
        begin(Cause::EpochChanged),
        change("", UPSERTED, "carts/a", 2),
        end("t2", 1),
    ]);

    let mut watch = watch(&fake.client());
    told(&mut watch, 3).await;

    let expected = ["reset CAUSE_EPOCH_CHANGED", "carts/a@2", "ready 1"];
    assert_eq!(told(&mut watch, 3).await, expected);
}

#[tokio::test]
async fn a_snapshot_that_is_cut_begins_again() {
    let fake = Fake::start().await;
    fake.cut_after(&[begin(Cause::Initial), change("", UPSERTED, "carts/a", 1)]);
    fake.cut_after(&[
        begin(Cause::Initial),
        change("", UPSERTED, "carts/a", 1),
        end("t", 1),
    ]);

    let told = told(&mut watch(&fake.client()), 5).await;

    let expected = [
        "reset CAUSE_INITIAL",
        "carts/a@1",
        "reset CAUSE_INITIAL",
        "carts/a@1",
        "ready 1",
    ];
    assert_eq!(told, expected);
    assert_eq!(fake.tokens()[..2], ["", ""]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_forgotten() {
    for (code, reason) in [
        (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"),
        (Code::Aborted, "STORE_EPOCH_CHANGED"),
        (Code::InvalidArgument, "INVALID_RESUME_TOKEN"),
    ] {
        let fake = Fake::start().await;
        fake.cut_after(&[begin(Cause::Initial), end("t1", 0)]);
        fake.refuse(refusal(code, reason));
        fake.cut_after(&[begin(Cause::Initial), end("t2", 0)]);

        told(&mut watch(&fake.client()), 4).await;

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
        let fake = Fake::start().await;
        fake.refuse(refusal(code, "KEY_REVOKED"));
        let mut watch = watch(&fake.client());

        let error = watch.next().await.unwrap().unwrap_err();

        assert_eq!((error.code, error.reason), (code, ErrorReason::KeyRevoked));
        assert!(watch.next().await.is_none());
    }
}

#[tokio::test]
async fn a_watch_that_was_read_too_slowly_goes_on() {
    let fake = Fake::start().await;
    fake.cut_after(&[begin(Cause::Initial), end("t1", 0)]);
    fake.refuse(refusal(Code::ResourceExhausted, "SLOW_CONSUMER"));
    fake.cut_after(&[change("t2", UPSERTED, "carts/a", 1)]);

    let told = told(&mut watch(&fake.client()), 3).await;

    assert_eq!(told, ["reset CAUSE_INITIAL", "ready 0", "carts/a@1"]);
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
    let expected = [Some("the server is silent".to_owned()), None];
    assert_eq!(heard.lock().unwrap()[..2], expected);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let fake = Fake::new();
    let (sender, mut tries) = tokio::sync::mpsc::unbounded_channel();
    let builder = fake.builder().on_connection(move |why| {
        // Nobody hears it once the test has heard enough.
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
    let fake = Fake::start().await;
    fake.cut_after(&[
        begin(Cause::Initial),
        change("", UPSERTED, "carts/a", 1),
        end("t1", 1),
        change("t2", UPSERTED, "carts/a", 2),
    ]);
    let mut watch = watch(&fake.client());

    for (events, place) in [(2, ""), (1, "t1"), (1, "t2")] {
        told(&mut watch, events).await;
        assert_eq!(watch.resume_token(), place);
    }
}

#[tokio::test]
async fn a_watch_with_a_token_of_the_caller_begins_there() {
    let fake = Fake::start().await;
    fake.cut_after(&[change("t8", DELETED, "carts/a", 2)]);
    let options = WatchOptions {
        resume_token: "t7".to_owned(),
        ..WatchOptions::default()
    };
    let mut watch = fake.client().watch_carts(WatchCartsRequest {
        options: Some(options),
        ..WatchCartsRequest::default()
    });

    assert_eq!(watch.resume_token(), "t7");
    assert_eq!(told(&mut watch, 1).await, ["carts/a@2 deleted"]);
    assert_eq!(fake.tokens()[0], "t7");
}

#[tokio::test]
async fn a_call_is_repeated_with_the_same_key_and_request_id() {
    let fake = Fake::start().await;
    fake.answer_items(&[Some(Code::Unavailable), Some(Code::Unavailable), None]);

    let cart = fake
        .client()
        .carts()
        .add_item(AddItemRequest::default())
        .await
        .unwrap();

    assert_eq!(cart.into_inner().name, "carts/a");
    let calls = fake.calls();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[0].0, "Bearer clt_test");
    assert_eq!(calls[0].1.len(), 36);
    assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
}

#[tokio::test]
async fn a_request_id_of_the_caller_stays() {
    let fake = Fake::start().await;
    fake.answer_items(&[None]);
    let request = AddItemRequest {
        request_id: "mine".to_owned(),
        ..AddItemRequest::default()
    };

    fake.client().carts().add_item(request).await.unwrap();

    assert_eq!(fake.calls()[0].1, "mine");
}

#[tokio::test]
async fn repeating_ends_after_five_times() {
    let fake = Fake::start().await;
    fake.answer_items(&[Some(Code::Unavailable); 5]);

    let status = fake
        .client()
        .carts()
        .add_item(AddItemRequest::default())
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(fake.calls().len(), 5);
}

#[tokio::test]
async fn a_refusal_tells_reason_metadata_and_fields() {
    let fake = Fake::start().await;
    fake.answer_items(&[Some(Code::AlreadyExists)]);

    let status = fake
        .client()
        .carts()
        .add_item(AddItemRequest::default())
        .await
        .unwrap_err();

    let error = clientela_client::Error::from(status);
    assert_eq!(
        (error.code, error.reason),
        (Code::AlreadyExists, ErrorReason::EmailTaken)
    );
    assert_eq!(error.metadata["customer"], "customers/ada");
    assert_eq!(error.violations[0].field, "customer.email");
    assert_eq!(error.violations[0].reason, "TOO_LONG");
    assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_a_key_or_an_address_is_refused_before_a_call() {
    for key in ["", "clt_\n", "clé"] {
        let error = Client::builder().key(key).connect().unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(key.is_empty() || !error.message.contains(key), "{error}");
    }
    for address in [
        "",
        "127.0.0.1",
        "http://127.0.0.1:1",
        "a b:1",
        ":1",
        "127.0.0.1:1/a",
    ] {
        let builder = Client::builder().key("clt_a").address(address);
        assert!(builder.clone().connect().is_err(), "{address}");
        assert!(builder.plaintext().connect().is_err(), "{address}");
    }
}
