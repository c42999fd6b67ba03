//! CreateCart.

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::Code;

use super::Service;
use super::update::{Patch, WRITABLE};
use crate::caller::Caller;
use crate::carts::KIND;
use crate::carts::convert::{self, Faults};
use crate::carts::edit::NewLine;
use crate::carts::model;
use crate::carts::sql;
use crate::carts::targets::{Hints, Slot};
use crate::carts::work::{self, Lookup, Opening, Route};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::ids;
use crate::numbers::Sequence;
use crate::proto::pb::{self, ErrorReason};
use crate::resource::tombstone;
use crate::store::Tx;

/// How often a new number is allocated when another cart already has it by a caller's choice.
const ATTEMPTS: usize = 8;

/// A cart to be created, which every run of the write borrows.
struct Creation {
    caller: Arc<Caller>,
    slot: Slot,
    opening: Opening,
    /// Whether the caller chose the id. Then another cart may have it, or have had it.
    id_chosen: bool,
    number_chosen: bool,
    patch: Patch,
    lines: Vec<NewLine>,
    validate_only: bool,
    clock: Clock,
    hints: Hints,
}

impl Service {
    pub(super) async fn create(
        &self,
        caller: Arc<Caller>,
        request: pb::CreateCartRequest,
    ) -> Result<pb::Cart> {
        let slot = self.visitors.slot(&caller.shop, request.owner, "owner")?;
        let mut cart = request.cart.unwrap_or_default();
        let items = request.items.into_iter().enumerate();
        let lines: Vec<NewLine> = items
            .map(|(at, item)| convert::new_line(Some(item), &format!("items[{at}]")))
            .collect::<Result<_>>()?;
        let (number, storefront) = (
            std::mem::take(&mut cart.number),
            std::mem::take(&mut cart.storefront),
        );
        let currency = match std::mem::take(&mut cart.currency_code) {
            sent if !sent.is_empty() => sent,
            _ => lines
                .first()
                .map(|line| line.price.currency.clone())
                .unwrap_or_default(),
        };
        let mut faults = Faults::default();
        let patch = Patch::read(cart, WRITABLE, &mut faults);
        let mut creation = faults.or(Creation {
            id_chosen: !request.cart_id.is_empty(),
            number_chosen: !number.is_empty(),
            opening: Opening {
                id: request.cart_id,
                number,
                storefront,
                currency,
            },
            caller,
            slot,
            patch,
            lines,
            validate_only: request.validate_only,
            clock: self.store.clock().clone(),
            hints: self.hints.clone(),
        })?;
        if !creation.id_chosen {
            creation.opening.id = ids::new_id();
        }
        let creation = Arc::new(creation);
        for _ in 0..ATTEMPTS {
            let mut opening = creation.opening.clone();
            if !creation.number_chosen {
                opening.number = self
                    .numbers
                    .next(&creation.caller.shop, Sequence::Cart)
                    .await?;
            }
            let route = Route::OpenOrNew(creation.slot.clone(), opening);
            let locks = route.locks(&creation.caller);
            let data = (Arc::clone(&creation), route);
            let created = self.store.write_with(locks, data, |tx, (creation, route)| {
                once(tx, creation, route).boxed()
            });
            if let Some(cart) = created.await? {
                return Ok(cart);
            }
        }
        Err(Error::new(
            Code::Aborted,
            ErrorReason::Conflict,
            "the allocated numbers were in use several times in a row; try again",
        ))
    }
}

/// None if the allocated number is in use.
async fn once(tx: &mut Tx, creation: &Creation, route: &Route) -> Result<Option<pb::Cart>> {
    let Creation {
        caller,
        patch,
        lines,
        hints,
        ..
    } = creation;
    let shop = &*caller.shop;
    let now = creation.clock.now();
    let mut work = match work::find(tx, caller, route, None, now).await? {
        Lookup::Replay(replay) => {
            return work::replayed(tx, caller, &replay).await.map(Some);
        }
        Lookup::Work(work) if work.is_new => work,
        Lookup::Work(work) => return Err(work::open_cart_exists(&work.cart.id)),
        Lookup::StaleHint => {
            return Err(Error::internal(
                "a cart moved that was found without a hint",
            ));
        }
    };
    if creation.id_chosen {
        if sql::exists(tx, shop, &work.cart.id).await? {
            return Err(work::name_taken(&work.cart.id));
        }
        work.cart.version = tombstone::last_version(tx, shop, KIND, &work.cart.id).await?;
    }
    if creation.number_chosen
        && let Some(other) = sql::by_number(tx, shop, &work.cart.number).await?
    {
        return Err(number_taken(&other));
    }
    work.edit(caller, now, |edit| {
        patch.check(edit)?;
        lines
            .iter()
            .enumerate()
            .try_for_each(|(at, line)| edit.add(line, &format!("items[{at}]")))
    })?;
    patch.apply(&mut work.cart);
    work.settle()?;
    if creation.validate_only {
        return Ok(Some(work.answer()));
    }
    let Some(answer) = work.save(tx, caller, now).await? else {
        // Another call took the number between the check above and the insertion.
        return if creation.number_chosen {
            Err(tx.run_again())
        } else {
            Ok(None)
        };
    };
    work.hint(tx, caller, hints);
    Ok(Some(answer))
}

fn number_taken(other: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        ErrorReason::NumberTaken,
        "another cart has the number",
    )
    .with("name", model::name(other))
}
