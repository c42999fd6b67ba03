//! Tests when a stream is closed as unread, and when it is not.

use futures::{FutureExt as _, StreamExt as _, stream};
use tonic::Code;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

/// A stream of these numbers that then waits for ever, and a handle that shows when it was dropped.
fn numbers(stall_detector: &StallDetector, until: u64) -> (Guarded<u64, u64>, Weak<()>) {
    let held = Arc::new(());
    let gone = Arc::downgrade(&held);
    let numbers = stream::iter(1..=until).chain(stream::pending());
    let messages = numbers.map(move |number| {
        let _held = &held;
        Ok((number, number))
    });
    let guarded = stall_detector.guard(messages, 0, |error, last| {
        error.with("last", last.to_string())
    });
    (guarded, gone)
}

fn lookout() -> (Clock, StallDetector) {
    let clock = Clock::held_at(0);
    let stall_detector = StallDetector::new(clock.clone(), LIMIT);
    tokio::spawn(stall_detector.clone().look_over(CancellationToken::new()));
    (clock, stall_detector)
}

/// Moves the clock until the task has closed the stream.
async fn is_given_up(clock: &Clock, gone: &Weak<()>) {
    while gone.strong_count() > 0 {
        clock.advance(LIMIT / LOOKS);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_unread_stream_is_closed_with_its_resume_token() {
    let (clock, stall_detector) = lookout();
    let (mut guarded, gone) = numbers(&stall_detector, 9);
    assert_eq!(guarded.next().await.unwrap().unwrap(), 1);
    assert_eq!(guarded.next().await.unwrap().unwrap(), 2);

    is_given_up(&clock, &gone).await;

    let status = guarded.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = tonic_types::StatusExt::get_details_error_info(&status).unwrap();
    assert_eq!(details.reason, "SLOW_CONSUMER");
    assert_eq!(details.metadata["last"], "2");
    assert!(guarded.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_is_never_asked_is_given_up() {
    let (clock, stall_detector) = lookout();
    let (mut guarded, gone) = numbers(&stall_detector, 9);

    is_given_up(&clock, &gone).await;

    let status = guarded.next().await.unwrap().unwrap_err();
    let details = tonic_types::StatusExt::get_details_error_info(&status).unwrap();
    assert_eq!(details.metadata["last"], "0");
}

/// Nor is one that is read again just in time.
#[tokio::test]
async fn a_stream_that_waits_for_something_to_say_is_not_given_up() {
    let (clock, stall_detector) = lookout();
    let (mut guarded, gone) = numbers(&stall_detector, 2);
    for number in [1, 2] {
        clock.advance(LIMIT);
        tokio::task::yield_now().await;
        assert_eq!(guarded.next().await.unwrap().unwrap(), number);
    }
    assert!(guarded.next().now_or_never().is_none());

    for _ in 0..100 {
        clock.advance(LIMIT);
        tokio::task::yield_now().await;
    }

    assert!(guarded.next().now_or_never().is_none());
    assert_eq!(gone.strong_count(), 1);
}

/// The encoder may poll for one message more than the connection takes.
#[tokio::test]
async fn a_waiting_stream_that_is_not_polled_for_a_new_message_is_closed() {
    let (clock, stall_detector) = lookout();
    let (sender, receiver) = futures::channel::mpsc::unbounded::<u64>();
    let messages = receiver.map(|number| Ok((number, number)));
    let mut guarded = stall_detector.guard(messages, 0, |error, _| error);
    assert!(guarded.next().now_or_never().is_none());

    while sender.unbounded_send(1).is_ok() {
        clock.advance(LIMIT / LOOKS);
        tokio::task::yield_now().await;
    }

    let status = guarded.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_dropped_stream_is_not_checked_any_more() {
    let (_, stall_detector) = lookout();
    let (guarded, gone) = numbers(&stall_detector, 2);
    assert_eq!(stall_detector.slots(0).len(), 1);

    drop(guarded);

    assert!(stall_detector.slots(0).is_empty());
    assert_eq!(gone.strong_count(), 0);
}
