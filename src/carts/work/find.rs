//! How a write finds its cart: by its id, by a hint, or as the open one of a slot, where it may also open
//! one.
//!
//! Invariant: a write holds the slot's lock when it opens a cart there, so an owner has at most one open cart
//! in a slot.

use std::sync::Arc;

use tonic::Code;

use super::{Work, open_cart_exists};
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::model::Cart;
use crate::carts::sql::{self, Buyer, Found, Key, Query};
use crate::carts::targets::{Slot, lock};
use crate::error::{Error, Result};
use crate::feed::{self, Replay};
use crate::proto::pb::{ErrorReason, cart_cause};
use crate::store::{Locks, Tx};

/// The way to the cart of a write.
#[derive(Debug, Clone)]
pub enum Route {
    /// By its id.
    Id(String),
    /// The last known open cart of the slot.
    Hint(Slot, Arc<str>),
    /// The open cart of a slot.
    Open(Slot),
    /// The open cart of a slot, or a new one.
    OpenOrNew(Slot, Opening),
}

/// The parameters of a cart that is opened if there is none.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The id that it would get.
    pub id: String,
    /// The number that it would get.
    pub number: String,
    /// The storefront where it is opened.
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

/// The result of a search for a cart.
#[derive(Debug)]
pub enum Lookup {
    /// The request is a repeat.
    Replay(Replay),
    /// The hint was wrong, and nothing was written.
    StaleHint,
    /// The cart to work on.
    Work(Box<Work>),
}

/// Finds the cart of a write. It is priced for `customer`, or for its owner if that is None.
///
/// # Errors
/// NOT_FOUND, or the error of the customer of a new cart.
pub async fn find(
    tx: &mut Tx,
    caller: &Caller,
    route: &Route,
    customer: Option<&str>,
    now: i64,
) -> Result<Lookup> {
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
        return Ok(Lookup::Replay(replay));
    }
    match (found.cart.take(), route) {
        (Some(cart), Route::Hint(slot, _)) => {
            let there = cart.is_open() && cart.owner == slot.owner && cart.slot == slot.slot;
            if there {
                Ok(Lookup::Work(Box::new(Work::new(cart, found))))
            } else {
                Ok(Lookup::StaleHint)
            }
        }
        (None, Route::Hint(..)) => Ok(Lookup::StaleHint),
        (Some(cart), _) => {
            tx.require(lock(&caller.shop, &cart.id))?;
            Ok(Lookup::Work(Box::new(Work::new(cart, found))))
        }
        (None, Route::OpenOrNew(slot, opening)) => {
            let cart = open(slot, opening, &found, now)?;
            let mut work = Work::new(cart, found);
            work.is_new = true;
            work.topic = None;
            work.causes.push(Cause::of_cart(cart_cause::Kind::Created));
            Ok(Lookup::Work(Box::new(work)))
        }
        (None, Route::Id(_) | Route::Open(_)) => Err(Error::not_found("cart")),
    }
}

/// Creates a cart in a free slot.
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

/// Requires that a slot has no open cart. The slot is locked from here on.
///
/// # Errors
/// OPEN_CART_EXISTS, or an error of the database.
pub async fn require_free(tx: &mut Tx, shop: &str, slot: &Slot) -> Result<()> {
    tx.require(slot.lock(shop))?;
    match sql::open_in(tx, shop, &slot.owner.key(), &slot.slot).await? {
        Some(other) => Err(open_cart_exists(&other)),
        None => Ok(()),
    }
}

/// Requires that the customer exists and is not deleted.
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
