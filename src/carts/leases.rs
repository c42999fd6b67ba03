//! Ends the holds on carts whose leases have run out, although nobody writes them.
//!
//! Every replica looks. Who finds a lease over takes the cart's lock and looks again there, so that one
//! of them ends it and tells so, once.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::sql;
use super::targets::lock;
use super::work::{Act, Work};
use crate::access::Caller;
use crate::error::Result;
use crate::jobs::Upkeep;
use crate::store::{Locks, Store, Tx};

/// How often it is looked for leases that have run out.
const INTERVAL: Duration = Duration::from_secs(1);
/// Carts that one look works on, each in a write of its own.
const CARTS: i64 = 64;

/// Ends what has run out.
pub struct EndLeases;

impl Upkeep for EndLeases {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        async move {
            let now = store.clock().now();
            let found = store.read(|conn| sql::ran_out(conn, now, CARTS).boxed());
            let mut ended = Ok(());
            for (shop, id) in found.await? {
                // One cart that cannot be written does not keep the others held.
                ended = ended.and(end(store, shop, id).await);
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
