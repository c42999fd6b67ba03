//! Tests that a change at one replica reaches the other at once by a hint, and without hints by polling. The
//! polling interval is an hour in tests that rely on hints.

use std::process::Stdio;
use std::time::{Duration, Instant};

use clientela::store::{Hints, NatsUrls};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::nats::Nats;
use crate::cli::program;
use crate::harness::{CartWatch, Engine, PATIENCE, Replica, Setup, Shop, eventually, unique};
use crate::watch::{add, every, visitor};

/// A setup whose replicas poll at this interval.
fn polls_every(interval: Duration, hints: &Hints) -> Setup {
    let mut setup = Setup {
        hints: hints.clone(),
        ..Setup::default()
    };
    setup.feed.poll_interval = interval;
    setup
}

fn rarely_polls(hints: &Hints) -> Setup {
    polls_every(Duration::from_secs(3_600), hints)
}

fn polls_often(hints: &Hints) -> Setup {
    polls_every(Duration::from_millis(100), hints)
}

/// Opens a watch of all carts at a replica.
async fn watch_at(replica: &Replica, shop: &Shop) -> CartWatch {
    let mut client = replica.carts_as(&shop.admin_key);
    let mut watch = CartWatch::open(&mut client, every()).await.unwrap();
    watch.snapshot().await;
    watch
}

/// Fills a new cart at the shop's first server and waits until the watch has it.
async fn change_is_seen(shop: &Shop, watch: &mut CartWatch) {
    let who = visitor(&format!("number {}", unique()));
    let cart = add(&mut shop.carts(), &who, "a").await;
    watch
        .until("the cart", |watch| watch.carts.contains_key(&cart.name))
        .await;
}

/// Makes changes until the replica has received a hint, and each change arrives.
async fn changes_are_hinted(shop: &Shop, replica: &Replica, watch: &mut CartWatch) {
    let before = replica.store().hints_received();
    change_is_seen(shop, watch).await;
    let until = Instant::now() + PATIENCE;
    while replica.store().hints_received() == before {
        assert!(Instant::now() < until, "a hint arrives");
        change_is_seen(shop, watch).await;
    }
}

/// Two replicas use different servers of a cluster. The second replica has two servers to choose from, so one
/// of the two deaths below moves it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_hinted_through_a_cluster_of_which_any_server_may_die() {
    let mut nats = Nats::start(3);
    nats.formed(&[0, 1, 2]).await;
    let shop = Shop::start_with(Engine::Postgres, rarely_polls(&nats.hints(&[0]))).await;
    let replica = shop.replica(rarely_polls(&nats.hints(&[1, 2]))).await;
    let polling = shop.replica(polls_often(&nats.hints(&[1, 2]))).await;
    let mut watch = watch_at(&replica, &shop).await;
    let mut poll = watch_at(&polling, &shop).await;
    changes_are_hinted(&shop, &replica, &mut watch).await;

    nats.kill(1);
    changes_are_hinted(&shop, &replica, &mut watch).await;
    nats.start_again(1);
    nats.formed(&[0, 1, 2]).await;
    nats.kill(2);
    changes_are_hinted(&shop, &replica, &mut watch).await;

    nats.kill(0);
    nats.kill(1);
    let (hinted, received) = (
        replica.store().hints_received(),
        polling.store().hints_received(),
    );
    for _ in 0..3 {
        change_is_seen(&shop, &mut poll).await;
    }
    assert_eq!(
        replica.store().hints_received(),
        hinted,
        "no server passes hints on"
    );
    assert_eq!(
        polling.store().hints_received(),
        received,
        "no server passes hints on"
    );

    nats.start_again(0);
    nats.start_again(1);
    let here = poll.carts.len();
    watch
        .until("the changes made meanwhile", |watch| {
            watch.carts.len() == here
        })
        .await;
    nats.formed(&[0, 1]).await;
    changes_are_hinted(&shop, &replica, &mut watch).await;
    assert_eq!(watch.changes.len(), watch.carts.len(), "each was sent once");
    replica.stop().await;
    polling.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_without_nats_and_connects_later() {
    let mut nats = Nats::start(1);
    nats.kill(0);
    let setup = polls_often(&nats.hints(&[0]));
    let shop = Shop::start_with(Engine::Postgres, setup.clone()).await;
    let replica = shop.replica(setup).await;
    let mut watch = watch_at(&replica, &shop).await;
    change_is_seen(&shop, &mut watch).await;
    assert_eq!(replica.store().hints_received(), 0);

    nats.start_again(0);

    changes_are_hinted(&shop, &replica, &mut watch).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hints_without_changes_do_no_harm() {
    let nats = Nats::start(1);
    let hints = nats.hints(&[0]);
    let shop = Shop::start_with(Engine::Postgres, rarely_polls(&hints)).await;
    let replica = shop.replica(rarely_polls(&hints)).await;
    let mut watch = watch_at(&replica, &shop).await;
    let client = nats.client(0).await;
    let subject = format!("clientela.{}.wake", shop.store().meta().store_id());
    let received = async || (replica.store().hints_received() >= 10).then_some(());
    eventually("the replica to listen", async || {
        client
            .publish(subject.clone(), "probe".into())
            .await
            .unwrap();
        received().await
    })
    .await;

    for round in 0..10 {
        for _ in 0..100 {
            client.publish(subject.clone(), "".into()).await.unwrap();
        }
        client.flush().await.unwrap();
        change_is_seen(&shop, &mut watch).await;
        assert_eq!(watch.changes.len(), round + 1, "each was sent once");
    }
    replica.stop().await;
}

/// A replica whose user may not subscribe receives no hints, and misses no change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_without_hints_loses_nothing() {
    let nats = Nats::start(1);
    let shop = Shop::start_with(Engine::Postgres, rarely_polls(&nats.hints(&[0]))).await;
    let deaf = NatsUrls::read(&[nats.url_as("deaf", 0)]).unwrap();
    let replica = shop.replica(polls_often(&Hints::Nats(deaf))).await;
    let mut watch = watch_at(&replica, &shop).await;

    for round in 0..10 {
        change_is_seen(&shop, &mut watch).await;
        assert_eq!(watch.changes.len(), round + 1, "each was sent once");
    }

    assert_eq!(replica.store().hints_received(), 0);
    // It may publish, though, and the other replica receives its hints.
    let mut client = replica.carts_as(&shop.admin_key);
    let mut here = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    let (mut number, until) = (0, Instant::now() + PATIENCE);
    while shop.store().hints_received() == 0 {
        assert!(Instant::now() < until, "a hint arrives");
        number += 1;
        let cart = add(
            &mut client,
            &visitor(&format!("of the deaf, {number}")),
            "a",
        )
        .await;
        here.until("its cart", |here| here.carts.contains_key(&cart.name))
            .await;
    }
    replica.stop().await;
}

/// Returns the channel of a shop's hints in the database.
fn channel(shop: &Shop) -> String {
    format!(
        "clientela_{}",
        shop.store().meta().store_id().replace('-', "")
    )
}

async fn session(shop: &Shop) -> PgConnection {
    PgConnection::connect(shop.database_url()).await.unwrap()
}

const END_LISTENERS: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND query ILIKE 'LISTEN %'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_whose_session_was_ended_listens_again() {
    let shop = Shop::start_with(Engine::Postgres, rarely_polls(&Hints::Notify)).await;
    let replica = shop.replica(rarely_polls(&Hints::Notify)).await;
    let mut watch = watch_at(&replica, &shop).await;
    changes_are_hinted(&shop, &replica, &mut watch).await;
    let mut session = session(&shop).await;

    for _ in 0..2 {
        let ended: i64 = sqlx::query_scalar(END_LISTENERS)
            .fetch_one(&mut session)
            .await
            .unwrap();
        assert!(ended >= 1, "a replica listened");
        changes_are_hinted(&shop, &replica, &mut watch).await;
    }

    assert_eq!(watch.changes.len(), watch.carts.len(), "each was sent once");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_notifications_without_changes_do_no_harm() {
    let shop = Shop::start_with(Engine::Postgres, rarely_polls(&Hints::Notify)).await;
    let replica = shop.replica(rarely_polls(&Hints::Notify)).await;
    let mut watch = watch_at(&replica, &shop).await;
    changes_are_hinted(&shop, &replica, &mut watch).await;
    let (seen, received) = (watch.changes.len(), replica.store().hints_received());
    let mut session = session(&shop).await;
    // PostgreSQL would merge notifications with the same payload.
    let notify = format!(
        "SELECT pg_notify('{}', n::text) FROM generate_series(1, 1000) AS n",
        channel(&shop)
    );

    sqlx::raw_sql(AssertSqlSafe(notify))
        .execute(&mut session)
        .await
        .unwrap();
    change_is_seen(&shop, &mut watch).await;

    assert_eq!(watch.changes.len(), seen + 1, "each was sent once");
    eventually("the notifications", async || {
        (replica.store().hints_received() >= received + 1_000).then_some(())
    })
    .await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_hints_a_change_is_found_by_polling() {
    let shop = Shop::start_with(Engine::Postgres, polls_often(&Hints::Off)).await;
    let replica = shop.replica(polls_often(&Hints::Off)).await;
    let mut watch = watch_at(&replica, &shop).await;

    for _ in 0..5 {
        change_is_seen(&shop, &mut watch).await;
    }

    assert_eq!(replica.store().hints_received(), 0);
    replica.stop().await;
}

/// With NATS no session listens in the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_replaces_notifications() {
    let nats = Nats::start(1);
    let shop = Shop::start_with(Engine::Postgres, rarely_polls(&nats.hints(&[0]))).await;
    let replica = shop.replica(rarely_polls(&nats.hints(&[0]))).await;
    let mut watch = watch_at(&replica, &shop).await;
    changes_are_hinted(&shop, &replica, &mut watch).await;
    let mut session = session(&shop).await;

    let listeners: i64 = sqlx::query_scalar(END_LISTENERS)
        .fetch_one(&mut session)
        .await
        .unwrap();

    assert_eq!(listeners, 0);
    replica.stop().await;
}

fn refusal(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .args(arguments)
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn an_embedded_store_refuses_a_setting_of_hints() {
    let refused = refusal(&["--nats-url", "nats://127.0.0.1:4222"]);

    assert!(
        refused.contains("--nats-url is for replicas on one PostgreSQL"),
        "{refused}"
    );
}

#[test]
fn a_url_of_another_scheme_is_refused_and_not_printed() {
    let database = ["--database-url", "postgres://127.0.0.1:1/none"];
    let [flag, url] = database;

    let refused = refusal(&[flag, url, "--nats-url", "amqp://u:hunter2@127.0.0.1"]);

    assert!(refused.contains("nats:// or tls://"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
}

/// The server at the port is no NATS server. The test sees each attempt to connect, and none succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_logged_once() {
    let database = crate::harness::postgres::database().await;
    let folder = tempfile::tempdir().unwrap();
    let hangs_up = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", hangs_up.local_addr().unwrap());
    let log = folder.path().join("log");
    let mut server = program()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            &database.url,
        ])
        .args(["--nats-url", &url, "--data-dir"])
        .arg(folder.path().join("data"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .expect("the program runs");

    for _ in 0..4 {
        let accepted = tokio::time::timeout(PATIENCE, hangs_up.accept());
        drop(accepted.await.expect("it tries again").unwrap());
    }

    let id = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
    let log = std::fs::read_to_string(log).unwrap();
    let outages = log
        .matches("replicas cannot notify each other of changes")
        .count();
    assert_eq!(outages, 1, "{log}");
    assert!(!log.contains("event: "), "{log}");
}
