//! The background work of groups: taking the members out of a deleted one, ending memberships that
//! have run out, and folding the numbers of members.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::leave::leave;
use super::memberships::sql as memberships_sql;
use super::{id_of, lock, sql};
use crate::error::{Error, Result};
use crate::jobs::{Due, Handler, Job, JobKind, Step, Upkeep};
use crate::store::{LockKey, Locks, Store, Tx};

/// Customers that one step works on.
const BATCH: i64 = 32;
/// How often it is looked for memberships that have run out.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the numbers of members are folded.
const FOLD_INTERVAL: Duration = Duration::from_secs(5);
/// Rows in which a number of members may lie.
const FOLD_FROM: i64 = 64;
/// Rows that are folded at a time.
const FOLD_ROWS: i64 = 1_000;

/// Takes the members out of a deleted group.
///
/// Nobody can join any more when this begins: joining holds the group's row, for which the deletion
/// had to wait.
pub struct DeleteGroup;

impl Handler for DeleteGroup {
    fn kind(&self) -> JobKind {
        JobKind::DeleteGroup
    }

    fn waits_for_writers(&self) -> bool {
        false
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            let group = id_of(&job.subject).map(str::to_owned);
            let group = group.ok_or_else(|| Error::corrupt("jobs", &job.id, "no group"))?;
            let shop = Arc::clone(&job.shop);
            let members = {
                let group = group.clone();
                store.read(|conn| {
                    async move { memberships_sql::granted(conn, &shop, &group, BATCH).await }
                        .boxed()
                })
            };
            let members = members.await?;
            let locks = locks(job, &members).and(lock(&job.shop, &group));
            let data = (job.clone(), group, members, store.clock().now());
            store
                .write_job_with(locks, data, |tx, (job, group, members, now)| {
                    empty(tx, job, group, members, *now).boxed()
                })
                .await
        }
        .boxed()
    }
}

async fn empty(tx: &mut Tx, job: &Job, group: &str, members: &[String], now: i64) -> Result<Step> {
    let caller = job.caller();
    let shop = &*caller.shop;
    // A group of this name can be made again only when the last member is out.
    let made_again = sql::get(tx, shop, group).await?.is_some();
    let step = if made_again {
        Step::done(0)
    } else if members.is_empty() {
        if !memberships_sql::granted(tx, shop, group, 1)
            .await?
            .is_empty()
        {
            return Err(tx.run_again());
        }
        sql::forget_count(tx, shop, group).await?;
        Step::done(0)
    } else {
        for member in members {
            leave(tx, &caller, member, |grant| grant.group_id == group, now).await?;
        }
        Step::more("", i64::try_from(members.len()).unwrap_or(BATCH))
    };
    job.advance(tx, now, &step).await?;
    Ok(step)
}

fn locks(job: &Job, customers: &[String]) -> Locks {
    customers
        .iter()
        .map(|id| LockKey::of("customer", &job.shop, id))
        .collect()
}

/// Ends memberships whose grants have run out.
pub struct ExpireMemberships;

impl Handler for ExpireMemberships {
    fn kind(&self) -> JobKind {
        JobKind::ExpireMemberships
    }

    fn waits_for_writers(&self) -> bool {
        false
    }

    fn interval(&self) -> Option<Duration> {
        Some(EXPIRE_INTERVAL)
    }

    fn due<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<Vec<Due>>> {
        async move {
            let now = store.clock().now();
            let shops = store
                .read(|conn| memberships_sql::shops_with_expired(conn, now).boxed())
                .await?;
            let due = |shop: String| Due {
                shop: Arc::from(shop),
                subject: String::new(),
            };
            Ok(shops.into_iter().map(due).collect())
        }
        .boxed()
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            let now = store.clock().now();
            let shop = Arc::clone(&job.shop);
            let expired = store.read(|conn| {
                async move { memberships_sql::expired(conn, &shop, now, BATCH).await }.boxed()
            });
            let mut members = expired.await?;
            members.sort_unstable();
            members.dedup();
            let data = (job.clone(), members.clone());
            store
                .write_job_with(locks(job, &members), data, move |tx, (job, members)| {
                    async move {
                        let caller = job.caller();
                        let over = |end: Option<i64>| end.is_some_and(|end| end <= now);
                        for member in members {
                            leave(tx, &caller, member, |grant| over(grant.expire_time), now)
                                .await?;
                        }
                        let step = match i64::try_from(members.len()).unwrap_or(BATCH) {
                            0 => Step::done(0),
                            worked => Step::more("", worked),
                        };
                        job.advance(tx, now, &step).await?;
                        Ok(step)
                    }
                    .boxed()
                })
                .await
        }
        .boxed()
    }
}

/// Folds the rows in which the numbers of members lie.
pub struct FoldCounts;

impl Upkeep for FoldCounts {
    fn interval(&self) -> Duration {
        FOLD_INTERVAL
    }

    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        async move {
            let unfolded = store
                .read(|conn| sql::unfolded(conn, FOLD_FROM).boxed())
                .await?;
            for group in unfolded {
                let locks = Locks::none().and(lock(&group.0, &group.1));
                store
                    .write_job_with(locks, group, |tx, (shop, id)| {
                        sql::fold(tx, shop, id, FOLD_ROWS).boxed()
                    })
                    .await?;
            }
            Ok(())
        }
        .boxed()
    }
}
