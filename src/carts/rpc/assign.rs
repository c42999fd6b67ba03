//! AssignCart.

use std::collections::HashSet;
use std::sync::Arc;

use futures::FutureExt as _;

use super::Service;
use super::merge::{
    leave_slot, merge_into, names, remember, repeated, replayed, require_may_move, shop_choice,
};
use super::write::route_to;
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::merging::Policy;
use crate::carts::model::{Owner, State};
use crate::carts::outcomes;
use crate::carts::sql;
use crate::carts::targets::{Hints, Slot, customer_id, lock};
use crate::carts::work::{self, Act, Lookup, Route, Work};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feed;
use crate::format::ID_BYTES_MAX;
use crate::proto::pb::assign_cart_request::IfOpenCartExists;
use crate::proto::pb::{self, cart_cause};
use crate::store::{Conn, Tx};

/// The most open carts of one customer that are examined for a free slot.
const SLOTS: i64 = 1_000;
/// The free slots whose locks are taken together: this many other assignments may come first.
const SLOTS_HELD: usize = 16;

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
        let route = route_to(target);
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
        self.store
            .write_with(locks, assignment, |tx, assignment| {
                once(tx, assignment).boxed()
            })
            .await
    }
}

/// The outcome for the customer's open cart in the slot.
enum SlotOutcome {
    /// There is none, or the assigned cart gets another slot.
    Free,
    /// It is deleted.
    Replaced(Work),
    /// The assigned cart is merged into it.
    Taken(Work, Policy),
}

async fn once(tx: &mut Tx, assignment: &Assignment) -> Result<pb::AssignCartResponse> {
    let Assignment {
        caller,
        route,
        customer,
        hints,
        ..
    } = assignment;
    let now = assignment.clock.now();
    let mut work = match work::find(tx, caller, route, Some(customer), now).await? {
        Lookup::Replay(replay) => return replayed(tx, caller, &replay, of_cart).await,
        Lookup::Work(work) => work,
        Lookup::StaleHint => return Err(Error::not_found("cart")),
    };
    let owner = Owner::Customer(customer.clone());
    require_may_move(caller, &work.cart.owner, &owner)?;
    if let Some(mut target) = merged_before(tx, assignment, &owner, &work).await? {
        let answer = of_merge(repeated(&work, &mut target)?);
        return remember(tx, caller, now, [&work, &target], answer).await;
    }
    work.admit(caller, now, Act::Edit)?;
    work.check_etag(&assignment.etag)?;
    work::require_customer(work.customer.as_ref())?;
    let before = work.slot();
    let room = if before.owner == owner {
        SlotOutcome::Free
    } else {
        make_room(tx, assignment, &owner, &mut work).await?
    };
    if let SlotOutcome::Taken(mut target, policy) = room {
        work.admit(caller, now, Act::Merge)?;
        target.admit(caller, now, Act::Merge)?;
        let merged = merge_into(tx, caller, now, &mut work, &mut target, policy).await?;
        leave_slot(&work, caller, hints);
        let answer = of_merge(merged);
        feed::answer(tx, caller, now, &answer, &names(&[&work, &target])).await?;
        return Ok(answer);
    }
    if before.owner != owner {
        let kind = match before.owner.customer() {
            None => cart_cause::Kind::Assigned,
            Some(_) => cart_cause::Kind::Reassigned,
        };
        work.cart.owner = owner;
        work.causes.push(Cause::of_cart(kind));
    }
    work.settle()?;
    if work.is_idle() {
        return work
            .leave(tx, caller, now, work.answer())
            .await
            .map(of_cart);
    }
    let deletion = match room {
        SlotOutcome::Replaced(mut replaced) => {
            replaced.admit(caller, now, Act::Delete)?;
            let deleted = Cause::of_cart(cart_cause::Kind::Deleted);
            replaced.causes.push(deleted);
            Some(replaced.remove(tx, caller, now).await?)
        }
        SlotOutcome::Free | SlotOutcome::Taken(..) => None,
    };
    let answer = work.save(tx, caller, now).await?;
    if let Some(deletion) = deletion {
        // After the answer's own change, which carries the request id.
        feed::append(tx, caller, now, deletion).await?;
    }
    hints.forget(&caller.shop, &before);
    work.hint(tx, caller, hints);
    answer
        .map(of_cart)
        .ok_or_else(|| Error::internal("an old cart was added"))
}

fn of_cart(cart: pb::Cart) -> pb::AssignCartResponse {
    pb::AssignCartResponse {
        cart: Some(cart),
        ..Default::default()
    }
}

fn of_merge(merged: pb::MergeCartsResponse) -> pb::AssignCartResponse {
    pb::AssignCartResponse {
        cart: merged.cart,
        lines: merged.lines,
        extras: merged.extras,
    }
}

/// The action if the customer has an open cart in the slot.
async fn choice(conn: &mut Conn, assignment: &Assignment) -> Result<IfOpenCartExists> {
    match assignment.otherwise {
        IfOpenCartExists::Unspecified => shop_choice(conn, &assignment.caller).await,
        said => Ok(said),
    }
}

/// Finds the customer's cart into which this cart was merged at an earlier sign-in, for example in another
/// tab. None if it would not be merged into that one again.
async fn merged_before(
    conn: &mut Conn,
    assignment: &Assignment,
    owner: &Owner,
    work: &Work,
) -> Result<Option<Work>> {
    if work.cart.state != State::Merged
        || outcomes::policy_of(choice(conn, assignment).await?).is_none()
    {
        return Ok(None);
    }
    let target = std::slice::from_ref(&work.cart.merged_into);
    let target = sql::read_many(conn, &assignment.caller.shop, target).await?;
    let same = |target: &sql::Priced| {
        let cart = &target.cart;
        cart.is_open() && cart.owner == *owner && cart.slot == work.cart.slot
    };
    Ok(target.into_iter().find(same).map(Work::of))
}

/// Decides the outcome for the customer's open cart in the slot. Where both carts stay, it gives the cart a
/// slot of its own.
async fn make_room(
    tx: &mut Tx,
    assignment: &Assignment,
    owner: &Owner,
    work: &mut Work,
) -> Result<SlotOutcome> {
    let shop = &*assignment.caller.shop;
    let in_slot = |slot: &str| Slot {
        owner: owner.clone(),
        slot: slot.to_owned(),
    };
    let slot = work.cart.slot.clone();
    let open = sql::open_of(tx, shop, &owner.key(), SLOTS).await?;
    let choice = choice(tx, assignment).await?;
    let other = open.iter().find(|(_, taken)| *taken == slot);
    let taken: HashSet<&str> = open.iter().map(|(_, slot)| slot.as_str()).collect();
    let free: Vec<String> = free_slots(&slot, &taken).take(SLOTS_HELD).collect();
    // Requires all missing locks at once, and those of several slots: each further missing lock costs another
    // run, and other assignments may come before it.
    let mut locks = vec![in_slot(&slot).lock(shop)];
    match (other, choice) {
        (Some(_), IfOpenCartExists::KeepBoth) if !tx.holds(in_slot(&free[0]).lock(shop)) => {
            locks.extend(free.iter().map(|slot| in_slot(slot).lock(shop)));
        }
        (
            Some(_),
            IfOpenCartExists::Unspecified | IfOpenCartExists::Fail | IfOpenCartExists::KeepBoth,
        )
        | (None, _) => {}
        (Some((id, _)), _) => locks.push(lock(shop, id)),
    }
    tx.require_all(locks)?;
    let Some((other, _)) = other else {
        return Ok(SlotOutcome::Free);
    };
    match choice {
        IfOpenCartExists::Unspecified | IfOpenCartExists::Fail => {
            Err(work::open_cart_exists(other))
        }
        IfOpenCartExists::KeepBoth => {
            work.cart.slot.clone_from(&free[0]);
            Ok(SlotOutcome::Free)
        }
        IfOpenCartExists::Replace
        | IfOpenCartExists::Sum
        | IfOpenCartExists::Max
        | IfOpenCartExists::GuestWins
        | IfOpenCartExists::CustomerWins => {
            // Read under its lock: it may have been ordered while this write waited.
            let other = sql::read_many(tx, shop, std::slice::from_ref(other))
                .await?
                .pop();
            let still_there = |other: &sql::Priced| {
                other.cart.is_open() && other.cart.owner == *owner && other.cart.slot == slot
            };
            let Some(other) = other.filter(still_there).map(Work::of) else {
                return Ok(SlotOutcome::Free);
            };
            Ok(match outcomes::policy_of(choice) {
                None => SlotOutcome::Replaced(other),
                Some(policy) => SlotOutcome::Taken(other, policy),
            })
        }
    }
}

/// The slots among `main-2`, `main-3`, … that are not taken.
fn free_slots(slot: &str, taken: &HashSet<&str>) -> impl Iterator<Item = String> {
    (2_u64..)
        .map(move |number| {
            let suffix = format!("-{number}");
            let room = ID_BYTES_MAX.saturating_sub(suffix.len());
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
        let longest = "x".repeat(ID_BYTES_MAX);
        let free = free_slots(&longest, &HashSet::new()).next();
        assert_eq!(free.map(|slot| slot.len()), Some(ID_BYTES_MAX));
    }
}
