//! Tests of the servers that a client trusts over TLS. Their certificates were made with `openssl ca` and are
//! valid from 2020 to 2120.

use clientela_client::{
    Error, Event,
    v1::{AddItemRequest, ErrorReason, WatchCartsRequest, snapshot_begin::Cause},
};
use futures::StreamExt as _;
use tonic::{
    Code,
    transport::{Certificate, ClientTlsConfig},
};

use crate::{calls::add_item, fake::Fake, messages::carts::begin};

const AUTHORITY: &str = include_str!("certificates/authority.pem");

fn trusting() -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(AUTHORITY))
}

/// The error of a call that sent nothing to the server.
async fn refused(fake: &Fake, address: String, tls: ClientTlsConfig) -> Error {
    let client = fake.builder().address(address).tls(tls).connect().unwrap();
    let refusal = add_item(&client, AddItemRequest::default())
        .await
        .unwrap_err();
    assert!(fake.calls().is_empty());
    let expected = (Code::Unavailable, ErrorReason::Unspecified);
    assert_eq!((refusal.code, refusal.reason), expected, "{refusal}");
    refusal
}

#[tokio::test]
async fn a_call_and_a_watch_reach_a_server_of_a_known_authority() {
    let fake = Fake::start_with_tls().await;
    let client = fake.builder().tls(trusting()).connect().unwrap();
    fake.answer_items(&[None]);
    fake.stay_after(&[begin(Cause::Initial)]);

    let cart = add_item(&client, AddItemRequest::default()).await.unwrap();
    let mut watch = client.watch_carts(WatchCartsRequest::default());
    let event = watch.next().await.unwrap().unwrap();

    assert_eq!(cart.name, "carts/a");
    assert_eq!(event, Event::Reset(Cause::Initial));
    assert_eq!(fake.calls()[0].0, "Bearer clt_test");
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_told_nothing() {
    let fake = Fake::start_with_tls().await;

    let refusal = refused(&fake, fake.address(), ClientTlsConfig::new()).await;

    assert!(refusal.message.contains("certificate"), "{refusal}");
}

#[tokio::test]
async fn a_server_that_is_certified_for_another_host_is_told_nothing() {
    let fake = Fake::start_with_tls().await;

    let refusal = refused(&fake, fake.address_elsewhere(), trusting()).await;

    assert!(refusal.message.contains("certificate"), "{refusal}");
}

#[tokio::test]
async fn a_server_without_tls_is_told_nothing_if_tls_was_asked_for() {
    let fake = Fake::start().await;

    refused(&fake, fake.address(), trusting()).await;
}
