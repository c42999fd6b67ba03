//! Work on carts without a call: new prices after a change of a group or a customer, and deletion with the
//! customer. `age` holds the work that depends on time.
//!
//! Each step works on a few carts under their locks, and decides by their state there: a cart that was
//! ordered or no longer needs the work is left alone. A cart that cannot be written is skipped.

mod age;

use futures::FutureExt as _;
use futures::future::BoxFuture;

pub use age::{AbandonCarts, ExpiredCarts};

use super::edit::Cause;
use super::model::{Abandonment, Cart, State};
use super::sql::{self, CartQuery, Kept};
use super::targets::lock;
use super::work::{Act, Work};
use crate::caller::Caller;
use crate::error::Result;
use crate::feed;
use crate::jobs::skips::{self, Place};
use crate::jobs::{Effect, Handler, Job, JobKind, Step};
use crate::proto::pb::cart_cause;
use crate::store::{Locks, Store, Tx};

/// The most carts of one step. With their rows in the log they are well below the time for which a write may
/// hold the writer.
const CARTS: i64 = 32;

/// Reprices the open carts that have the prices of a group.
pub struct RepriceCarts;

impl Handler for RepriceCarts {
    fn kind(&self) -> JobKind {
        JobKind::RepriceCarts
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        step(store, job, CartQuery::PricedFor, Action::Refresh).boxed()
    }
}

/// Updates a customer's open carts.
pub struct RefreshCustomer;

impl Handler for RefreshCustomer {
    fn kind(&self) -> JobKind {
        JobKind::RefreshCustomer
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        step(store, job, CartQuery::OpenOf, Action::Refresh).boxed()
    }
}

/// Deletes the open carts of a deleted customer.
pub struct DeleteCustomerCarts;

impl Handler for DeleteCustomerCarts {
    fn kind(&self) -> JobKind {
        JobKind::DeleteCustomerCarts
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        step(store, job, CartQuery::OpenOf, Action::DeleteWithCustomer).boxed()
    }
}

/// The action of a step on each cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Reprices it and updates its customer summary.
    Refresh,
    /// Deletes it, if its customer is still deleted.
    DeleteWithCustomer,
    /// Deletes it, if it still is of kind `kept` and has not been touched since `before`.
    Expire { before: i64, kept: Kept },
    /// Marks it as abandoned, if it has not been touched since `before`.
    Abandon { before: i64 },
}

impl Action {
    /// The state of the carts to which the action applies.
    fn state(self) -> State {
        match self {
            Self::Expire {
                kept: Kept::MergedOfVisitors | Kept::MergedOfCustomers,
                ..
            } => State::Merged,
            _ => State::Open,
        }
    }

    fn act(self) -> Act {
        match self {
            Self::Expire { .. } => Act::Expire,
            _ => Act::Service,
        }
    }
}

/// Whether a cart is still idle since `before`: it may have been changed, or locked by staff, since the query
/// found it.
fn is_left(cart: &Cart, before: i64, now: i64) -> bool {
    cart.activity_time < before && !cart.is_locked(now)
}

fn is_kept(cart: &Cart, kept: Kept) -> bool {
    match kept {
        Kept::OfVisitors | Kept::MergedOfVisitors => cart.owner.customer().is_none(),
        Kept::OfCustomers | Kept::MergedOfCustomers => cart.owner.customer().is_some(),
        Kept::Empty => cart.lines.is_empty() && !cart.is_saved(),
    }
}

fn can_be_abandoned(cart: &Cart) -> bool {
    let already = cart.abandonment == Abandonment::Abandoned;
    !already && !cart.lines.is_empty() && !cart.is_saved()
}

/// The step of a job that walks through the carts of a query and then retries those that it skipped.
async fn step(store: &Store, job: &Job, query: CartQuery, action: Action) -> Result<Step> {
    let subject = job
        .subject
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let (this, now) = (job.clone(), store.clock().now());
    let ids = store.read(move |conn| {
        async move {
            match Place::of(&this.cursor) {
                Place::Walking(after) => {
                    sql::matching(conn, &this.shop, query, &subject, after, CARTS).await
                }
                Place::Retrying(after) => skips::due(conn, &this, after, now, CARTS).await,
            }
        }
        .boxed()
    });
    let ids = ids.await?;
    let Some(last) = ids.last() else {
        return skips::end(store, job).await;
    };
    let worked = i64::try_from(ids.len()).unwrap_or(CARTS);
    let step = Step::more(Place::of(&job.cursor).behind(last), worked);
    skips::apply(store, job, ids, action, step).await
}

impl Effect for Action {
    fn locks(&self, job: &Job, ids: &[String]) -> Locks {
        ids.iter().map(|id| lock(&job.shop, id)).collect()
    }

    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        job: &'t Job,
        ids: &'t [String],
        now: i64,
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            for priced in sql::read_many(tx, &job.shop, ids).await? {
                if priced.cart.state == self.state() {
                    act(tx, job, *self, priced, now).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }
}

async fn act(tx: &mut Tx, job: &Job, action: Action, priced: sql::Priced, now: i64) -> Result<()> {
    let caller = job.caller();
    let mut work = Work::of(priced);
    work.admit(&caller, now, action.act())?;
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
        Action::Expire { before, kept } => {
            if !is_left(&work.cart, before, now) || !is_kept(&work.cart, kept) {
                return Ok(());
            }
            cart_cause::Kind::Expired
        }
        Action::Abandon { before } => {
            if is_left(&work.cart, before, now) && can_be_abandoned(&work.cart) {
                abandon(tx, &caller, work, now).await?;
            }
            return Ok(());
        }
    };
    work.causes.push(Cause::of_cart(cause));
    let deletion = work.remove(tx, &caller, now).await?;
    feed::append(tx, &caller, now, deletion).await
}

async fn abandon(tx: &mut Tx, caller: &Caller, mut work: Work, now: i64) -> Result<()> {
    work.cart.abandonment = Abandonment::Abandoned;
    work.cart.abandon_time = Some(now.max(work.cart.update_time));
    work.causes
        .push(Cause::of_cart(cart_cause::Kind::Abandoned));
    work.settle()?;
    work.save(tx, caller, now).await?;
    Ok(())
}
