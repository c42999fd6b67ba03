//! Tests of the options of a client, and of plaintext.

use clientela_client::{
    Client,
    v1::{AddItemRequest, ErrorReason},
};
use tonic::Code;

use crate::{calls::add_item, fake::Fake};

#[tokio::test]
async fn what_cannot_be_a_key_or_an_address_is_refused_before_a_call() {
    for key in ["", "clt_\n", "clé"] {
        let error = Client::builder().key(key).connect().unwrap_err();
        if key.is_empty() {
            assert_eq!(error.code, Code::Unauthenticated);
            assert_eq!(error.reason, ErrorReason::KeyMissing);
            assert!(error.to_string().contains("CLIENTELA_API_KEY"), "{error}");
        } else {
            assert_eq!(error.code, Code::InvalidArgument);
            assert!(!error.message.contains(key), "{error}");
        }
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

#[tokio::test]
async fn another_host_is_called_in_plaintext_only_if_that_was_asked_for_by_name() {
    let fake = Fake::start().await;
    let elsewhere = fake.builder().address(fake.address_elsewhere());

    let refusal = match elsewhere.clone().connect() {
        Ok(client) => add_item(&client, AddItemRequest::default())
            .await
            .unwrap_err(),
        Err(refusal) => refusal,
    };

    let expected = match cfg!(feature = "tls") {
        true => Code::Unavailable,
        false => Code::InvalidArgument,
    };
    assert_eq!(refusal.code, expected, "{refusal}");
    assert!(fake.calls().is_empty());

    fake.answer_items(&[None]);
    let client = elsewhere.plaintext().connect().unwrap();
    let cart = add_item(&client, AddItemRequest::default()).await.unwrap();
    assert_eq!(cart.name, "carts/a");
}
