//! How a write finds its cart, and how it ends; what it may do is up to [`gate`].
//!
//! Invariants: who writes a cart holds its lock; who opens one in a slot holds the slot's lock too, so
//! that an owner has at most one there; a cart is priced with what its owner's group gives now before
//! it is written or shown, unless its prices are frozen.

mod gate;

pub use gate::Act;

use std::sync::Arc;

use prost::Message as _;
use tonic::Code;

use super::convert;
use super::edit::{Cause, Edit};
use super::model::{self, Abandonment, Cart, State};
use super::price::{TooLarge, price};
use super::schema;
use super::sql::{self, Buyer, Found, Key, Query};
use super::targets::{Hints, Slot, lock};
use crate::access::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Change, Kind, LogRow, Replay};
use crate::limits::CART_BYTES_MAX;
use crate::proto::pb::{self, ErrorReason, cart_cause};
use crate::store::{Conn, Locks, Tx};

/// How a write finds its cart.
#[derive(Debug, Clone)]
pub enum Route {
    /// By its id.
    Id(String),
    /// Where the slot's open cart was last seen.
    Hint(Slot, Arc<str>),
    /// The open cart of a slot.
    Open(Slot),
    /// The open cart of a slot, or a new one.
    OpenOrNew(Slot, Opening),
}

/// A cart that is opened if there is none.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The id that it would get.
    pub id: String,
    /// The number that it would get.
    pub number: String,
    /// Where it is opened.
    pub storefront: String,
    /// Its currency; the shop's if empty.
    pub currency: String,
}

impl Route {
    /// The locks that are known to be needed.
    pub fn locks(&self, caller: &Caller) -> Locks {
        let shop = &caller.shop;
        let locks = feed::locks(caller);
        match self {
            Self::Id(id) => locks.and(lock(shop, id)),
            Self::Hint(_, id) => locks.and(lock(shop, id)),
            Self::Open(_) => locks,
            Self::OpenOrNew(slot, opening) => {
                locks.and(slot.lock(shop)).and(lock(shop, &opening.id))
            }
        }
    }

    fn slot(&self) -> Option<&Slot> {
        match self {
            Self::Id(_) => None,
            Self::Hint(slot, _) | Self::Open(slot) | Self::OpenOrNew(slot, _) => Some(slot),
        }
    }
}

/// What a write found.
#[derive(Debug)]
pub enum Got {
    /// The request was done before.
    Replay(Replay),
    /// The hint was wrong; nothing was written.
    Moved,
    /// A cart to work on.
    Work(Box<Work>),
}

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

/// Finds the cart of a write. `customer` is who it is priced for, if not for its owner.
///
/// # Errors
/// NOT_FOUND; what is wrong with the customer of a new cart.
pub async fn find(
    tx: &mut Tx,
    caller: &Caller,
    route: &Route,
    customer: Option<&str>,
    now: i64,
) -> Result<Got> {
    let owner = route
        .slot()
        .map(|slot| slot.owner.key())
        .unwrap_or_default();
    let key = match route {
        Route::Id(id) => Key::Id(id),
        Route::Hint(_, id) => Key::Id(id),
        Route::Open(slot) | Route::OpenOrNew(slot, _) => Key::Open {
            owner: &owner,
            slot: &slot.slot,
        },
    };
    let customer = customer.or_else(|| route.slot().and_then(|slot| slot.owner.customer()));
    let mut found = sql::read(
        tx,
        Query {
            caller,
            key,
            customer,
        },
    )
    .await?;
    if let Some(replay) = found.replay.take() {
        return Ok(Got::Replay(replay));
    }
    match (found.cart.take(), route) {
        (Some(cart), Route::Hint(slot, _)) => {
            let there = cart.is_open() && cart.owner == slot.owner && cart.slot == slot.slot;
            if there {
                Ok(Got::Work(Box::new(Work::new(cart, found))))
            } else {
                Ok(Got::Moved)
            }
        }
        (None, Route::Hint(..)) => Ok(Got::Moved),
        (Some(cart), _) => {
            tx.require(lock(&caller.shop, &cart.id))?;
            Ok(Got::Work(Box::new(Work::new(cart, found))))
        }
        (None, Route::OpenOrNew(slot, opening)) => {
            let cart = open(slot, opening, &found, now)?;
            let mut work = Work::new(cart, found);
            work.is_new = true;
            work.topic = None;
            work.causes.push(Cause::of_cart(cart_cause::Kind::Created));
            Ok(Got::Work(Box::new(work)))
        }
        (None, Route::Id(_) | Route::Open(_)) => Err(Error::not_found("cart")),
    }
}

/// A new cart in a slot that is free.
fn open(slot: &Slot, opening: &Opening, found: &Found, now: i64) -> Result<Cart> {
    if slot.owner.customer().is_some() {
        require_customer(found.customer.as_ref())?;
    }
    let currency = match (opening.currency.as_str(), &found.settings) {
        ("", Some(settings)) => settings.default_currency.clone(),
        (currency, _) => currency.to_owned(),
    };
    Ok(Cart {
        id: opening.id.clone(),
        number: opening.number.clone(),
        owner: slot.owner.clone(),
        slot: slot.slot.clone(),
        storefront: opening.storefront.clone(),
        currency,
        create_time: now,
        ..Cart::default()
    })
}

/// The customer, if it is there and not deleted.
///
/// # Errors
/// NOT_FOUND; CUSTOMER_DELETED.
pub fn require_customer(customer: Option<&Buyer>) -> Result<&Buyer> {
    match customer {
        None => Err(Error::not_found("customer")),
        Some(customer) if customer.deleted => Err(Error::new(
            Code::FailedPrecondition,
            ErrorReason::CustomerDeleted,
            "the customer is deleted",
        )),
        Some(customer) => Ok(customer),
    }
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

    /// Whether there is nothing to write: nothing happened, and no request id is to be remembered.
    pub fn is_idle(&self, caller: &Caller) -> bool {
        self.causes.is_empty() && !self.is_new && caller.request.is_none()
    }

    /// Writes the next version of the cart and appends it to the log. None if it is new and its number
    /// is in use by now; nothing is written then.
    ///
    /// # Errors
    /// CART_TOO_LARGE; the database's.
    pub async fn save(
        &mut self,
        tx: &mut Tx,
        caller: &Caller,
        now: i64,
    ) -> Result<Option<pb::Cart>> {
        let (change, message) = self.next_version(caller, now)?;
        let row = LogRow::new(tx, caller, now, change);
        if !self.is_new {
            sql::update(tx, &caller.shop, &self.cart, &row).await?;
        } else if sql::insert(tx, &caller.shop, &self.cart).await? {
            feed::append_row(tx, &row).await?;
        } else {
            return self.clash(tx, caller).await.map(|()| None);
        }
        Ok(Some(message))
    }

    /// Makes the next version of the cart, and gives the change that is to be appended.
    fn next_version(&mut self, caller: &Caller, now: i64) -> Result<(Change, pb::Cart)> {
        self.require_admitted(caller)?;
        let cart = &mut self.cart;
        if !cart.is_open() && cart.lock.take().is_some() {
            // There is nothing left to hold.
            self.causes.push(Cause::of_cart(cart_cause::Kind::Unlocked));
        }
        cart.version += 1;
        // Clocks of replicas differ; a cart's own time does not go back.
        cart.update_time = now.max(cart.update_time);
        if !caller.is_system() {
            self.come_back();
        }
        let cart = &self.cart;
        let message = convert::message(cart);
        if message.encoded_len() > CART_BYTES_MAX {
            return Err(cart_too_large());
        }
        let change = Change::upserted(Kind::Cart, cart.id.clone(), cart.version, &message)
            .because(self.told(caller, now));
        let present = topic(cart);
        let before = std::mem::replace(&mut self.topic, present);
        let left = before.filter(|before| self.topic.as_ref() != Some(before));
        Ok((change.leaving(left), message))
    }

    /// Notes that somebody changed the cart, who thereby came back to it if it was abandoned. A member of
    /// staff who only takes or leaves hold of it has not brought the shopper back.
    fn come_back(&mut self) {
        let cart = &mut self.cart;
        cart.activity_time = cart.update_time;
        let causes = &self.causes;
        let only_held = !causes.is_empty() && causes.iter().all(Cause::is_of_lock);
        if cart.abandonment != Abandonment::Abandoned || only_held {
            return;
        }
        cart.abandonment = Abandonment::Recovered;
        cart.recover_time = Some(cart.update_time);
        // First, as a change tells only so many causes.
        let recovered = Cause::of_cart(cart_cause::Kind::Recovered);
        self.causes.insert(0, recovered);
    }

    /// Removes the cart, and gives the change that is to be appended.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove(&mut self, tx: &mut Tx, caller: &Caller, now: i64) -> Result<Change> {
        self.require_admitted(caller)?;
        self.cart.version += 1;
        sql::delete(tx, &caller.shop, &self.cart, now).await?;
        let change = Change::deleted(Kind::Cart, self.cart.id.clone(), self.cart.version);
        Ok(change
            .because(self.told(caller, now))
            .leaving(self.topic.take()))
    }

    /// What happened, as the feed tells it.
    fn told(&self, caller: &Caller, now: i64) -> Vec<pb::CartCause> {
        let name = self.cart.name();
        let actor = caller.actor.as_deref().unwrap_or_default();
        self.causes
            .iter()
            .map(|cause| {
                // A lease runs out by itself, whoever finds it.
                let by_itself = cause.kind == cart_cause::Kind::LockExpired;
                convert::cause(&name, cause, if by_itself { "" } else { actor }, now)
            })
            .collect()
    }

    /// Finds out why a new cart could not be added. `Ok` if its number is in use.
    async fn clash(&self, tx: &mut Tx, caller: &Caller) -> Result<()> {
        if sql::exists(tx, &caller.shop, &self.cart.id).await? {
            return Err(name_taken(&self.cart.id));
        }
        match sql::by_number(tx, &caller.shop, &self.cart.number).await? {
            Some(_) => Ok(()),
            None => Err(tx.run_again()),
        }
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
    if replay.kind != Kind::Cart || replay.deleted {
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
