//! How keys end: by themselves, and when they are revoked; for calls and for streams that are open.

use std::time::Duration;

use clientela::error::Error;
use clientela::jobs::JobsSettings;
use clientela::proto::pb::{self, ErrorReason, Role, cart_service_client::CartServiceClient};
use clientela::store::{Purpose, StoreConfig};
use futures::FutureExt as _;
use prost_types::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, watch};
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::carts::{Carts as _, item, named, of, visitor};
use crate::faults::{health_turns, run, somebody_else};
use crate::harness::store::START;
use crate::harness::{
    Engine, PATIENCE, Setup, Shop, Transport, assert_refused, eventually, violations,
};

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

/// Keys are looked after once in an hour here, so that only the revocation itself can be what ends one.
async fn a_revocation_acts_at_once_where_it_is_made(engine: Engine) {
    let setup = Setup {
        key_poll_interval: Duration::from_secs(3_600),
        ..Setup::idle()
    };
    let shop = Shop::start_with(engine, setup).await;
    let made = try_make(&shop, None).await.unwrap();
    is_taken(&shop, &made.secret).await.expect("it is live");
    let ends = ends(&shop, &made.secret).await;

    let name = made.api_key.unwrap().name;
    let revoke = pb::RevokeApiKeyRequest {
        name,
        ..Default::default()
    };
    shop.admin().revoke_api_key(revoke).await.unwrap();

    let refused = is_taken(&shop, &made.secret).await.unwrap_err();
    assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);
    for end in ends {
        let end = end.await.unwrap();
        assert_refused(&end, Code::Unauthenticated, ErrorReason::KeyRevoked);
    }
}

/// Takes every connection of some purposes, until what is given back is dropped.
async fn take_all(shop: &Shop, purposes: &[(Purpose, usize)]) -> watch::Sender<()> {
    let (leave, left) = watch::channel(());
    let (taking, mut takes) = mpsc::unbounded_channel();
    for &(purpose, connections) in purposes {
        for _ in 0..connections {
            let store = shop.store().reserved_for(purpose);
            let (mut left, taking) = (left.clone(), taking.clone());
            tokio::spawn(async move {
                let held = store.read(|_| {
                    async move {
                        taking.send(()).map_err(Error::internal)?;
                        // Fails when the sender is dropped.
                        let _ = left.changed().await;
                        Ok(())
                    }
                    .boxed()
                });
                held.await
            });
        }
    }
    let all: usize = purposes.iter().map(|(_, connections)| connections).sum();
    for _ in 0..all {
        takes.recv().await.expect("a connection is free");
    }
    leave
}

/// The database's readers are all busy for as long as the key lives: with calls, lists and streams.
async fn a_key_is_revoked_while_all_readers_are_taken(engine: Engine) {
    let shop = Shop::start_with(engine, Setup::idle()).await;
    let replica = match engine {
        Engine::Postgres => Some(shop.replica(Setup::idle()).await),
        Engine::Sqlite => None,
    };
    let made = try_make(&shop, None).await.unwrap();
    let mut clients = vec![shop.carts_as(&made.secret)];
    clients.extend(replica.iter().map(|replica| replica.carts_as(&made.secret)));
    let mut ends = Vec::new();
    for mut carts in clients {
        let watch = carts.watch_carts(pb::WatchCartsRequest::default()).await;
        ends.push(tokio::spawn(end(watch.unwrap().into_inner())));
    }
    let config = StoreConfig::new(shop.database());
    let taken = take_all(
        &shop,
        &[
            (Purpose::Calls, config.read_connections),
            (Purpose::Lists, config.list_connections),
            (Purpose::Streams, config.stream_connections),
        ],
    )
    .await;

    // Its key is of an operator, so that the shop has to be asked for, and it was never used before.
    let revoke = pb::RevokeApiKeyRequest {
        name: made.api_key.unwrap().name,
        ..Default::default()
    };
    let mut operator = shop.admin_as(&shop.operator_key);
    operator.revoke_api_key(revoke).await.unwrap();

    for end in ends {
        let end = end.await.unwrap();
        assert_refused(&end, Code::Unauthenticated, ErrorReason::KeyRevoked);
    }
    let refused = is_taken(&shop, &made.secret).await.unwrap_err();
    assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);
    health_turns(&shop, ServingStatus::Serving).await;
    drop(taken);
    if let Some(replica) = replica {
        replica.stop().await;
    }
}

/// So many keys, all of them used, that no look after the keys reads them all.
async fn a_key_among_very_many_is_revoked_everywhere(engine: Engine) {
    let shop = Shop::start_with(engine, Setup::idle()).await;
    let many = "INSERT INTO api_keys (id, digest, doc, create_time)
        SELECT 'many-' || n, $digest, '{\"roles\":[2]}', 1 FROM ";
    let (digest, numbers) = match engine {
        Engine::Sqlite => (
            "randomblob(32)",
            "(WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000)
              SELECT n FROM c)",
        ),
        Engine::Postgres => (
            "sha256(n::text::bytea)",
            "generate_series(1, 100000) AS numbers (n)",
        ),
    };
    let statement = many.replace("$digest", digest) + numbers;
    match engine {
        Engine::Sqlite => {
            let url = format!("sqlite://{}/clientela.db", shop.folder().display());
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            let statement = sqlx::raw_sql(AssertSqlSafe(statement));
            statement.execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        Engine::Postgres => run(&mut somebody_else(&shop).await, &statement).await,
    }
    let replica = match engine {
        Engine::Postgres => Some(shop.replica(Setup::idle()).await),
        Engine::Sqlite => None,
    };
    let made = try_make(&shop, None).await.unwrap();
    let clients = [
        Some(shop.carts_as(&made.secret)),
        replica
            .as_ref()
            .map(|replica| replica.carts_as(&made.secret)),
    ];
    let list = |client: &CartServiceClient<Transport>| {
        let mut client = client.clone();
        async move { client.list_carts(pb::ListCartsRequest::default()).await }
    };
    for client in clients.iter().flatten() {
        list(client).await.expect("a new key is taken at once");
    }

    let revoke = pb::RevokeApiKeyRequest {
        name: made.api_key.unwrap().name,
        ..Default::default()
    };
    shop.admin().revoke_api_key(revoke).await.unwrap();

    for client in clients.iter().flatten() {
        let refused = eventually("the end of the key", || async { list(client).await.err() });
        let refused = refused.await;
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);
    }
    if let Some(replica) = replica {
        replica.stop().await;
    }
}

macro_rules! on_both_from_scratch {
    ($($name:ident)*) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(super::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(super::Engine::Postgres).await;
            }
        }
    )* };
}

on_both_from_scratch! {
    a_revocation_acts_at_once_where_it_is_made
    a_key_is_revoked_while_all_readers_are_taken
    a_key_among_very_many_is_revoked_everywhere
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
