//! A PostgreSQL that is there and does not get on: a lock of somebody else, a statement without end.

use std::time::Duration;

use sqlx::PgConnection;

use super::{assert_unavailable, comes_back, read, run, somebody_else, write};
use crate::harness::{Engine, Setup, Shop};
use crate::watch::{add, item, visitor};
use clientela::proto::pb::{self, AddItemRequest};

/// A shop whose database gives up soon, and somebody else on that.
async fn impatient() -> (Shop, PgConnection) {
    let setup = Setup {
        store: |store| {
            store.lock_timeout = Duration::from_millis(300);
            store.statement_timeout = Duration::from_secs(2);
        },
        ..Default::default()
    };
    let shop = Shop::start_with(Engine::Postgres, setup).await;
    let connection = somebody_else(&shop).await;
    (shop, connection)
}

async fn add_one(shop: &Shop, request_id: &str) -> Result<pb::Cart, tonic::Status> {
    let request = AddItemRequest {
        target: Some(visitor("the patient one")),
        item: Some(item("mug", 1)),
        request_id: request_id.into(),
        ..Default::default()
    };
    Ok(shop.carts().add_item(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_somebody_else_has_locked_is_waited_for_and_comes_back() {
    let (shop, mut other) = impatient().await;
    add(&mut shop.carts(), &visitor("the patient one"), "cup").await;
    run(
        &mut other,
        "BEGIN; LOCK TABLE carts IN ACCESS EXCLUSIVE MODE",
    )
    .await;

    assert_unavailable(&read(&shop).await.unwrap_err());
    assert_unavailable(&add_one(&shop, "one").await.unwrap_err());
    write(&shop).await.expect("what needs no cart goes on");

    run(&mut other, "ROLLBACK").await;
    comes_back("reads", || read(&shop)).await;
    let cart = comes_back("writes", || add_one(&shop, "one")).await;
    assert_eq!(cart.item_count, 2, "the refused call has no effect");
}

/// A lock as the program itself takes them, of a session that does not let go: what a replica does that
/// hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_that_another_session_holds_is_waited_for_and_comes_back() {
    let (shop, mut other) = impatient().await;
    // The locks are of the whole database, and the test cannot know their numbers: it holds what the
    // program would wait for by holding the row.
    add(&mut shop.carts(), &visitor("the patient one"), "cup").await;
    run(&mut other, "BEGIN; UPDATE carts SET version = version").await;

    assert_unavailable(&add_one(&shop, "one").await.unwrap_err());
    read(&shop).await.expect("readers do not wait");

    run(&mut other, "ROLLBACK").await;
    let cart = comes_back("writes", || add_one(&shop, "one")).await;
    assert_eq!(cart.item_count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_without_end_is_ended_and_nothing_of_it_stands() {
    let (shop, mut other) = impatient().await;
    run(
        &mut other,
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql
         AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$;
         CREATE TRIGGER linger BEFORE INSERT ON carts FOR EACH ROW EXECUTE FUNCTION linger()",
    )
    .await;

    assert_unavailable(&add_one(&shop, "one").await.unwrap_err());
    read(&shop).await.expect("reads go on");

    run(&mut other, "DROP TRIGGER linger ON carts").await;
    let cart = comes_back("writes", || add_one(&shop, "one")).await;
    assert_eq!(cart.item_count, 1);
}
