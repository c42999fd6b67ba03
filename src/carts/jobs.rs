//! What happens to carts without a call: new prices after a group or a customer changed, deletion with
//! the customer, and expiry.
//!
//! Each step works on a few carts under their locks, and what it finds there decides: a cart that was
//! ordered or emptied of its reason meanwhile is left alone.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::edit::Cause;
use super::sql::{self, Herd};
use super::targets::lock;
use super::work::Work;
use crate::clock;
use crate::error::Result;
use crate::feed;
use crate::jobs::{Handler, Job, JobKind, Step, Sweeper};
use crate::proto::pb::cart_cause;
use crate::shops::Settings;
use crate::store::{Conn, Locks, Store, Tx};

/// Carts of one step: with their rows in the log well below what a write may hold the writer for.
const CARTS: i64 = 32;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Prices the open carts anew that have the prices of a group.
pub struct RepriceCarts;

impl Handler for RepriceCarts {
    fn kind(&self) -> JobKind {
        JobKind::RepriceCarts
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        step(store, job, Herd::PricedFor, Action::Refresh).boxed()
    }
}

/// Brings a customer's open carts up to date.
pub struct RefreshCustomer;

impl Handler for RefreshCustomer {
    fn kind(&self) -> JobKind {
        JobKind::RefreshCustomer
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        step(store, job, Herd::OpenOf, Action::Refresh).boxed()
    }
}

/// Deletes the open carts of a deleted customer.
pub struct DeleteCustomerCarts;

impl Handler for DeleteCustomerCarts {
    fn kind(&self) -> JobKind {
        JobKind::DeleteCustomerCarts
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        step(store, job, Herd::OpenOf, Action::DeleteWithCustomer).boxed()
    }
}

/// What a step does with each open cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Prices it anew and takes over who its customer is now.
    Refresh,
    /// Deletes it, if its customer is still deleted.
    DeleteWithCustomer,
    /// Deletes it, if nobody has touched it since this time and its owner is of this sort.
    Expire { before: i64, of_customers: bool },
}

async fn step(store: &Store, job: &Job, herd: Herd, action: Action) -> Result<Step> {
    let subject = job
        .subject
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let (shop, after) = (Arc::clone(&job.shop), job.cursor.clone());
    let ids = store.read(move |conn| {
        async move { sql::herd(conn, &shop, herd, &subject, &after, CARTS).await }.boxed()
    });
    let ids = ids.await?;
    let Some(last) = ids.last() else {
        return job.advance_only(store, Step::done(0)).await;
    };
    let worked = i64::try_from(ids.len()).unwrap_or(CARTS);
    let step = Step::more(last.clone(), worked);
    work_on(store, job, ids, action, step).await
}

async fn work_on(
    store: &Store,
    job: &Job,
    ids: Vec<String>,
    action: Action,
    step: Step,
) -> Result<Step> {
    let locks: Locks = ids.iter().map(|id| lock(&job.shop, id)).collect();
    let clock = store.clock().clone();
    let data = (job.clone(), ids, step);
    let worked = store.write_job_with(locks, data, move |tx, (job, ids, step)| {
        let now = clock.now();
        async move {
            for priced in sql::read_many(tx, &job.shop, ids).await? {
                if priced.cart.is_open() {
                    act(tx, job, action, priced, now).await?;
                }
            }
            job.advance(tx, now, step).await?;
            Ok(step.clone())
        }
        .boxed()
    });
    worked.await
}

async fn act(tx: &mut Tx, job: &Job, action: Action, priced: sql::Priced, now: i64) -> Result<()> {
    let caller = job.caller();
    let mut work = Work::of(priced);
    let cause = match action {
        Action::Refresh => {
            work.settle()?;
            if !work.causes.is_empty() {
                work.save(tx, &caller, now).await?;
            }
            return Ok(());
        }
        Action::DeleteWithCustomer => {
            if !work
                .customer
                .as_ref()
                .is_none_or(|customer| customer.deleted)
            {
                return Ok(());
            }
            cart_cause::Kind::Deleted
        }
        Action::Expire {
            before,
            of_customers,
        } => {
            let is_customers = work.cart.owner.customer().is_some();
            if work.cart.update_time >= before || is_customers != of_customers {
                return Ok(());
            }
            cart_cause::Kind::Expired
        }
    };
    work.causes.push(Cause::of_cart(cause));
    let deletion = work.remove(tx, &caller, now).await?;
    feed::append(tx, &caller, now, deletion).await
}

/// Deletes open carts that nobody has touched for longer than the shop's settings say.
pub struct ExpiredCarts;

/// The two sorts of carts with a retention of their own: whether of customers, and how many days.
fn retentions(settings: &Settings) -> [(bool, i32); 2] {
    [
        (false, settings.visitor_cart_retention_days),
        (true, settings.customer_cart_retention_days),
    ]
}

/// Before when a cart must have been touched last; None where carts are kept for ever.
fn cutoff(now: i64, days: i32) -> Option<i64> {
    let days = u32::try_from(days).ok().filter(|days| *days > 0)?;
    Some(now.saturating_sub(clock::micros(DAY * days)))
}

async fn expired(
    conn: &mut Conn,
    shop: &str,
    settings: &Settings,
    now: i64,
    limit: i64,
) -> Result<Option<(Action, Vec<String>)>> {
    for (of_customers, days) in retentions(settings) {
        let Some(before) = cutoff(now, days) else {
            continue;
        };
        let ids = sql::untouched(conn, shop, of_customers, before, limit).await?;
        if !ids.is_empty() {
            return Ok(Some((
                Action::Expire {
                    before,
                    of_customers,
                },
                ids,
            )));
        }
    }
    Ok(None)
}

impl Sweeper for ExpiredCarts {
    fn due<'a>(&'a self, conn: &'a mut Conn, now: i64) -> BoxFuture<'a, Result<Vec<String>>> {
        async move {
            let mut due = Vec::new();
            for (shop, settings) in sql::shops(conn).await? {
                if expired(conn, &shop, &settings, now, 1).await?.is_some() {
                    due.push(shop);
                }
            }
            Ok(due)
        }
        .boxed()
    }

    fn sweep<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<bool>> {
        async move {
            let (shop, now) = (Arc::clone(&job.shop), store.clock().now());
            let found = store.read(move |conn| {
                async move {
                    let settings = crate::shops::settings(conn, &shop).await?;
                    expired(conn, &shop, &settings, now, CARTS).await
                }
                .boxed()
            });
            let Some((action, ids)) = found.await? else {
                return Ok(false);
            };
            let worked = i64::try_from(ids.len()).unwrap_or(CARTS);
            let step = Step::more(job.cursor.clone(), worked);
            work_on(store, job, ids, action, step).await?;
            Ok(true)
        }
        .boxed()
    }
}
