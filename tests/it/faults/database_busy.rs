//! Tests a PostgreSQL that runs but makes no progress: a lock of another session, an endless statement.

use std::time::Duration;

use sqlx::PgConnection;

use super::{assert_unavailable, other_session, read, recovers, run, write};
use crate::harness::{Engine, Setup, Shop};
use crate::watch::{add, item, visitor};
use clientela::proto::pb::{self, AddItemRequest};

/// Starts a shop whose store has short time limits, and another session on its database.
async fn shop_with_short_limits() -> (Shop, PgConnection) {
    let setup = Setup {
        store: |store| {
            store.lock_timeout = Duration::from_millis(300);
            store.statement_timeout = Duration::from_secs(2);
        },
        ..Default::default()
    };
    let shop = Shop::start_with(Engine::Postgres, setup).await;
    let connection = other_session(&shop).await;
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
async fn a_call_waits_for_a_table_locked_by_another_session_and_recovers() {
    let (shop, mut other) = shop_with_short_limits().await;
    add(&mut shop.carts(), &visitor("the patient one"), "cup").await;
    run(
        &mut other,
        "BEGIN; LOCK TABLE carts IN ACCESS EXCLUSIVE MODE",
    )
    .await;

    assert_unavailable(&read(&shop).await.unwrap_err());
    assert_unavailable(&add_one(&shop, "one").await.unwrap_err());
    write(&shop).await.expect("writes without a cart continue");

    run(&mut other, "ROLLBACK").await;
    recovers("reads", || read(&shop)).await;
    let cart = recovers("writes", || add_one(&shop, "one")).await;
    assert_eq!(cart.item_count, 2, "the refused call has no effect");
}

/// Another session keeps a lock as the program itself takes it, like a replica that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_cart_locked_by_another_session_and_recovers() {
    let (shop, mut other) = shop_with_short_limits().await;
    // The locks belong to the whole database, and the test cannot know their numbers. It makes the program
    // wait by locking the row.
    add(&mut shop.carts(), &visitor("the patient one"), "cup").await;
    run(&mut other, "BEGIN; UPDATE carts SET version = version").await;

    assert_unavailable(&add_one(&shop, "one").await.unwrap_err());
    read(&shop).await.expect("readers do not wait");

    run(&mut other, "ROLLBACK").await;
    let cart = recovers("writes", || add_one(&shop, "one")).await;
    assert_eq!(cart.item_count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_statement_is_ended_and_has_no_effect() {
    let (shop, mut other) = shop_with_short_limits().await;
    run(
        &mut other,
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql
         AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$;
         CREATE TRIGGER linger BEFORE INSERT ON carts FOR EACH ROW EXECUTE FUNCTION linger()",
    )
    .await;

    assert_unavailable(&add_one(&shop, "one").await.unwrap_err());
    read(&shop).await.expect("reads continue");

    run(&mut other, "DROP TRIGGER linger ON carts").await;
    let cart = recovers("writes", || add_one(&shop, "one")).await;
    assert_eq!(cart.item_count, 1);
}
