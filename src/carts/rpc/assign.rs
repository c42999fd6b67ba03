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
use crate::carts::work::{self, Got, Route, Work};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feed;
use crate::proto::pb::assign_cart_request::IfOpenCartExists;
use crate::proto::pb::{self, cart_cause};
use crate::store::Tx;

/// Open carts of one customer that are looked at for a free slot.
const SLOTS: i64 = 1_000;
/// Free slots of which the locks are taken together: so many assignments may come first.
const SLOTS_HELD: usize = 16;
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
    ) -> Result<pb::Cart> {
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
        assigned.await
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
    work.require_open()?;
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
            let deleted = Cause::of_cart(cart_cause::Kind::Deleted);
            replaced.causes.push(deleted);
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
    let in_slot = |slot: &str| Slot {
        owner: owner.clone(),
        slot: slot.to_owned(),
    };
    let slot = work.cart.slot.clone();
    let open = sql::open_of(tx, shop, &owner.key(), SLOTS).await?;
    let other = open.iter().find(|(_, taken)| *taken == slot);
    let taken: HashSet<&str> = open.iter().map(|(_, slot)| slot.as_str()).collect();
    let free: Vec<String> = free_slots(&slot, &taken).take(SLOTS_HELD).collect();
    // All that are missing at once, and more than one slot: each look that finds another lock missing
    // is another run, and before it others may come first.
    let mut locks = vec![in_slot(&slot).lock(shop)];
    match (other, assignment.otherwise) {
        (Some(_), IfOpenCartExists::KeepBoth) if !tx.holds(in_slot(&free[0]).lock(shop)) => {
            locks.extend(free.iter().map(|slot| in_slot(slot).lock(shop)));
        }
        (Some((id, _)), IfOpenCartExists::Replace) => locks.push(lock(shop, id)),
        _ => {}
    }
    tx.require_all(locks)?;
    let Some((other, _)) = other else {
        return Ok(None);
    };
    match assignment.otherwise {
        IfOpenCartExists::Unspecified | IfOpenCartExists::Fail => {
            Err(work::open_cart_exists(other))
        }
        IfOpenCartExists::KeepBoth => {
            work.cart.slot.clone_from(&free[0]);
            Ok(None)
        }
        IfOpenCartExists::Replace => {
            // Read under its lock: it may have been ordered while this write waited.
            let other = sql::read_many(tx, shop, std::slice::from_ref(other))
                .await?
                .pop();
            let still_there = |other: &sql::Priced| {
                other.cart.is_open() && other.cart.owner == *owner && other.cart.slot == slot
            };
            Ok(other.filter(still_there).map(Work::of))
        }
    }
}

/// Those of `main-2`, `main-3`, … that are not taken.
fn free_slots(slot: &str, taken: &HashSet<&str>) -> impl Iterator<Item = String> {
    (2_u64..)
        .map(move |number| {
            let suffix = format!("-{number}");
            let room = SLOT_CHARS_MAX.saturating_sub(suffix.len());
            format!("{}{suffix}", &slot[..slot.len().min(room)])
        })
        .filter(|candidate| !taken.contains(candidate.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_of_its_own_has_the_next_number_and_fits() {
        let taken = HashSet::from(["main", "main-2", "main-4"]);

        let free: Vec<String> = free_slots("main", &taken).take(2).collect();
        assert_eq!(free, ["main-3", "main-5"]);
        let longest = "x".repeat(SLOT_CHARS_MAX);
        let free = free_slots(&longest, &HashSet::new()).next();
        assert_eq!(free.map(|slot| slot.len()), Some(SLOT_CHARS_MAX));
    }
}
