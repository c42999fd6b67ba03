//! The gate of every write of a cart: it checks whether the cart is open, whether somebody else holds it, and
//! whether it is frozen.
//!
//! Invariant: [`Work`] writes and removes no cart that was not admitted, except for new carts and work of the
//! service itself. An expired lease holds nothing: the write that finds it ends it.

use jiff::Timestamp;
use tonic::Code;

use super::{Work, state_name};
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::model::{self, Cart, Freeze, Lock};
use crate::error::{Error, Result};
use crate::proto::pb::{self, ErrorReason, cart_cause};

/// The action of a write on a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Changes lines, quantities, fields or the owner.
    Edit,
    /// Changes the prices of lines.
    Price,
    /// Gives or takes lines, which then have the prices of their new cart's owner.
    Merge,
    /// Freezes or unfreezes it.
    Freeze,
    /// Takes, renews or releases the hold of the caller.
    Lock,
    /// Ends the hold of anybody.
    ForceUnlock,
    /// Orders it.
    Order,
    /// Reopens an ordered cart.
    Reopen,
    /// Deletes it.
    Delete,
    /// Work of the service itself.
    Service,
    /// Deletes it at the end of its retention, open or not.
    Expire,
}

impl Act {
    /// Whether the cart must be open.
    const fn needs_open(self) -> bool {
        !matches!(self, Self::Reopen | Self::Expire)
    }

    /// Whether it is allowed on a cart that another person holds.
    const fn passes_lock(self) -> bool {
        matches!(self, Self::ForceUnlock | Self::Service | Self::Expire)
    }

    /// Whether it is allowed on a cart with this freeze.
    const fn passes_freeze(self, freeze: Freeze) -> bool {
        match (freeze, self) {
            (Freeze::None, _) => true,
            (Freeze::Soft, act) => !matches!(act, Self::Price | Self::Merge),
            (Freeze::Hard, act) => !matches!(act, Self::Price | Self::Edit | Self::Merge),
        }
    }
}

impl Work {
    /// Admits a write, or refuses it. An expired lease ends here, as the first cause.
    ///
    /// # Errors
    /// CART_NOT_OPEN, CART_LOCKED or CART_FROZEN.
    pub fn admit(&mut self, caller: &Caller, now: i64, act: Act) -> Result<()> {
        if act.needs_open() {
            self.require_open()?;
        }
        if self.cart.lease_ran_out(now) {
            self.cart.lock = None;
            self.cart.lock_expire_time = None;
            let over = Cause::of_cart(cart_cause::Kind::LockExpired);
            self.causes.push(over);
        }
        if let Some(lock) = &self.cart.lock
            && !act.passes_lock()
            && !is_of(lock, caller)
        {
            return Err(locked(&self.cart, lock));
        }
        if !act.passes_freeze(self.cart.freeze) {
            return Err(frozen(self.cart.freeze));
        }
        self.admitted = true;
        Ok(())
    }

    /// Refuses to write a cart that was not admitted.
    pub(super) fn require_admitted(&self, caller: &Caller) -> Result<()> {
        if self.admitted || self.is_new || caller.is_system() {
            return Ok(());
        }
        Err(Error::internal("a cart is written that was not admitted"))
    }

    /// Refuses a cart that is not open.
    ///
    /// # Errors
    /// CART_NOT_OPEN.
    pub fn require_open(&self) -> Result<()> {
        if self.cart.is_open() {
            return Ok(());
        }
        Err(self.with_state(Error::new(
            Code::FailedPrecondition,
            ErrorReason::CartNotOpen,
            "the cart is not open",
        )))
    }

    /// Adds the cart's state to a refusal, and the order or the cart that it ended in.
    pub fn with_state(&self, refusal: Error) -> Error {
        let mut error = refusal.with("state", state_name(self.cart.state));
        if !self.cart.order_reference.is_empty() {
            error = error.with("order_reference", self.cart.order_reference.clone());
        }
        if !self.cart.merged_into.is_empty() {
            error = error.with("merged_into", model::name(&self.cart.merged_into));
        }
        error
    }
}

/// Whether a hold is the caller's: the same person with the same key.
fn is_of(lock: &Lock, caller: &Caller) -> bool {
    lock.key_id == *caller.key_id && lock.holder == caller.actor.as_deref().unwrap_or_default()
}

fn locked(cart: &Cart, lock: &Lock) -> Error {
    let end = cart.lock_expire_time.unwrap_or_default();
    let end = Timestamp::from_microsecond(end).unwrap_or(Timestamp::MAX);
    let text = "a member of staff holds the cart";
    Error::new(Code::FailedPrecondition, ErrorReason::CartLocked, text)
        .with("holder", lock.holder.clone())
        .with("purpose", lock.purpose.clone())
        .with("expire_time", end.to_string())
}

fn frozen(freeze: Freeze) -> Error {
    let name = pb::cart::Freeze::try_from(freeze as i32).unwrap_or_default();
    let text = match freeze {
        Freeze::Hard => "the cart is frozen",
        Freeze::None | Freeze::Soft => "the prices of the cart are frozen",
    };
    Error::new(Code::FailedPrecondition, ErrorReason::CartFrozen, text)
        .with("freeze", name.as_str_name())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::carts::model::Basis;

    const ACTS: [Act; 11] = [
        Act::Edit,
        Act::Price,
        Act::Merge,
        Act::Freeze,
        Act::Lock,
        Act::ForceUnlock,
        Act::Order,
        Act::Reopen,
        Act::Delete,
        Act::Service,
        Act::Expire,
    ];
    /// When the lease of [`held`] ends.
    const END: i64 = 1_800_000_000_000_000;

    fn work(cart: Cart) -> Work {
        Work {
            cart,
            customer: None,
            basis: Basis::default(),
            is_new: false,
            topic: None,
            admitted: false,
            causes: Vec::new(),
        }
    }

    fn caller(key: &str, actor: Option<&str>) -> Caller {
        Caller {
            key_id: Arc::from(key),
            method: "/a/call",
            ..Caller::system(Arc::from("s"), actor.map(Arc::from))
        }
    }

    /// A cart that Anna holds.
    fn held() -> Cart {
        Cart {
            lock: Some(Lock {
                holder: "staff/anna".to_owned(),
                key_id: "till".to_owned(),
                purpose: "Telephone order".to_owned(),
                acquire_time: 0,
            }),
            lock_expire_time: Some(END),
            ..Cart::default()
        }
    }

    fn admitted(cart: &Cart, caller: &Caller, now: i64) -> Vec<Act> {
        ACTS.into_iter()
            .filter(|act| work(cart.clone()).admit(caller, now, *act).is_ok())
            .collect()
    }

    #[test]
    fn a_frozen_cart_refuses_some_acts() {
        let frozen = |freeze| Cart {
            freeze,
            ..Cart::default()
        };
        let anybody = caller("shop", None);

        assert_eq!(admitted(&frozen(Freeze::None), &anybody, 0), ACTS);
        let soft = admitted(&frozen(Freeze::Soft), &anybody, 0);
        let hard = admitted(&frozen(Freeze::Hard), &anybody, 0);

        let refused = [Act::Price, Act::Merge];
        assert!(!refused.iter().any(|act| soft.contains(act)));
        assert_eq!(soft.len(), ACTS.len() - 2);
        let refused = [Act::Edit, Act::Price, Act::Merge];
        assert!(!refused.iter().any(|act| hard.contains(act)));
        assert_eq!(hard.len(), ACTS.len() - 3);
    }

    #[test]
    fn a_cart_is_held_against_everybody_but_the_same_person_with_the_same_key() {
        let cart = held();
        let anna = caller("till", Some("staff/anna"));
        let others = [
            caller("till", Some("staff/ben")),
            caller("till", None),
            caller("other", Some("staff/anna")),
        ];

        assert_eq!(admitted(&cart, &anna, END - 1), ACTS);
        for other in &others {
            let acts = admitted(&cart, other, END - 1);
            let service = [Act::ForceUnlock, Act::Service, Act::Expire];
            assert_eq!(acts, service, "{other:?}");
        }
        let refusal = work(cart)
            .admit(&others[0], END - 1, Act::Edit)
            .unwrap_err();
        assert_eq!(refusal.reason(), ErrorReason::CartLocked);
        assert_eq!(refusal.metadata("holder"), Some("staff/anna"));
        assert_eq!(refusal.metadata("purpose"), Some("Telephone order"));
        assert_eq!(
            refusal.metadata("expire_time"),
            Some("2027-01-15T08:00:00Z")
        );
    }

    #[test]
    fn an_expired_lease_ends_with_the_next_write_and_is_its_first_cause() {
        let other = caller("other", None);
        let mut work = work(held());

        work.admit(&other, END, Act::Edit).unwrap();

        assert_eq!((&work.cart.lock, work.cart.lock_expire_time), (&None, None));
        let kinds: Vec<_> = work.causes.iter().map(|cause| cause.kind).collect();
        assert_eq!(kinds, [cart_cause::Kind::LockExpired]);
    }

    #[test]
    fn a_merged_cart_is_only_deleted_when_it_was_kept_for_long_enough() {
        let merged = Cart {
            state: model::State::Merged,
            merged_into: "other".to_owned(),
            ..Cart::default()
        };
        let anybody = caller("shop", None);

        // A later check refuses to reopen a cart that was not ordered.
        let acts = admitted(&merged, &anybody, 0);
        assert_eq!(acts, [Act::Reopen, Act::Expire]);
    }

    #[test]
    fn nothing_is_written_that_did_not_pass() {
        let caller = caller("shop", None);
        let mut work = work(Cart::default());

        assert!(work.require_admitted(&caller).is_err());
        work.admit(&caller, 0, Act::Edit).unwrap();
        assert!(work.require_admitted(&caller).is_ok());
    }
}
