//! When customers were last there. A visit is derived: it is no version and not in the log.
//!
//! A sign-in is written before it is answered. Changes of carts are gathered in memory, one time per customer,
//! and written by one statement every few seconds and when the server stops; a crash loses what was gathered.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use quick_cache::sync::Cache;

use super::sql;
use crate::{
    caller::Caller,
    epochs,
    error::Result,
    jobs::Upkeep,
    store::{Locks, Store},
};

/// Visits by carts are noted at most so often, in microseconds.
const INTERVAL: i64 = 60_000_000;
/// Customers whose last note is remembered, to leave further ones away.
const REMEMBERED: usize = 16 * 1024;
/// How often gathered visits are written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// Visits that one statement writes.
const FLUSH_ROWS: usize = 200;
/// Customers whose visits are gathered; those of further ones are noted with their next change.
const GATHERED_MAX: usize = 100_000;

/// When which customer (by the hash of store, shop and id) was noted.
static NOTED: LazyLock<Cache<u64, i64>> = LazyLock::new(|| Cache::new(REMEMBERED));
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The last visit of each customer that is not written yet, by shop and id.
type Visits = HashMap<(Arc<str>, String), i64>;

/// The visits that wait to be written, by the id of their store.
static GATHERED: LazyLock<Mutex<HashMap<String, Visits>>> = LazyLock::new(Mutex::default);

fn gathered() -> MutexGuard<'static, HashMap<String, Visits>> {
    GATHERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that a customer signed in, and replaces the digest of its password where a stronger one was
/// made.
pub(super) async fn signed_in(
    store: &Store,
    caller: &Caller,
    customer: &str,
    renewal: Option<(String, String)>,
    now: i64,
) -> Result<()> {
    let data = (Arc::clone(&caller.shop), customer.to_owned(), renewal);
    store
        .write_with(Locks::none(), data, move |tx, (shop, customer, renewal)| {
            async move {
                if let Some((old, new)) = renewal {
                    sql::renew_credential(tx, shop, customer, old, new).await?;
                }
                sql::visit(tx, &[(&**shop, customer, now)]).await?;
                epochs::changed(tx, crate::customers::KIND.number(), shop, customer);
                Ok(())
            }
            .boxed()
        })
        .await
}

/// Notes that a customer changed a cart, at most once a minute. Get and List show it within some seconds.
pub fn note(store: &Store, shop: &Arc<str>, customer: &str, now: i64) {
    let id = store.meta().store_id();
    let key = HASHER.hash_one((id, &**shop, customer));
    if NOTED.get(&key).is_some_and(|noted| now - noted < INTERVAL) {
        return;
    }
    let mut gathered = gathered();
    let visits = match gathered.get_mut(id) {
        Some(visits) => visits,
        None => gathered.entry(id.to_owned()).or_default(),
    };
    if visits.len() < GATHERED_MAX {
        visits.insert((Arc::clone(shop), customer.to_owned()), now);
        NOTED.insert(key, now);
    }
}

/// Writes gathered visits now and then.
pub struct Flush;

impl Upkeep for Flush {
    fn interval(&self) -> Duration {
        FLUSH_INTERVAL
    }

    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        flush(store).boxed()
    }

    fn finish<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        flush(store).boxed()
    }
}

/// Writes what is gathered. What cannot be written now is gathered again.
///
/// # Errors
/// The database's.
pub async fn flush(store: &Store) -> Result<()> {
    let visits = gathered().remove(store.meta().store_id());
    let mut visits: Vec<_> = visits.unwrap_or_default().into_iter().collect();
    // Replicas that write the same rows take them in the same order.
    visits.sort_unstable();
    while !visits.is_empty() {
        let rest = visits.split_off(visits.len().min(FLUSH_ROWS));
        if let Err(error) = write(store, visits.clone()).await {
            visits.extend(rest);
            gather_again(store, visits);
            return Err(error);
        }
        visits = rest;
    }
    Ok(())
}

async fn write(store: &Store, visits: Vec<((Arc<str>, String), i64)>) -> Result<()> {
    let written = store.write_job_with(Locks::none(), visits, |tx, visits| {
        async move {
            let rows: Vec<_> = visits
                .iter()
                .map(|((shop, customer), time)| (&**shop, customer.as_str(), *time))
                .collect();
            sql::visit(tx, &rows).await?;
            for (shop, customer, _) in rows {
                epochs::changed(tx, crate::customers::KIND.number(), shop, customer);
            }
            Ok(())
        }
        .boxed()
    });
    written.await
}

fn gather_again(store: &Store, visits: Vec<((Arc<str>, String), i64)>) {
    let mut gathered = gathered();
    let gathered = gathered
        .entry(store.meta().store_id().to_owned())
        .or_default();
    for (key, time) in visits {
        let last = gathered.entry(key).or_insert(time);
        *last = time.max(*last);
    }
}
