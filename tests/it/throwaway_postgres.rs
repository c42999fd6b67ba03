//! Tests the temporary PostgreSQL that every test on that engine uses.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, PgConnection};

use crate::harness::postgres::{self, Cluster, Durability, Stop};

async fn count_notes(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url)
        .await
        .expect("the database is there");
    sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(&mut connection)
        .await
        .expect("it has the table")
}

async fn write_note(url: &str) {
    let mut connection = PgConnection::connect(url)
        .await
        .expect("the database is there");
    sqlx::query("INSERT INTO notes (id) VALUES ('one')")
        .execute(&mut connection)
        .await
        .expect("it has the table");
    connection
        .close()
        .await
        .expect("the connection is still open");
}

async fn create_notes(url: String) {
    let mut connection = PgConnection::connect(&url)
        .await
        .expect("the database is there");
    sqlx::query("CREATE TABLE notes (id TEXT NOT NULL)")
        .execute(&mut connection)
        .await
        .expect("the table is new");
    connection
        .close()
        .await
        .expect("the connection is still open");
}

#[tokio::test]
async fn two_databases_share_no_data() {
    let first = postgres::database().await;
    let second = postgres::database().await;
    create_notes(first.url.clone()).await;
    create_notes(second.url.clone()).await;

    write_note(&first.url).await;

    assert_ne!(first.url, second.url);
    assert_eq!(count_notes(&first.url).await, 1);
    assert_eq!(count_notes(&second.url).await, 0);
}

#[tokio::test]
async fn databases_are_copies_of_a_template_filled_once() {
    let filled = AtomicU32::new(0);
    let fill = async |url: String| {
        filled.fetch_add(1, Ordering::Relaxed);
        create_notes(url.clone()).await;
        write_note(&url).await;
    };

    let (first, second) = tokio::join!(
        postgres::database_from("notes", fill),
        postgres::database_from("notes", fill)
    );

    write_note(&first.url).await;
    assert_eq!(filled.load(Ordering::Relaxed), 1);
    assert_eq!(count_notes(&first.url).await, 2);
    assert_eq!(count_notes(&second.url).await, 1);
}

#[tokio::test]
async fn a_dropped_database_is_gone_even_while_someone_is_connected() {
    let database = postgres::database().await;
    let url = database.url.clone();
    let mut connection = PgConnection::connect(&url)
        .await
        .expect("the database is there");

    drop(database);

    while connection.ping().await.is_ok() {
        tokio::task::yield_now().await;
    }
    while PgConnection::connect(&url).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_cluster_keeps_commits_through_a_crash_and_a_restart() {
    let cluster = Cluster::start(Durability::Full, &[("max_connections", "20")]).await;
    cluster.create_database("shop", Some("template1")).await;
    let url = cluster.url("shop");
    create_notes(url.clone()).await;
    write_note(&url).await;

    cluster.restart(Stop::Immediate).await;
    assert_eq!(count_notes(&url).await, 1);

    cluster.stop(Stop::Fast).await;
    assert!(PgConnection::connect(&url).await.is_err());

    cluster.start_again().await;
    assert_eq!(count_notes(&url).await, 1);
}
