//! Tests a PostgreSQL that is stopped, killed or restarted, or that ends connections. Acknowledged writes
//! stay, callers are asked to retry, and the service recovers by itself.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::feed::FeedSettings;
use clientela::jobs::JobsSettings;
use clientela::proto::pb::{self, operation};
use clientela::store::Hints;
use sqlx::Connection as _;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;

use super::writer::Writer;
use super::{assert_unavailable, follow, health_turns, other_session, read, recovers};
use super::{state, write};
use crate::harness::postgres::{Cluster, Durability, Stop};
use crate::harness::store::START;
use crate::harness::{CartWatch, Engine, Setup, Shop, eventually};
use crate::watch::{add, every, visitor};

/// Starts a shop on a separate cluster.
async fn shop_on_a_separate_cluster(settings: &[(&str, &str)], setup: Setup) -> (Cluster, Shop) {
    let cluster = Cluster::start(Durability::Full, settings).await;
    cluster.create_database("shop", None).await;
    let shop = Shop::start_on(cluster.url("shop"), setup).await;
    (cluster, shop)
}

/// A setup with a clock that the test moves, so that it need not wait for leases to expire.
fn held() -> Setup {
    Setup {
        clock: Clock::held_at(START),
        ..Default::default()
    }
}

/// A server that rarely uses the database by itself, so the test can take its connections.
fn quiet() -> Setup {
    const NEVER: Duration = Duration::from_secs(3_600);
    let usual = held();
    Setup {
        jobs: JobsSettings {
            workers: 0,
            poll_interval: NEVER,
            schedule_interval_max: NEVER,
        },
        feed: FeedSettings {
            poll_interval: NEVER,
            ..usual.feed
        },
        key_poll_interval: NEVER,
        hints: Hints::Off,
        ..usual
    }
}

/// A replica whose polling interval is longer than any test waits.
fn informed_only_by_hints() -> Setup {
    let feed = FeedSettings {
        poll_interval: Duration::from_secs(3600),
        ..Default::default()
    };
    Setup {
        feed,
        // Without checks of silent connections the last statement of the listener stays `LISTEN`.
        store: |store| store.silence_limit = Duration::from_secs(3600),
        ..held()
    }
}

/// Waits until both replicas listen for hints.
async fn both_listen(connection: &mut sqlx::PgConnection) {
    const LISTENERS: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    let connection = tokio::sync::Mutex::new(connection);
    eventually("two listeners", || async {
        let mut connection = connection.lock().await;
        let count: i64 = sqlx::query_scalar(LISTENERS)
            .fetch_one(&mut **connection)
            .await
            .unwrap();
        (count == 2).then_some(())
    })
    .await;
}

async fn fill_group(shop: &Shop) {
    let group = pb::Group {
        display_names: [("en".to_owned(), "many".to_owned())].into(),
        ..Default::default()
    };
    let request = pb::CreateGroupRequest {
        group: Some(group),
        group_id: "many".into(),
        ..Default::default()
    };
    shop.groups().create_group(request).await.unwrap();
    for number in 0..70 {
        let customer = pb::Customer {
            email: format!("customer-{number}@example.test"),
            groups: vec!["groups/many".into()],
            ..Default::default()
        };
        let request = pb::CreateCustomerRequest {
            customer: Some(customer),
            ..Default::default()
        };
        shop.customers().create_customer(request).await.unwrap();
    }
}

/// Deletes the group, which starts background work over its members.
async fn delete_group(shop: &Shop) -> String {
    let request = pb::DeleteGroupRequest {
        name: "groups/many".into(),
        ..Default::default()
    };
    let deleted = shop.groups().delete_group(request).await.unwrap();
    let operation = deleted.metadata().get("clientela-operation").unwrap();
    operation.to_str().unwrap().to_owned()
}

async fn is_done(shop: &Shop, operation: &str) -> Option<()> {
    let request = pb::GetOperationRequest {
        name: operation.to_owned(),
    };
    let operation = shop.operations().get_operation(request).await.ok()?;
    (operation.into_inner().state() == operation::State::Done).then_some(())
}

/// Runs the whole sequence of one outage.
async fn survives(how: Stop) {
    let (cluster, shop) = shop_on_a_separate_cluster(&[], informed_only_by_hints()).await;
    let other = shop.replica(informed_only_by_hints()).await;
    fill_group(&shop).await;
    let watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    let mut elsewhere = other.carts_as(&shop.admin_key);
    let hinted = CartWatch::open(&mut elsewhere, every()).await.unwrap();
    let writer = Writer::start(&shop);
    writer.acknowledges(30).await;
    health_turns(&shop, ServingStatus::Serving).await;
    let operation = delete_group(&shop).await;

    cluster.stop(how).await;

    assert_unavailable(&read(&shop).await.unwrap_err());
    assert_unavailable(&write(&shop).await.unwrap_err());
    health_turns(&shop, ServingStatus::NotServing).await;

    cluster.start_again().await;

    health_turns(&shop, ServingStatus::Serving).await;
    recovers("reads", || read(&shop)).await;
    recovers("writes", || write(&shop)).await;
    writer.acknowledges(30).await;
    let written = writer.stop().await;
    let carts = state(&shop).await;
    written.assert_complete(&carts);
    let refusal = ("Unavailable".to_owned(), "DATABASE_UNAVAILABLE".to_owned());
    assert!(
        written.refusals.contains(&refusal),
        "{:?}",
        written.refusals
    );
    follow(&mut shop.carts(), watch, &every(), &carts).await;
    // A worker that could not give its job back still has a lease.
    shop.clock.advance(Duration::from_secs(60));
    eventually("the background work", || is_done(&shop, &operation)).await;
    // The other replica receives hints of commits again.
    both_listen(&mut other_session(&shop).await).await;
    let mut hinted = follow(&mut elsewhere, hinted, &every(), &carts).await;
    let late = add(&mut shop.carts(), &visitor("after all"), "late").await;
    hinted
        .until("a hint", |watch| watch.carts.contains_key(&late.name))
        .await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_recovers_from_a_database_that_was_shut_down() {
    survives(Stop::Fast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_recovers_from_a_database_that_was_stopped_at_once() {
    survives(Stop::Immediate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_recovers_from_a_database_that_was_killed() {
    survives(Stop::Kill).await;
}

/// A stream that needs the database during an outage ends with a token to resume.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_cannot_read_history_keeps_its_token() {
    let (cluster, shop) = shop_on_a_separate_cluster(&[], Setup::default()).await;
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;
    let cart = add(&mut shop.carts(), &visitor("of before"), "mug").await;
    cluster.stop(Stop::Fast).await;

    // The stream may have the change already. A new stream has to read the log.
    let mut resumed = watch.resume(&mut shop.carts(), every()).await.unwrap();
    let status = resumed.next().await.unwrap_err();
    assert_unavailable(&status);
    let info = status.get_details_error_info().unwrap();
    resumed.token.clone_from(&info.metadata["resume_token"]);

    cluster.start_again().await;
    recovers("reads", || read(&shop)).await;
    let carts = state(&shop).await;
    assert_eq!(carts, [(cart.name.clone(), cart)].into());
    let resumed = resumed.resume(&mut shop.carts(), every()).await.unwrap();
    follow(&mut shop.carts(), resumed, &every(), &carts).await;
}

/// Writes do not even notice a restart between two calls: nothing was done yet on the connections that turn
/// out dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_loses_nothing() {
    let (cluster, shop) = shop_on_a_separate_cluster(&[], Setup::default()).await;
    let watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    let writer = Writer::start(&shop);

    for how in [Stop::Fast, Stop::Immediate, Stop::Kill] {
        writer.acknowledges(20).await;
        cluster.restart(how).await;
    }

    writer.acknowledges(20).await;
    let written = writer.stop().await;
    let carts = state(&shop).await;
    written.assert_complete(&carts);
    follow(&mut shop.carts(), watch, &every(), &carts).await;
}

/// Ends all sessions of the database but the calling one, and returns their number.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminated_sessions_fail_only_the_calls_in_progress() {
    let shop = Shop::start_with(Engine::Postgres, informed_only_by_hints()).await;
    let other = shop.replica(informed_only_by_hints()).await;
    let mut connection = other_session(&shop).await;
    let watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    let mut elsewhere = other.carts_as(&shop.admin_key);
    let hinted = CartWatch::open(&mut elsewhere, every()).await.unwrap();
    let writer = Writer::start(&shop);

    for _ in 0..10 {
        writer.acknowledges(5).await;
        let ended: i64 = sqlx::query_scalar(TERMINATE)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert!(ended > 0);
    }

    writer.acknowledges(5).await;
    let written = writer.stop().await;
    let carts = state(&shop).await;
    written.assert_complete(&carts);
    follow(&mut shop.carts(), watch, &every(), &carts).await;
    both_listen(&mut connection).await;
    follow(&mut elsewhere, hinted, &every(), &carts).await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_waits_for_a_free_connection_of_the_database() {
    let (cluster, shop) = shop_on_a_separate_cluster(&[("max_connections", "25")], quiet()).await;
    write(&shop).await.unwrap();
    let url = cluster.url("shop");
    let mut sessions = Vec::new();
    let mut first = other_session(&shop).await;

    // Repeats until the server has no connection left and can open none.
    loop {
        while let Ok(session) = sqlx::PgConnection::connect(&url).await {
            sessions.push(session);
        }
        let ended: i64 = sqlx::query_scalar(TERMINATE_SERVERS)
            .fetch_one(&mut first)
            .await
            .unwrap();
        // A session that is only starting is not listed yet, but takes a connection.
        let places: i64 = sqlx::query_scalar(PLACES)
            .fetch_one(&mut first)
            .await
            .unwrap();
        if ended == 0 && i64::try_from(sessions.len()).unwrap() + 1 == places {
            break;
        }
    }

    assert_unavailable(&read(&shop).await.unwrap_err());
    assert_unavailable(&write(&shop).await.unwrap_err());
    health_turns(&shop, ServingStatus::NotServing).await;
    drop(sessions);
    health_turns(&shop, ServingStatus::Serving).await;
    recovers("reads", || read(&shop)).await;
    recovers("writes", || write(&shop)).await;
}

/// The number of sessions that the current user can have.
const PLACES: &str = "SELECT current_setting('max_connections')::bigint
        - CASE WHEN rolsuper THEN 0
            ELSE current_setting('superuser_reserved_connections')::bigint END
    FROM pg_roles WHERE rolname = current_user";
/// Ends the sessions of the server under test and returns their number.
const TERMINATE_SERVERS: &str =
    "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
    WHERE application_name = 'clientela'";
