//! When customers were last there. A visit is derived: it is no version and not in the log.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, LazyLock},
};

use futures::FutureExt as _;
use quick_cache::sync::Cache;

use super::sql;
use crate::{
    access::Caller,
    epochs,
    error::Result,
    feed,
    store::{Locks, Store, Tx},
};

/// Visits by carts are noted at most so often, in microseconds.
const INTERVAL: i64 = 60_000_000;
/// Customers whose last note is remembered, to leave further ones away.
const REMEMBERED: usize = 16 * 1024;

/// When which customer (by the hash of store, shop and id) was noted.
static NOTED: LazyLock<Cache<u64, i64>> = LazyLock::new(|| Cache::new(REMEMBERED));
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

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
                visit(tx, shop, customer, now).await
            }
            .boxed()
        })
        .await
}

/// Notes that a customer changed a cart: in the background, and at most once a minute.
pub fn note(store: &Store, shop: &Arc<str>, customer: &str, now: i64) {
    let key = HASHER.hash_one((store.meta().store_id(), &**shop, customer));
    if NOTED.get(&key).is_some_and(|noted| now - noted < INTERVAL) {
        return;
    }
    NOTED.insert(key, now);
    let data = (Arc::clone(shop), customer.to_owned());
    let store = store.clone();
    tokio::spawn(async move {
        let write = store.write_job_with(Locks::none(), data, move |tx, (shop, customer)| {
            visit(tx, shop, customer, now).boxed()
        });
        // The next change of a cart notes it again.
        if let Err(error) = write.await {
            NOTED.remove(&key);
            tracing::debug!(%error, "a visit was not noted");
        }
    });
}

async fn visit(tx: &mut Tx, shop: &str, customer: &str, now: i64) -> Result<()> {
    sql::visit(tx, shop, customer, now).await?;
    epochs::changed(tx, feed::Kind::Customer.number(), shop, customer);
    Ok(())
}
