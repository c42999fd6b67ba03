//! What every call carries, how it is repeated, and how it is refused.

use std::time::Duration;

use clientela_client::{
    Client, Error,
    v1::{AddItemRequest, Cart, ErrorReason},
};
use tonic::Code;

use crate::fake::Fake;

/// Adds an item at a server that gives these answers, one to each attempt.
async fn add_item(
    answers: &[Option<Code>],
    request: AddItemRequest,
) -> (Fake, Result<Cart, Error>) {
    let fake = Fake::start().await;
    fake.answer_items(answers);
    let answer = fake.client().carts().add_item(request).await;
    let answer = answer.map(tonic::Response::into_inner).map_err(Error::from);
    (fake, answer)
}

#[tokio::test]
async fn a_call_is_repeated_with_the_same_key_and_request_id() {
    let answers = [Some(Code::Unavailable), Some(Code::Unavailable), None];

    let (fake, cart) = add_item(&answers, AddItemRequest::default()).await;

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

    let (fake, cart) = add_item(&[None], request).await;

    assert_eq!(cart.unwrap().name, "carts/a");
    assert_eq!(fake.calls()[0].1, "mine");
}

#[tokio::test]
async fn repeating_ends_after_five_times() {
    let answers = [Some(Code::Unavailable); 6];

    let (fake, refusal) = add_item(&answers, AddItemRequest::default()).await;

    assert_eq!(refusal.unwrap_err().code, Code::Unavailable);
    assert_eq!(fake.calls().len(), 5);
}

#[tokio::test]
async fn a_refusal_tells_reason_metadata_and_fields() {
    let answers = [Some(Code::AlreadyExists)];

    let (fake, refusal) = add_item(&answers, AddItemRequest::default()).await;

    let error = refusal.unwrap_err();
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
