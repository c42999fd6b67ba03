//! Tests of calls: their headers, their repetition, their refusals.

use std::time::Duration;

use clientela_client::{
    Client, Error,
    v1::{AddItemRequest, Cart, ErrorReason},
};
use tonic::Code;

use crate::fake::Fake;

/// Adds an item to a cart.
pub async fn add_item(client: &Client, request: AddItemRequest) -> Result<Cart, Error> {
    Ok(client.carts().add_item(request).await?.into_inner())
}

/// The same with a server that gives these answers, one for each attempt.
async fn answered(
    answers: &[Option<Code>],
    request: AddItemRequest,
) -> (Fake, Result<Cart, Error>) {
    let fake = Fake::start().await;
    fake.answer_items(answers);
    let answer = add_item(&fake.client(), request).await;
    (fake, answer)
}

#[tokio::test]
async fn a_call_is_repeated_with_the_same_key_and_request_id() {
    let answers = [Some(Code::Unavailable), Some(Code::Unavailable), None];

    let (fake, cart) = answered(&answers, AddItemRequest::default()).await;

    assert_eq!(cart.unwrap().name, "carts/a");
    let calls = fake.calls();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[0].0, "Bearer clt_test");
    assert_eq!(calls[0].1.len(), 36);
    assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
}

#[tokio::test]
async fn a_request_id_of_the_caller_stays() {
    let request = AddItemRequest {
        request_id: "mine".to_owned(),
        ..AddItemRequest::default()
    };

    let (fake, cart) = answered(&[None], request).await;

    assert_eq!(cart.unwrap().name, "carts/a");
    assert_eq!(fake.calls()[0].1, "mine");
}

#[tokio::test]
async fn repeating_ends_after_five_times() {
    let answers = [Some(Code::Unavailable); 6];

    let (fake, refusal) = answered(&answers, AddItemRequest::default()).await;

    assert_eq!(refusal.unwrap_err().code, Code::Unavailable);
    assert_eq!(fake.calls().len(), 5);
}

#[tokio::test]
async fn a_refusal_tells_reason_metadata_and_fields() {
    let answers = [Some(Code::AlreadyExists)];

    let (fake, refusal) = answered(&answers, AddItemRequest::default()).await;

    let error = refusal.unwrap_err();
    assert_eq!(
        (error.code, error.reason),
        (Code::AlreadyExists, ErrorReason::EmailTaken)
    );
    assert_eq!(error.metadata["customer"], "customers/ada");
    assert_eq!(error.violations[0].field, "customer.email");
    assert_eq!(error.violations[0].reason, "TOO_LONG");
    assert_eq!(
        error.to_string(),
        "EMAIL_TAKEN: customer.email: is too long"
    );
    assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
    assert_eq!(fake.calls().len(), 1);
}
