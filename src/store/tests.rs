//! The promises of the store, on SQLite and, where `CLIENTELA_TEST_POSTGRES_URL` names one, on
//! PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;

use tonic::Code;

use super::*;
use crate::error::Error;
use crate::proto::pb::ErrorReason;
use crate::{execute, ids, on};

mod group;
mod opening;
mod parity;
mod reads;
mod writes;

/// A store of its own, gone with the test.
struct Fixture {
    store: Store,
    config: StoreConfig,
    _folder: Option<tempfile::TempDir>,
}

/// One store of each engine that there is.
async fn stores() -> Vec<Fixture> {
    let mut stores = vec![sqlite().await];
    stores.extend(postgres().await);
    stores
}

async fn sqlite() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));
    Fixture::open(config, Some(folder)).await
}

/// A schema of its own in the PostgreSQL of the tests.
async fn postgres() -> Option<Fixture> {
    let Ok(url) = std::env::var("CLIENTELA_TEST_POSTGRES_URL") else {
        eprintln!("PostgreSQL is not tested: CLIENTELA_TEST_POSTGRES_URL is not set");
        return None;
    };
    let schema = format!("t{}", ids::new_id().replace('-', ""));
    let admin = sqlx::PgPool::connect(&url).await.unwrap();
    // The extension is the database's, and lies where every schema finds it.
    let prepare = sqlx::AssertSqlSafe(format!(
        "BEGIN; SELECT pg_advisory_xact_lock(1); \
         CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public; COMMIT; CREATE SCHEMA {schema}"
    ));
    sqlx::raw_sql(prepare).execute(&admin).await.unwrap();
    admin.close().await;
    let between = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{between}options=-csearch_path%3D{schema}%2Cpublic");
    Some(Fixture::open(StoreConfig::new(DatabaseUrl::postgres(&url).unwrap()), None).await)
}

impl Fixture {
    async fn open(config: StoreConfig, folder: Option<tempfile::TempDir>) -> Self {
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
            _folder: folder,
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

/// What a closure refuses with in these tests.
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
