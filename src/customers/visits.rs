//! The last visits of customers. A visit is derived: it makes no version and is not in the log.
//!
//! The visit of a sign-in is written before the answer. Visits by changes of carts are collected in memory,
//! one time per customer. One statement writes them every few seconds and when the server stops; a crash
//! loses them.

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

/// The least time between two noted visits by carts, in microseconds.
const INTERVAL: i64 = 60_000_000;
/// The most customers whose last noted visit is cached, to skip further ones.
const REMEMBERED: usize = 16 * 1024;
/// How often collected visits are written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// The most visits of one statement.
const FLUSH_ROWS: usize = 200;
/// The most customers whose visits are collected. Visits of further customers are noted with their next
/// change.
const COLLECTED_MAX: usize = 100_000;

/// The time of the last noted visit by the hash of store, shop and id.
static NOTED: LazyLock<Cache<u64, i64>> = LazyLock::new(|| Cache::new(REMEMBERED));
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The last unwritten visit of each customer, by shop and id.
type Visits = HashMap<(Arc<str>, String), i64>;

/// The collected visits, by the id of their store.
static COLLECTED: LazyLock<Mutex<HashMap<String, Visits>>> = LazyLock::new(Mutex::default);

fn collected() -> MutexGuard<'static, HashMap<String, Visits>> {
    COLLECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes the sign-in of a customer, and replaces the digest of its password if a stronger one was made.
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
    let mut collected = collected();
    let visits = match collected.get_mut(id) {
        Some(visits) => visits,
        None => collected.entry(id.to_owned()).or_default(),
    };
    if visits.len() < COLLECTED_MAX {
        visits.insert((Arc::clone(shop), customer.to_owned()), now);
        NOTED.insert(key, now);
    }
}

/// Writes collected visits at intervals.
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

/// Writes the collected visits. Visits that cannot be written now are collected again.
///
/// # Errors
/// An error of the database.
pub async fn flush(store: &Store) -> Result<()> {
    let visits = collected().remove(store.meta().store_id());
    let mut visits: Vec<_> = visits.unwrap_or_default().into_iter().collect();
    // Replicas that write the same rows take them in the same order.
    visits.sort_unstable();
    while !visits.is_empty() {
        let rest = visits.split_off(visits.len().min(FLUSH_ROWS));
        if let Err(error) = write(store, visits.clone()).await {
            visits.extend(rest);
            collect_again(store, visits);
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

fn collect_again(store: &Store, visits: Vec<((Arc<str>, String), i64)>) {
    let mut collected = collected();
    let collected = collected
        .entry(store.meta().store_id().to_owned())
        .or_default();
    for (key, time) in visits {
        let last = collected.entry(key).or_insert(time);
        *last = time.max(*last);
    }
}
