//! LockCart, RenewCartLock and UnlockCart: the hold of a member of staff on a cart.
//!
//! Who holds it is in the cart's document, and so in its versions and in the feed; until when is only in
//! a column, as a heartbeat must be cheap and is no news to anybody.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tonic::Code;

use super::Service;
use super::write::Write;
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::model::Lock;
use crate::carts::sql;
use crate::carts::targets::{Target, cart_id};
use crate::carts::work::{self, Act, Got, Route, Work};
use crate::clock::{self, Clock};
use crate::error::{Error, Result};
use crate::feed::{micros, timestamp};
use crate::limits::{LOCK_LEASE_DEFAULT, LOCK_LEASE_MAX, LOCK_LEASE_MIN};
use crate::proto::pb::{self, ErrorReason, cart_cause};
use crate::store::Tx;

/// A hold that is asked for.
struct Taking {
    caller: Arc<Caller>,
    route: Route,
    purpose: String,
    lease: i64,
    etag: String,
    clock: Clock,
}

impl Service {
    pub(super) async fn lock(
        &self,
        caller: Arc<Caller>,
        request: pb::LockCartRequest,
    ) -> Result<pb::Cart> {
        let route = Self::route_to(self.target(&caller, request.target)?);
        let locks = route.locks(&caller);
        let taking = Taking {
            caller,
            route,
            purpose: request.purpose,
            lease: lease(request.lease)?,
            etag: request.etag,
            clock: self.store.clock().clone(),
        };
        self.store
            .write_with(locks, taking, |tx, taking| take(tx, taking).boxed())
            .await
    }

    pub(super) async fn renew_lock(
        &self,
        caller: Arc<Caller>,
        request: pb::RenewCartLockRequest,
    ) -> Result<pb::Cart> {
        let taking = Taking {
            route: Route::Id(named(&request.name)?),
            caller,
            purpose: String::new(),
            lease: lease(request.lease)?,
            etag: String::new(),
            clock: self.store.clock().clone(),
        };
        let locks = taking.route.locks(&taking.caller);
        self.store
            .write_with(locks, taking, |tx, taking| renew(tx, taking).boxed())
            .await
    }

    pub(super) async fn unlock(
        &self,
        caller: Arc<Caller>,
        request: pb::UnlockCartRequest,
    ) -> Result<pb::Cart> {
        let act = if request.force {
            Act::ForceUnlock
        } else {
            Act::Lock
        };
        let apply = |work: &mut Work, _: &Caller, _: i64| {
            if work.cart.lock.take().is_some() {
                work.cart.lock_expire_time = None;
                work.causes.push(Cause::of_cart(cart_cause::Kind::Unlocked));
            }
            Ok(())
        };
        let target = Target::Cart(named(&request.name)?);
        self.run(Write::new(caller, target, act, String::new(), apply))
            .await
    }
}

async fn take(tx: &mut Tx, taking: &Taking) -> Result<pb::Cart> {
    let Taking {
        caller,
        route,
        purpose,
        lease,
        ..
    } = taking;
    let now = taking.clock.now();
    let mut work = match work::find(tx, caller, route, None, now).await? {
        Got::Replay(replay) => {
            let answer = work::replayed(tx, caller, &replay).await?;
            return Ok(as_first_answered(answer, *lease));
        }
        Got::Work(work) => work,
        Got::Moved => return Err(Error::not_found("cart")),
    };
    work.admit(caller, now, Act::Lock)?;
    work.check_etag(&taking.etag)?;
    // As the time of the version that this makes, so that the answer can be given again.
    let begin = now.max(work.cart.update_time);
    let held = work.cart.lock.as_ref();
    if held.is_none_or(|lock| lock.purpose != *purpose) {
        let acquire_time = held.map_or(begin, |lock| lock.acquire_time);
        work.cart.lock = Some(Lock {
            holder: caller.actor.as_deref().unwrap_or_default().to_owned(),
            key_id: caller.key_id.to_string(),
            purpose: purpose.clone(),
            acquire_time,
        });
        work.causes.push(Cause::of_cart(cart_cause::Kind::Locked));
    }
    let end = begin.saturating_add(*lease);
    work.cart.lock_expire_time = Some(end);
    work.settle()?;
    if work.is_idle() {
        sql::renew(tx, &caller.shop, &work.cart.id, end).await?;
        return work.leave(tx, caller, now, work.shown(now)).await;
    }
    work.save(tx, caller, now).await?;
    Ok(work.shown(now))
}

/// The answer that the log holds, with the end of the lease as it was then.
fn as_first_answered(mut answer: pb::Cart, lease: i64) -> pb::Cart {
    let begin = answer.update_time.as_ref().map(micros);
    if let (Some(lock), Some(begin)) = (&mut answer.lock, begin)
        && lock.expire_time.is_none()
    {
        lock.expire_time = Some(timestamp(begin.saturating_add(lease)));
    }
    answer
}

async fn renew(tx: &mut Tx, taking: &Taking) -> Result<pb::Cart> {
    let Taking {
        caller,
        route,
        lease,
        ..
    } = taking;
    let now = taking.clock.now();
    let mut work = match work::find(tx, caller, route, None, now).await? {
        Got::Work(work) => work,
        Got::Replay(_) | Got::Moved => return Err(Error::not_found("cart")),
    };
    // A lease that ran out is no hold; that it ended is told by who writes next.
    work.admit(caller, now, Act::Lock)?;
    if work.cart.lock.is_none() {
        let text = "nobody holds the cart";
        let code = Code::FailedPrecondition;
        return Err(Error::new(code, ErrorReason::CartNotLocked, text));
    }
    let end = now.saturating_add(*lease);
    sql::renew(tx, &caller.shop, &work.cart.id, end).await?;
    work.cart.lock_expire_time = Some(end);
    work::view(&mut work)?;
    Ok(work.shown(now))
}

/// The id in the name of a cart, which has to be there.
fn named(name: &str) -> Result<String> {
    if name.is_empty() {
        return Err(Error::invalid_field("name", "REQUIRED", "is required"));
    }
    cart_id(name)
}

/// A lease in microseconds.
fn lease(sent: Option<prost_types::Duration>) -> Result<i64> {
    let lease = match sent {
        None => LOCK_LEASE_DEFAULT,
        // What is negative is no duration.
        Some(sent) => Duration::try_from(sent).unwrap_or_default(),
    };
    if (LOCK_LEASE_MIN..=LOCK_LEASE_MAX).contains(&lease) {
        return Ok(clock::micros(lease));
    }
    let text = format!(
        "takes {} s to {} s",
        LOCK_LEASE_MIN.as_secs(),
        LOCK_LEASE_MAX.as_secs()
    );
    Err(Error::invalid_field("lease", "OUT_OF_RANGE", text))
}
