//! LockCart, RenewCartLock and UnlockCart: the hold of a member of staff on a cart.
//!
//! The holder is in the cart's document, and so in its versions and in the feed. The end of the hold is only
//! in a column, because a heartbeat must be cheap and concerns no watcher.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::Code;

use super::Service;
use super::write::{At, End, Step, Write, named};
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::model::Lock;
use crate::carts::sql;
use crate::carts::targets::Target;
use crate::carts::work::{self, Act, Work};
use crate::clock;
use crate::error::{Error, Result};
use crate::feed::{micros, timestamp};
use crate::limits::{LOCK_LEASE_DEFAULT, LOCK_LEASE_MAX, LOCK_LEASE_MIN};
use crate::proto::pb::{self, ErrorReason, cart_cause};
use crate::store::Tx;

/// A hold to take.
struct Taking {
    purpose: String,
    lease: i64,
    etag: String,
}

/// A hold to renew.
struct Renewal {
    lease: i64,
}

impl Service {
    pub(super) async fn lock(
        &self,
        caller: Arc<Caller>,
        request: pb::LockCartRequest,
    ) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        let lease = lease(request.lease)?;
        let taking = Taking {
            purpose: request.purpose,
            lease,
            etag: request.etag,
        };
        let answer = self.run(Write::of(caller, target, taking)).await?;
        Ok(as_first_answered(answer, lease))
    }

    pub(super) async fn renew_lock(
        &self,
        caller: Arc<Caller>,
        request: pb::RenewCartLockRequest,
    ) -> Result<pb::Cart> {
        let target = Target::Cart(named(&request.name)?);
        let lease = lease(request.lease)?;
        self.run(Write::of(caller, target, Renewal { lease })).await
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

impl Step for Taking {
    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        work: &'t mut Work,
        at: At<'t>,
    ) -> BoxFuture<'t, Result<End>> {
        self.take(tx, work, at).boxed()
    }
}

impl Taking {
    async fn take(&self, tx: &mut Tx, work: &mut Work, at: At<'_>) -> Result<End> {
        let At { caller, now, .. } = at;
        work.admit(caller, now, Act::Lock)?;
        work.check_etag(&self.etag)?;
        // At the time of the version that this makes, so that the answer can be given again.
        let begin = now.max(work.cart.update_time);
        let held = work.cart.lock.as_ref();
        if held.is_none_or(|lock| lock.purpose != self.purpose) {
            let acquire_time = held.map_or(begin, |lock| lock.acquire_time);
            work.cart.lock = Some(Lock {
                holder: caller.actor.as_deref().unwrap_or_default().to_owned(),
                key_id: caller.key_id.to_string(),
                purpose: self.purpose.clone(),
                acquire_time,
            });
            work.causes.push(Cause::of_cart(cart_cause::Kind::Locked));
        }
        let end = begin.saturating_add(self.lease);
        work.cart.lock_expire_time = Some(end);
        work.settle()?;
        if !work.is_idle() {
            return Ok(End::Save);
        }
        sql::renew(tx, &caller.shop, &work.cart.id, end).await?;
        let answer = work.leave(tx, caller, now, work.shown(now)).await?;
        Ok(End::Done(Box::new(answer)))
    }
}

/// The answer with the end of the lease that the call began. A repeated request is answered from the version
/// and the log, which do not have it.
fn as_first_answered(mut answer: pb::Cart, lease: i64) -> pb::Cart {
    let begin = answer.update_time.as_ref().map(micros);
    if let (Some(lock), Some(begin)) = (&mut answer.lock, begin)
        && lock.expire_time.is_none()
    {
        lock.expire_time = Some(timestamp(begin.saturating_add(lease)));
    }
    answer
}

impl Step for Renewal {
    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        work: &'t mut Work,
        at: At<'t>,
    ) -> BoxFuture<'t, Result<End>> {
        self.renew(tx, work, at).boxed()
    }
}

impl Renewal {
    async fn renew(&self, tx: &mut Tx, work: &mut Work, at: At<'_>) -> Result<End> {
        let At { caller, now, .. } = at;
        // An expired lease is no hold. The next write reports its end.
        work.admit(caller, now, Act::Lock)?;
        if work.cart.lock.is_none() {
            let text = "the cart is not locked; lock it first";
            let code = Code::FailedPrecondition;
            return Err(Error::new(code, ErrorReason::CartNotLocked, text));
        }
        let end = now.saturating_add(self.lease);
        sql::renew(tx, &caller.shop, &work.cart.id, end).await?;
        work.cart.lock_expire_time = Some(end);
        work::view(work)?;
        Ok(End::Done(Box::new(work.shown(now))))
    }
}

/// The lease in microseconds.
fn lease(sent: Option<prost_types::Duration>) -> Result<i64> {
    let lease = match sent {
        None => LOCK_LEASE_DEFAULT,
        // A negative duration becomes zero, which is refused.
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
