//! Jobs of memberships: they remove the members of a deleted group, and end memberships that have expired.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::leave::leave;
use crate::customers;
use crate::error::{Error, Result};
use crate::groups;
use crate::groups::memberships::sql::{self as memberships_sql, GrantRow};
use crate::jobs::skips;
use crate::jobs::{Due, Effect, Handler, Job, JobKind, Step};
use crate::store::{Conn, Locks, Store, Tx};

/// The most customers of one step.
const BATCH: i64 = 32;
/// How often expired memberships are searched.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);

/// Removes the members of a deleted group.
///
/// Nobody can join any more when this begins: joining holds the group's row, and the deletion had to wait for
/// that.
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
            let group = groups::id_of(&job.subject).map(str::to_owned);
            let group = group.ok_or_else(|| Error::corrupt("jobs", &job.id, "no group"))?;
            let (shop, now) = (Arc::clone(&job.shop), store.clock().now());
            let members = {
                let group = group.clone();
                store.read(|conn| {
                    async move {
                        // The members of a group that was created again stay.
                        if is_made_again(conn, &shop, &group).await? {
                            return Ok(Vec::new());
                        }
                        memberships_sql::granted(conn, &shop, &group, now, BATCH).await
                    }
                    .boxed()
                })
            };
            let members = members.await?;
            if !members.is_empty() {
                let step = Step::more("", i64::try_from(members.len()).unwrap_or(BATCH));
                return skips::apply(store, job, members, Leave::Group(group), step).await;
            }
            let locks = Locks::none().and(groups::lock(&job.shop, &group));
            let data = (job.clone(), group, now);
            store
                .write_job_with(locks, data, |tx, (job, group, now)| {
                    end(tx, job, group, *now).boxed()
                })
                .await
        }
        .boxed()
    }
}

/// The step of a deletion that has found no more members.
async fn end(tx: &mut Tx, job: &Job, group: &str, now: i64) -> Result<Step> {
    let shop = &*job.shop;
    let step = if is_made_again(tx, shop, group).await? {
        Step::done(0)
    } else if !memberships_sql::granted(tx, shop, group, now, 1)
        .await?
        .is_empty()
    {
        return Err(tx.run_again());
    } else {
        let step = skips::ending(tx, job).await?;
        if step.done && step.skipped == 0 {
            groups::forget_count(tx, shop, group).await?;
        }
        step
    };
    job.advance(tx, now, &step).await?;
    Ok(step)
}

/// Whether a group of this name exists. It can be created again only when the last member is removed.
async fn is_made_again(conn: &mut Conn, shop: &str, group: &str) -> Result<bool> {
    Ok(groups::load(conn, shop, group).await?.is_some())
}

/// The reason for removing grants from customers.
#[derive(Clone)]
enum Leave {
    /// This group is deleted.
    Group(String),
    /// The grants have expired.
    Expired,
}

impl Effect for Leave {
    fn locks(&self, job: &Job, customers: &[String]) -> Locks {
        let locks = locks(job, customers);
        match self {
            Self::Group(group) => locks.and(groups::lock(&job.shop, group)),
            Self::Expired => locks,
        }
    }

    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        job: &'t Job,
        customers: &'t [String],
        now: i64,
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            let caller = job.caller();
            if let Self::Group(group) = self
                && is_made_again(tx, &job.shop, group).await?
            {
                return Ok(());
            }
            for customer in customers {
                let goes = |grant: &GrantRow| match self {
                    Self::Group(group) => grant.group_id == *group,
                    Self::Expired => grant.expire_time.is_some_and(|end| end <= now),
                };
                leave(tx, &caller, customer, goes, now).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

fn locks(job: &Job, ids: &[String]) -> Locks {
    ids.iter()
        .map(|id| customers::lock(&job.shop, id))
        .collect()
}

/// Ends memberships whose grants have expired.
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
            Ok(shops.into_iter().map(Due::of_shop).collect())
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
            if members.is_empty() {
                return job.advance_only(store, Step::done(0)).await;
            }
            let step = Step::more("", i64::try_from(members.len()).unwrap_or(BATCH));
            skips::apply(store, job, members, Leave::Expired, step).await
        }
        .boxed()
    }
}
