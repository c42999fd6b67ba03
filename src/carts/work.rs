//! A cart that is being worked on: how a write [finds](mod@find) it, what it may do ([`gate`]), and how it
//! ends ([`save`]).
//!
//! Invariants: who writes a cart holds its lock; a cart is priced with what its owner's group gives now
//! before it is written or shown, unless its prices are frozen.

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
    /// The cart.
    pub cart: Cart,
    /// Its customer.
    pub customer: Option<Buyer>,
    /// What it is to be priced with, unless it is frozen.
    pub basis: model::Basis,
    /// Whether it is not in the store yet.
    pub is_new: bool,
    /// Under what owner and slot it is watched in the store, while it is open there.
    topic: Option<String>,
    /// Whether the gate let the write through.
    admitted: bool,
    /// What happened to it.
    pub causes: Vec<Cause>,
}

impl Work {
    /// A cart with what was found beside it.
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

    /// Checks the version that a caller wants to change.
    ///
    /// # Errors
    /// ETAG_MISMATCH; NOT_FOUND if the cart is not there yet.
    pub fn check_etag(&self, sent: &str) -> Result<()> {
        if self.is_new && !sent.is_empty() {
            return Err(Error::not_found("cart"));
        }
        feed::check_etag(sent, &self.cart.name(), self.cart.version)
    }

    /// Edits the cart and keeps the causes.
    ///
    /// # Errors
    /// The edit's own.
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

    /// Edits the cart in several steps: where they leave it as it was, nothing happened.
    ///
    /// # Errors
    /// The edit's own.
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

    /// Prices the cart anew and takes over who its customer is now.
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

    /// What the cart is priced with: what its owner's group gives now, or what held when it was frozen.
    fn terms(&self) -> &model::Basis {
        if self.cart.freeze.is_none() {
            &self.basis
        } else {
            &self.cart.basis
        }
    }

    /// Takes over who the cart's customer is now.
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

    /// The cart as it is.
    pub fn answer(&self) -> pb::Cart {
        convert::message(&self.cart)
    }

    /// The cart as it is for somebody who looks at it now: with the end of the lease on it, which no
    /// version and so no stream has, or without the hold whose lease has run out.
    pub fn shown(&self, now: i64) -> pb::Cart {
        let mut message = self.answer();
        if self.cart.lease_ran_out(now) {
            message.lock = None;
        }
        convert::lease(&mut message, &self.cart);
        message
    }

    /// Whether there is nothing to write, as nothing happened.
    pub fn is_idle(&self) -> bool {
        self.causes.is_empty() && !self.is_new
    }

    /// Ends a write that changed nothing: the answer is that to a repeated request, too.
    ///
    /// # Errors
    /// The database's.
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

    /// The place that it has while it is open.
    pub fn slot(&self) -> Slot {
        Slot {
            owner: self.cart.owner.clone(),
            slot: self.cart.slot.clone(),
        }
    }

    /// Remembers where the cart is as soon as it is there for sure.
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

/// Under what owner and slot a cart is watched; none unless it is open.
fn topic(cart: &Cart) -> Option<String> {
    let topic = || schema::topic(&cart.owner.key(), &cart.slot);
    cart.is_open().then(topic)
}

/// The answer to a request that was done before.
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

/// Prices a cart that is only looked at, if its prices are stale.
///
/// # Errors
/// AMOUNT_TOO_LARGE, which [`price`] rules out for what was written before.
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

/// The id of a new cart is in use.
pub fn name_taken(id: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        ErrorReason::NameTaken,
        "there is a cart of this name",
    )
    .with("name", model::name(id))
}

/// A slot has an open cart.
pub fn open_cart_exists(id: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        ErrorReason::OpenCartExists,
        "the owner has an open cart in this slot",
    )
    .with("open_cart", model::name(id))
}

/// A cart's amounts would leave their range.
pub fn too_large(_: TooLarge) -> Error {
    Error::new(
        Code::InvalidArgument,
        ErrorReason::AmountTooLarge,
        "a price times a quantity, or a total, would leave the range of ±(2^53-1) micros",
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
