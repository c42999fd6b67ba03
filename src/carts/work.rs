//! A cart during a write: how the write [finds](mod@find) it, what it may do ([`gate`]), and how it ends
//! ([`save`]).
//!
//! Invariants: the writer of a cart holds its lock. Before a cart is written or shown, it is priced with the
//! present privileges of its owner's group, unless its prices are frozen.

mod find;
mod gate;
mod save;

pub use find::{Lookup, Opening, Route, find, require_customer, require_free};
pub use gate::Act;

use std::sync::Arc;

use tonic::Code;

use super::convert;
use super::edit::{Cause, Edit};
use super::model::{self, Cart, State};
use super::price::{TooLarge, price};
use super::schema;
use super::sql::{self, Buyer, Found};
use super::targets::{Hints, Slot};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Kind, Replay};
use crate::limits::CART_BYTES_MAX;
use crate::proto::pb::{self, ErrorReason, cart_cause};
use crate::store::{Conn, Tx};

/// A cart that is being worked on, under its lock.
#[derive(Debug)]
pub struct Work {
    pub cart: Cart,
    pub customer: Option<Buyer>,
    /// The terms with which it is to be priced, unless it is frozen.
    pub basis: model::Basis,
    /// Whether it is not in the store yet.
    pub is_new: bool,
    /// The topic under which its stored version is watched, while that is open.
    topic: Option<String>,
    /// Whether the gate has admitted the write.
    admitted: bool,
    /// The causes of the change.
    pub causes: Vec<Cause>,
}

impl Work {
    /// A cart with its surroundings.
    pub fn new(cart: Cart, found: Found) -> Self {
        let Found {
            customer, basis, ..
        } = found;
        let causes = Vec::new();
        Self {
            topic: topic(&cart),
            cart,
            customer,
            basis,
            is_new: false,
            admitted: false,
            causes,
        }
    }

    /// A cart that was read without a request.
    pub fn of(priced: sql::Priced) -> Self {
        let sql::Priced {
            cart,
            customer,
            basis,
        } = priced;
        let causes = Vec::new();
        Self {
            topic: topic(&cart),
            cart,
            customer,
            basis,
            is_new: false,
            admitted: false,
            causes,
        }
    }

    /// Checks the etag of the request.
    ///
    /// # Errors
    /// ETAG_MISMATCH, or NOT_FOUND if the cart is not in the store yet.
    pub fn check_etag(&self, sent: &str) -> Result<()> {
        if self.is_new && !sent.is_empty() {
            return Err(Error::not_found("cart"));
        }
        feed::check_etag(sent, &self.cart.name(), self.cart.version)
    }

    /// Edits the cart and keeps the causes.
    ///
    /// # Errors
    /// The error of the edit.
    pub fn edit(
        &mut self,
        caller: &Caller,
        now: i64,
        apply: impl FnOnce(&mut Edit<'_>) -> Result<()>,
    ) -> Result<()> {
        let actor = caller.actor.as_deref().unwrap_or_default();
        let mut edit = Edit::new(&mut self.cart, now, actor);
        edit.causes.append(&mut self.causes);
        apply(&mut edit)?;
        self.causes = edit.causes;
        Ok(())
    }

    /// Edits the cart in several steps. If they leave it unchanged, the causes are dropped.
    ///
    /// # Errors
    /// The error of the edit.
    pub fn edit_at_once(
        &mut self,
        caller: &Caller,
        now: i64,
        apply: impl FnOnce(&mut Edit<'_>) -> Result<()>,
    ) -> Result<()> {
        let (before, met) = (self.cart.clone(), self.causes.len());
        self.edit(caller, now, apply)?;
        if before == self.cart {
            self.causes.truncate(met);
        }
        Ok(())
    }

    /// Prices the cart and updates its customer summary.
    ///
    /// # Errors
    /// AMOUNT_TOO_LARGE.
    pub fn settle(&mut self) -> Result<()> {
        let terms = self.terms().clone();
        let repriced = !self.is_new && self.cart.basis != terms;
        price(&mut self.cart, terms).map_err(too_large)?;
        if repriced {
            self.causes.push(Cause::of_cart(cart_cause::Kind::Repriced));
        }
        self.refresh_customer();
        Ok(())
    }

    /// The terms of the cart's price: the present ones of its owner's group, or those at the time of the
    /// freeze.
    fn terms(&self) -> &model::Basis {
        if self.cart.freeze.is_none() {
            &self.basis
        } else {
            &self.cart.basis
        }
    }

    /// Updates the cart's customer summary.
    pub fn refresh_customer(&mut self) {
        let summary = self.customer.as_ref().map(|customer| &customer.summary);
        if self.cart.customer.as_ref() == summary {
            return;
        }
        self.cart.customer = summary.cloned();
        if !self.is_new {
            self.causes
                .push(Cause::of_cart(cart_cause::Kind::CustomerChanged));
        }
    }

    /// The message of the cart.
    pub fn answer(&self) -> pb::Cart {
        convert::message(&self.cart)
    }

    /// The message of the cart for a reader at `now`. It has the end of the lease, which versions and streams
    /// do not have, or no hold if the lease has expired.
    pub fn shown(&self, now: i64) -> pb::Cart {
        let mut message = self.answer();
        if self.cart.lease_ran_out(now) {
            message.lock = None;
        }
        convert::lease(&mut message, &self.cart);
        message
    }

    /// Whether there is nothing to write, because nothing has changed.
    pub fn is_idle(&self) -> bool {
        self.causes.is_empty() && !self.is_new
    }

    /// Ends a write that changed nothing. Its answer is also that to a repeated request.
    ///
    /// # Errors
    /// An error of the database.
    pub async fn leave(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        now: i64,
        answer: pb::Cart,
    ) -> Result<pb::Cart> {
        feed::remember(tx, caller, now, &self.cart.id, &answer).await?;
        Ok(answer)
    }

    /// The slot of the cart while it is open.
    pub fn slot(&self) -> Slot {
        Slot {
            owner: self.cart.owner.clone(),
            slot: self.cart.slot.clone(),
        }
    }

    /// Caches the place of the cart after the commit.
    pub fn hint(&self, tx: &mut Tx, caller: &Caller, hints: &Hints) {
        let slot = self.slot();
        let (hints, shop, id) = (
            hints.clone(),
            Arc::clone(&caller.shop),
            self.cart.id.clone(),
        );
        tx.after_commit(move || hints.set(&shop, &slot, &id));
    }
}

/// The topic of a cart; None unless it is open.
fn topic(cart: &Cart) -> Option<String> {
    let topic = || schema::topic(&cart.owner.key(), &cart.slot);
    cart.is_open().then(topic)
}

/// The answer to a repeated request.
///
/// # Errors
/// NOT_FOUND if nothing is left to answer with.
pub async fn replayed(conn: &mut Conn, caller: &Caller, replay: &Replay) -> Result<pb::Cart> {
    if !matches!(replay.kind, crate::carts::KIND | Kind::REQUEST) || replay.deleted {
        return Err(Error::not_found("cart"));
    }
    if let Some(answer) = replay.answer::<pb::Cart>()? {
        return Ok(answer);
    }
    let ids = [replay.id.clone()];
    let present = sql::read_many(conn, &caller.shop, &ids).await?.pop();
    let mut work = Work::of(present.ok_or_else(|| Error::not_found("cart"))?);
    view(&mut work)?;
    let mut answer = work.answer();
    convert::lease(&mut answer, &work.cart);
    Ok(answer)
}

/// Prices a cart that is only read, if its prices are stale.
///
/// # Errors
/// AMOUNT_TOO_LARGE, which [`price`] rules out for carts that were written before.
pub fn view(work: &mut Work) -> Result<()> {
    let terms = work.terms().clone();
    if work.cart.is_open() && work.cart.basis != terms {
        price(&mut work.cart, terms).map_err(too_large)?;
    }
    Ok(())
}

/// The name of a state in the contract.
pub fn state_name(state: State) -> &'static str {
    pb::cart::State::try_from(state as i32)
        .unwrap_or_default()
        .as_str_name()
}

/// The refusal of a new cart whose id is in use.
pub fn name_taken(id: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        ErrorReason::NameTaken,
        "a cart with this name exists",
    )
    .with("name", model::name(id))
}

/// The refusal of a slot that has an open cart.
pub fn open_cart_exists(id: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        ErrorReason::OpenCartExists,
        "the owner has an open cart in this slot",
    )
    .with("open_cart", model::name(id))
}

/// The refusal of a cart whose amounts would exceed their range.
pub fn too_large(_: TooLarge) -> Error {
    Error::new(
        Code::InvalidArgument,
        ErrorReason::AmountTooLarge,
        "a price times a quantity, or a total, would exceed the range of ±(2^53-1) micros",
    )
}

fn cart_too_large() -> Error {
    Error::new(
        Code::FailedPrecondition,
        ErrorReason::CartTooLarge,
        format!("the cart would be larger than {CART_BYTES_MAX} bytes"),
    )
    .with("limit", CART_BYTES_MAX.to_string())
}
