//! Tests an SQLite file that another program has locked for writing.

use std::time::Duration;

use clientela::proto::pb::{self, AddItemRequest};
use clientela::store::DATABASE_FILE;
use futures::future::join_all;
use sqlx::{Connection as _, SqliteConnection};
use tonic_health::pb::health_check_response::ServingStatus;

use super::{assert_unavailable, health_turns, read, recovers};
use crate::harness::{Engine, Setup, Shop};
use crate::watch::{add, item, visitor};

async fn add_line(shop: &Shop, line: usize) -> Result<pb::Cart, tonic::Status> {
    let request = AddItemRequest {
        target: Some(visitor("of the locked file")),
        item: Some(item(&format!("p{line}"), 1)),
        request_id: format!("line {line}"),
        ..Default::default()
    };
    Ok(shop.carts().add_item(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_file_locked_by_another_program_and_recovers() {
    let setup = Setup {
        store: |store| store.busy_timeout = Duration::from_millis(100),
        ..Default::default()
    };
    let shop = Shop::start_with(Engine::Sqlite, setup).await;
    add(&mut shop.carts(), &visitor("of the locked file"), "first").await;
    let file = shop.folder().join(DATABASE_FILE);
    let mut other = SqliteConnection::connect(file.to_str().unwrap())
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();

    let refused = join_all((0..20).map(|line| add_line(&shop, line))).await;

    for outcome in refused {
        assert_unavailable(&outcome.unwrap_err());
    }
    read(&shop).await.expect("reads continue");
    health_turns(&shop, ServingStatus::Serving).await;

    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();

    for line in 0..20 {
        recovers("the write", || add_line(&shop, line)).await;
    }
    let cart = add(&mut shop.carts(), &visitor("of the locked file"), "last").await;
    assert_eq!(cart.item_count, 22, "each once");
}
