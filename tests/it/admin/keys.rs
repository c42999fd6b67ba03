//! Tests how keys end, by expiry and by revocation, for calls and for open streams.

mod revoked;

use std::time::Duration;

use clientela::jobs::JobsSettings;
use clientela::proto::pb::{self, ErrorReason, Role};
use prost_types::Timestamp;
use tonic::{Code, Status, Streaming};

use crate::carts::{Carts as _, item, named, of, visitor};
use crate::harness::store::START;
use crate::harness::{PATIENCE, Setup, Shop, assert_refused, violations};
use crate::on_both_engines;

/// A setup with a held clock and a short polling interval of keys, without background work.
fn polled_often() -> Setup {
    let ordinary = Setup::held();
    Setup {
        jobs: JobsSettings {
            workers: 0,
            ..ordinary.jobs
        },
        key_poll_interval: Duration::from_millis(20),
        ..ordinary
    }
}

fn in_seconds(seconds: i64) -> Option<Timestamp> {
    let seconds = START / 1_000_000 + seconds;
    Some(Timestamp { seconds, nanos: 0 })
}

async fn try_make(
    shop: &Shop,
    expire_time: Option<Timestamp>,
) -> Result<pb::CreateApiKeyResponse, Status> {
    let api_key = pb::ApiKey {
        roles: vec![Role::Support.into(), Role::Monitor.into()],
        expire_time,
        ..Default::default()
    };
    let request = pb::CreateApiKeyRequest {
        api_key: Some(api_key),
        ..Default::default()
    };
    Ok(shop.admin().create_api_key(request).await?.into_inner())
}

async fn is_taken(shop: &Shop, secret: &str) -> Result<(), Status> {
    let request = pb::ListTitlesRequest::default();
    shop.customers_as(secret)
        .list_titles(request)
        .await
        .map(drop)
}

async fn listed(shop: &Shop, show_revoked: bool) -> Vec<String> {
    let request = pb::ListApiKeysRequest {
        show_revoked,
        ..Default::default()
    };
    let keys = shop
        .admin()
        .list_api_keys(request)
        .await
        .unwrap()
        .into_inner()
        .api_keys;
    keys.into_iter().map(|key| key.name).collect()
}

/// Reads until a stream ends and returns its status.
async fn end<T>(mut stream: Streaming<T>) -> Status {
    let end = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a watch ends only with an error"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(PATIENCE, end)
        .await
        .expect("the stream ends")
}

/// Opens streams of every kind with a key and returns their ends.
async fn ends(shop: &Shop, secret: &str) -> Vec<tokio::task::JoinHandle<Status>> {
    let group = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: [("en".to_owned(), "Gone".to_owned())].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let name = shop
        .groups()
        .create_group(group)
        .await
        .unwrap()
        .into_inner()
        .name;
    let delete = pb::DeleteGroupRequest {
        name,
        ..Default::default()
    };
    let deleted = shop.groups().delete_group(delete).await.unwrap();
    let operation = deleted
        .metadata()
        .get("clientela-operation")
        .unwrap()
        .to_str()
        .unwrap();
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;

    let mut carts = shop.carts_as(secret);
    let watch = pb::WatchCartRequest {
        target: named(&cart.name),
        options: None,
    };
    let one = carts.watch_cart(watch).await.unwrap().into_inner();
    let many = carts
        .watch_carts(pb::WatchCartsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let watch = pb::WatchCustomersRequest::default();
    let customers = shop
        .customers_as(secret)
        .watch_customers(watch)
        .await
        .unwrap()
        .into_inner();
    let watch = pb::WatchGroupsRequest::default();
    let groups = shop
        .groups_as(secret)
        .watch_groups(watch)
        .await
        .unwrap()
        .into_inner();
    let watch = pb::WatchOperationRequest {
        name: operation.to_owned(),
    };
    let operation = shop
        .operations_as(secret)
        .watch_operation(watch)
        .await
        .unwrap()
        .into_inner();
    vec![
        tokio::spawn(end(one)),
        tokio::spawn(end(many)),
        tokio::spawn(end(customers)),
        tokio::spawn(end(groups)),
        tokio::spawn(end(operation)),
    ]
}

on_both_engines! {
    async fn a_key_expires(shop: Shop with polled_often()) {
        let made = try_make(&shop, in_seconds(3_600)).await.unwrap();
        let key = made.api_key.unwrap();
        assert_eq!(key.expire_time, in_seconds(3_600));
        let other = try_make(&shop, None).await.unwrap();
        let ends = ends(&shop, &made.secret).await;

        shop.clock.advance(Duration::from_secs(3_599));
        is_taken(&shop, &made.secret)
            .await
            .expect("a second is left");
        assert!(listed(&shop, false).await.contains(&key.name));
        shop.clock.advance(Duration::from_secs(1));

        let refused = is_taken(&shop, &made.secret).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);
        for end in ends {
            assert_refused(
                &end.await.unwrap(),
                Code::Unauthenticated,
                ErrorReason::KeyRevoked,
            );
        }
        assert!(!listed(&shop, false).await.contains(&key.name));
        assert!(listed(&shop, true).await.contains(&key.name));
        is_taken(&shop, &other.secret)
            .await
            .expect("a key without expiry still works");
        // An expired key may still be revoked.
        let revoke = pb::RevokeApiKeyRequest {
            name: key.name,
            ..Default::default()
        };
        shop.admin().revoke_api_key(revoke).await.unwrap();
    }

    async fn an_expiry_in_the_past_is_refused(shop: Shop with polled_often()) {
        let before = listed(&shop, true).await;
        for past in [
            in_seconds(0),
            in_seconds(-1),
            Some(Timestamp {
                seconds: 0,
                nanos: 0,
            }),
        ] {
            let refused = try_make(&shop, past).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
            let named = ("api_key.expire_time".to_owned(), "IN_PAST".to_owned());
            assert_eq!(violations(&refused), [named]);
        }
        assert_eq!(listed(&shop, true).await, before);
    }
}
