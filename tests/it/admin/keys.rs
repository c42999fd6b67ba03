//! How keys end: by themselves, and when they are revoked; for calls and for streams that are open.

use std::time::Duration;

use clientela::jobs::JobsSettings;
use clientela::proto::pb::{self, ErrorReason, Role};
use prost_types::Timestamp;
use tonic::{Code, Status, Streaming};

use crate::carts::{Carts as _, item, named, of, visitor};
use crate::harness::store::START;
use crate::harness::{Engine, PATIENCE, Setup, Shop, assert_refused, eventually, violations};

/// A shop whose clock is held, in which keys are looked at often and no work is done by itself.
async fn shop(engine: Engine) -> Shop {
    let ordinary = Setup::held();
    let setup = Setup {
        jobs: JobsSettings {
            workers: 0,
            ..ordinary.jobs
        },
        key_poll_interval: Duration::from_millis(20),
        ..ordinary
    };
    Shop::start_with(engine, setup).await
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

/// Reads on until a stream ends, and gives what it ends with.
async fn end<T>(mut stream: Streaming<T>) -> Status {
    let end = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a watch does not end well"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(PATIENCE, end)
        .await
        .expect("the stream ends")
}

/// The ends of streams of every kind that are opened with a key.
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

async fn a_key_ends_by_itself(shop: Shop) {
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
        .expect("a key without an end goes on");
    // What has ended by itself may still be revoked.
    let revoke = pb::RevokeApiKeyRequest {
        name: key.name,
        ..Default::default()
    };
    shop.admin().revoke_api_key(revoke).await.unwrap();
}

async fn a_key_does_not_end_before_it_begins(shop: Shop) {
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

/// On PostgreSQL another replica hears of it too.
async fn the_streams_of_a_revoked_key_end_and_no_others(shop: Shop) {
    let (made, other) = (
        try_make(&shop, None).await.unwrap(),
        try_make(&shop, None).await.unwrap(),
    );
    let mut ends = ends(&shop, &made.secret).await;
    let setup = Setup {
        key_poll_interval: Duration::from_millis(20),
        ..Setup::default()
    };
    let replica = match shop.engine {
        Engine::Postgres => Some(shop.replica(setup).await),
        Engine::Sqlite => None,
    };
    if let Some(replica) = &replica {
        let mut carts = replica.carts_as(&made.secret);
        let watch = carts
            .watch_carts(pb::WatchCartsRequest::default())
            .await
            .unwrap();
        ends.push(tokio::spawn(end(watch.into_inner())));
    }
    let mut carts = shop.carts_as(&other.secret);
    let mut goes_on = carts
        .watch_carts(pb::WatchCartsRequest::default())
        .await
        .unwrap()
        .into_inner();

    let name = made.api_key.unwrap().name;
    let revoke = pb::RevokeApiKeyRequest {
        name,
        ..Default::default()
    };
    shop.admin().revoke_api_key(revoke).await.unwrap();

    for end in ends {
        assert_refused(
            &end.await.unwrap(),
            Code::Unauthenticated,
            ErrorReason::KeyRevoked,
        );
    }
    let refused = eventually("the end of the key", || async {
        is_taken(&shop, &made.secret).await.err()
    });
    assert_refused(
        &refused.await,
        Code::Unauthenticated,
        ErrorReason::KeyMissing,
    );
    let added = shop.add(of(&visitor()), item("hat", 1)).await;
    loop {
        let message = goes_on
            .message()
            .await
            .expect("another's stream goes on")
            .unwrap();
        if message
            .changes
            .iter()
            .any(|change| change.name == added.name)
        {
            break;
        }
    }
    drop(goes_on);
    if let Some(replica) = replica {
        replica.stop().await;
    }
}

macro_rules! on_both {
    ($($name:ident)*) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(super::shop(super::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(super::shop(super::Engine::Postgres).await).await;
            }
        }
    )* };
}

on_both! {
    a_key_ends_by_itself
    a_key_does_not_end_before_it_begins
    the_streams_of_a_revoked_key_end_and_no_others
}
