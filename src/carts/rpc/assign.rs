//! AssignCart.

use std::collections::HashSet;
use std::sync::Arc;

use futures::FutureExt as _;

use super::Service;
use crate::access::Caller;
use crate::carts::edit::Cause;
use crate::carts::model::Owner;
use crate::carts::sql;
use crate::carts::targets::{Hints, Slot, customer_id, lock};
use crate::carts::work::{self, Act, Got, Route, Work};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feed;
use crate::proto::pb::assign_cart_request::IfOpenCartExists;
use crate::proto::pb::{self, cart_cause};
use crate::store::Tx;

/// Open carts of one customer that are looked at for a free slot.
const SLOTS: i64 = 1_000;
/// The longest name of a slot.
const SLOT_CHARS_MAX: usize = 63;

struct Assignment {
    caller: Arc<Caller>,
    route: Route,
    customer: String,
    otherwise: IfOpenCartExists,
    etag: String,
    clock: Clock,
    hints: Hints,
}

impl Service {
    pub(super) async fn assign(
        &self,
        caller: Arc<Caller>,
        request: pb::AssignCartRequest,
    ) -> Result<pb::AssignCartResponse> {
        let otherwise = request.if_open_cart_exists();
        let target = self.target(&caller, request.target)?;
        if request.customer.is_empty() {
            return Err(Error::invalid_field("customer", "REQUIRED", "is required"));
        }
        let route = Self::route_to(target);
        let locks = route.locks(&caller);
        let assignment = Assignment {
            caller,
            route,
            customer: customer_id(&request.customer)?,
            otherwise,
            etag: request.etag,
            clock: self.store.clock().clone(),
            hints: self.hints.clone(),
        };
        let assigned = self.store.write_with(locks, assignment, |tx, assignment| {
            once(tx, assignment).boxed()
        });
        Ok(pb::AssignCartResponse {
            cart: Some(assigned.await?),
            ..Default::default()
        })
    }
}

async fn once(tx: &mut Tx, assignment: &Assignment) -> Result<pb::Cart> {
    let Assignment {
        caller,
        route,
        customer,
        hints,
        ..
    } = assignment;
    let now = assignment.clock.now();
    let mut work = match work::find(tx, caller, route, Some(customer), now).await? {
        Got::Replay(replay) => {
            return work::replayed(tx, caller, &replay).await;
        }
        Got::Work(work) => work,
        Got::Moved => return Err(Error::not_found("cart")),
    };
    work.admit(caller, now, Act::Edit)?;
    work.check_etag(&assignment.etag)?;
    work::require_customer(work.customer.as_ref())?;
    let owner = Owner::Customer(customer.clone());
    let before = Slot {
        owner: work.cart.owner.clone(),
        slot: work.cart.slot.clone(),
    };
    let replaced = if before.owner == owner {
        None
    } else {
        make_room(tx, assignment, &owner, &mut work).await?
    };
    if before.owner != owner {
        work.cart.owner = owner;
        work.causes.push(Cause::of_cart(cart_cause::Kind::Assigned));
    }
    work.settle()?;
    if work.is_idle(caller) {
        return Ok(work.answer());
    }
    let deletion = match replaced {
        Some(mut replaced) => {
            replaced.admit(caller, now, Act::Delete)?;
            Some(replaced.remove(tx, caller, now).await?)
        }
        None => None,
    };
    let answer = work.save(tx, caller, now).await?;
    if let Some(deletion) = deletion {
        // After the answer's own change, which carries the request id.
        feed::append(tx, caller, now, deletion).await?;
    }
    hints.forget(&caller.shop, &before);
    work.hint(tx, caller, hints);
    answer.ok_or_else(|| Error::internal("an old cart was added"))
}

/// Makes sure that the customer's slot is free for the cart; the cart that goes for it.
async fn make_room(
    tx: &mut Tx,
    assignment: &Assignment,
    owner: &Owner,
    work: &mut Work,
) -> Result<Option<Work>> {
    let shop = &*assignment.caller.shop;
    let slot = Slot {
        owner: owner.clone(),
        slot: work.cart.slot.clone(),
    };
    tx.require(slot.lock(shop))?;
    let open = sql::open_of(tx, shop, &owner.key(), SLOTS).await?;
    let Some((other, _)) = open.iter().find(|(_, taken)| *taken == slot.slot) else {
        return Ok(None);
    };
    match assignment.otherwise {
        IfOpenCartExists::Unspecified | IfOpenCartExists::Fail => {
            Err(work::open_cart_exists(other))
        }
        IfOpenCartExists::KeepBoth => {
            let taken: HashSet<&str> = open.iter().map(|(_, slot)| slot.as_str()).collect();
            let free = free_slot(&slot.slot, &taken);
            tx.require(
                Slot {
                    owner: owner.clone(),
                    slot: free.clone(),
                }
                .lock(shop),
            )?;
            work.cart.slot = free;
            Ok(None)
        }
        IfOpenCartExists::Replace => {
            tx.require(lock(shop, other))?;
            // Read under its lock: it may have been ordered while this write waited.
            let other = sql::read_many(tx, shop, std::slice::from_ref(other))
                .await?
                .pop();
            let still_there = |other: &sql::Priced| {
                other.cart.is_open() && other.cart.owner == *owner && other.cart.slot == slot.slot
            };
            Ok(other.filter(still_there).map(Work::of))
        }
        IfOpenCartExists::Sum
        | IfOpenCartExists::Max
        | IfOpenCartExists::GuestWins
        | IfOpenCartExists::CustomerWins => Err(Error::internal("not built yet")),
    }
}

/// The first of `main-2`, `main-3`, … that is not taken.
fn free_slot(slot: &str, taken: &HashSet<&str>) -> String {
    (2_u64..)
        .map(|number| {
            let suffix = format!("-{number}");
            let room = SLOT_CHARS_MAX.saturating_sub(suffix.len());
            format!("{}{suffix}", &slot[..slot.len().min(room)])
        })
        .find(|candidate| !taken.contains(candidate.as_str()))
        .expect("only so many slots are taken, and there are endless numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_of_its_own_has_the_next_number_and_fits() {
        let taken = HashSet::from(["main", "main-2"]);

        assert_eq!(free_slot("main", &taken), "main-3");
        assert_eq!(free_slot(&"x".repeat(63), &HashSet::new()).len(), 63);
    }
}
