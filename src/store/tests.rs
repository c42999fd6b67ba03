//! The promises of the store, on SQLite and on a throw-away PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;

use tonic::Code;

use super::*;
use crate::error::Error;
use crate::proto::pb::ErrorReason;
use crate::{execute, on};

#[path = "../../tests/it/harness/postgres.rs"]
#[expect(dead_code, reason = "the tests of the whole program use all of it")]
mod cluster;
mod dry_runs;
mod ends;
mod locks;
mod opening;
mod parity;
mod reactions;
mod reads;
mod sqlite_writer;
mod writes;

/// A store of its own that is removed with the test.
struct Fixture {
    store: Store,
    config: StoreConfig,
    _place: Place,
}

/// The location of a store, removed when this is dropped.
#[expect(dead_code, reason = "each is only kept")]
enum Place {
    Folder(tempfile::TempDir),
    Database(cluster::TestDatabase),
}

/// One store of each engine.
async fn stores() -> Vec<Fixture> {
    vec![sqlite().await, postgres().await]
}

async fn sqlite() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));
    Fixture::open(config, Place::Folder(folder)).await
}

async fn postgres() -> Fixture {
    let database = cluster::database().await;
    let config = StoreConfig::new(DatabaseUrl::postgres(&database.url).unwrap());
    Fixture::open(config, Place::Database(database)).await
}

impl Fixture {
    async fn open(config: StoreConfig, place: Place) -> Self {
        let store = Store::open(&config, Clock::system()).await.unwrap();
        store
            .write(Locks::none(), |tx| {
                async move {
                    execute!(tx, sqlx::query("DELETE FROM sequences"))?;
                    Ok(())
                }
                .boxed()
            })
            .await
            .unwrap();
        Self {
            store,
            config,
            _place: place,
        }
    }

    /// Adds one to a counter, as an area would: lock, read, write.
    async fn increment(&self, name: &str) -> Result<i64> {
        let locks = Locks::of("counter", "s", name);
        self.store
            .write_with(locks, name.to_owned(), |tx, name| {
                increment(tx, name).boxed()
            })
            .await
    }

    async fn counter(&self, name: &str) -> Option<i64> {
        let name = name.to_owned();
        self.store
            .read(move |conn| async move { Ok(counter(conn, &name).await?) }.boxed())
            .await
            .unwrap()
    }
}

fn code<T>(outcome: &Result<T>) -> Option<Code> {
    outcome.as_ref().err().map(Error::code)
}

/// The refusal of closures in these tests.
fn refusal() -> Error {
    Error::new(Code::FailedPrecondition, ErrorReason::InvalidField, "no")
}

async fn counter(conn: &mut Conn, name: &str) -> sqlx::Result<Option<i64>> {
    on!(conn, |e| {
        sqlx::query_scalar("SELECT next FROM sequences WHERE shop_id = $1 AND name = $2")
            .bind("s")
            .bind(name)
            .fetch_optional(e)
            .await
    })
}

async fn set_counter(tx: &mut Tx, name: &str, value: i64) -> sqlx::Result<u64> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO sequences (shop_id, name, next) VALUES ($1, $2, $3) \
             ON CONFLICT (shop_id, name) DO UPDATE SET next = excluded.next",
        )
        .bind("s")
        .bind(name)
        .bind(value)
    )
}

async fn increment(tx: &mut Tx, name: &str) -> Result<i64> {
    tx.require(LockKey::of("counter", "s", name))?;
    let next = counter(tx, name).await?.unwrap_or_default() + 1;
    set_counter(tx, name, next).await?;
    Ok(next)
}
