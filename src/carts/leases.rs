//! Ends the holds on carts whose leases have expired, although nobody writes those carts.
//!
//! Every replica searches for them. A replica that finds an expired lease takes the cart's lock and checks
//! again. So only one of them ends the hold and reports it, once. A cart that cannot be written is excluded
//! for a while, so that it does not keep the others held.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::sql;
use super::targets::lock;
use super::work::{Act, Work};
use crate::caller::Caller;
use crate::error::Result;
use crate::jobs::Upkeep;
use crate::store::{Locks, Store, Tx};
use crate::{clock, limits};

/// How often expired leases are searched.
const INTERVAL: Duration = Duration::from_secs(1);
/// The most carts of one run, each in a write of its own.
const CARTS: i64 = 64;

/// How long a cart that could not be written is excluded.
const PAUSE: Duration = limits::LOCK_LEASE_MAX;
/// The most excluded carts. Beyond them the first are retried.
const LEFT_OUT_MAX: usize = 1_000;

/// Ends the holds with expired leases.
#[derive(Debug, Default)]
pub struct EndLeases {
    /// Carts that could not be written, as (shop, id), and until when each is excluded.
    left_out: Mutex<HashMap<(String, String), i64>>,
}

impl EndLeases {
    /// The carts that are excluded at `now`.
    fn left_out(&self, now: i64) -> HashMap<(String, String), i64> {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.retain(|_, until| *until > now);
        left_out.clone()
    }

    fn leave_out(&self, cart: (String, String), now: i64) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if left_out.len() < LEFT_OUT_MAX {
            left_out.insert(cart, now.saturating_add(clock::micros(PAUSE)));
        }
    }
}

impl Upkeep for EndLeases {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        async move {
            let now = store.clock().now();
            let left_out = self.left_out(now);
            let limit = CARTS + i64::try_from(left_out.len()).unwrap_or(0);
            let found = store.read(|conn| sql::ran_out(conn, now, limit).boxed());
            let mut ended = Ok(());
            for (shop, id) in found.await? {
                let cart = (shop.clone(), id.clone());
                if left_out.contains_key(&cart) {
                    continue;
                }
                // One cart that cannot be written must not keep the others held.
                match end(store, shop, id).await {
                    Err(error) if !error.is_retryable() => {
                        tracing::warn!(
                            shop = cart.0, cart = cart.1, %error, cause = error.cause(),
                            "the hold on a cart could not be ended; it is retried later"
                        );
                        self.leave_out(cart, now);
                    }
                    outcome => ended = ended.and(outcome),
                }
            }
            ended
        }
        .boxed()
    }
}

async fn end(store: &Store, shop: String, id: String) -> Result<()> {
    let locks = Locks::none().and(lock(&shop, &id));
    let clock = store.clock().clone();
    let data = (Caller::system(Arc::from(shop), None), id);
    store
        .write_job_with(locks, data, move |tx, (caller, id)| {
            once(tx, caller, id, clock.now()).boxed()
        })
        .await
}

async fn once(tx: &mut Tx, caller: &Caller, id: &String, now: i64) -> Result<()> {
    let found = sql::read_many(tx, &caller.shop, std::slice::from_ref(id)).await?;
    let over = |cart: &sql::Priced| cart.cart.is_open() && cart.cart.lease_ran_out(now);
    for priced in found.into_iter().filter(over) {
        let mut work = Work::of(priced);
        work.admit(caller, now, Act::Service)?;
        work.settle()?;
        work.save(tx, caller, now).await?;
    }
    Ok(())
}
