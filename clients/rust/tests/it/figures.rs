//! Tests of figures across interruptions.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clientela_client::v1::{
    CartFigures, Draining, ErrorReason, WatchCartFiguresRequest, WatchCartFiguresResponse,
};
use futures::StreamExt as _;
use tonic::Code;

use crate::fake::{Fake, refusal};

fn counted(open_carts: i64) -> WatchCartFiguresResponse {
    WatchCartFiguresResponse {
        figures: Some(CartFigures {
            open_carts,
            ..CartFigures::default()
        }),
        draining: None,
    }
}

#[tokio::test]
async fn figures_continue_after_an_interruption_and_end_with_what_another_attempt_cannot_cure() {
    let draining = WatchCartFiguresResponse {
        figures: None,
        draining: Some(Draining::default()),
    };
    let fake = Fake::start().await;
    fake.cut_after(&[counted(1), counted(2), draining]);
    fake.refuse(tonic::Status::cancelled("given up"));
    fake.cut_after(&[counted(3)]);
    fake.refuse(refusal(Code::Unauthenticated, "KEY_REVOKED"));
    let lost = Arc::<Mutex<Vec<bool>>>::default();
    let noting = Arc::clone(&lost);
    let client = fake
        .builder()
        .on_connection(move |error| noting.lock().unwrap().push(error.is_some()))
        .connect()
        .unwrap();

    let mut figures = client.watch_cart_figures(WatchCartFiguresRequest::default());

    for open_carts in 1..=3 {
        assert_eq!(
            figures.next().await.unwrap().unwrap().open_carts,
            open_carts
        );
    }
    let error = figures.next().await.unwrap().unwrap_err();
    assert_eq!(error.reason, ErrorReason::KeyRevoked);
    assert!(figures.next().await.is_none());
    assert_eq!(*lost.lock().unwrap(), [true, true, false, true]);
}

#[tokio::test]
async fn figures_that_are_silent_are_asked_for_again() {
    let fake = Fake::start().await;
    fake.stay_after(&[counted(1)]);
    fake.stay_after(&[counted(2)]);
    let client = fake
        .builder()
        .silence(Duration::from_millis(50))
        .connect()
        .unwrap();

    let mut figures = client.watch_cart_figures(WatchCartFiguresRequest::default());

    for open_carts in 1..=2 {
        assert_eq!(
            figures.next().await.unwrap().unwrap().open_carts,
            open_carts
        );
    }
}
