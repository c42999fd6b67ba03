//! Which cart a request means, and what is known of where an owner's open cart is.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::model::{self, Owner};
use crate::error::{Error, Result};
use crate::ids;
use crate::proto::pb;
use crate::store::{LockKey, StoreMeta, keyed_digest};

/// The slot of a cart for which none was named.
const MAIN_SLOT: &str = "main";
/// Bytes of a visitor's digest: enough that nobody finds a token to a given one.
const VISITOR_BYTES: usize = 16;
/// Owners whose open cart is remembered.
const HINTS: usize = 65_536;

/// Which cart is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The cart with this id.
    Cart(String),
    /// The open cart in a slot.
    Slot(Slot),
}

/// One place for an open cart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Whose.
    pub owner: Owner,
    /// Which of the owner's.
    pub slot: String,
}

impl Slot {
    /// The lock that whoever opens a cart here holds.
    pub fn lock(&self, shop: &str) -> LockKey {
        let key = self.owner.key();
        LockKey::of("slot", shop, &format!("{key}/{}", self.slot))
    }
}

/// The lock of a cart's row.
pub fn lock(shop: &str, id: &str) -> LockKey {
    LockKey::of("cart", shop, id)
}

/// Makes digests of visitors' tokens.
#[derive(Debug, Clone)]
pub struct Visitors([u8; 32]);

impl Visitors {
    /// Those of a store.
    pub fn new(meta: &StoreMeta) -> Self {
        Self(meta.key("visitor token"))
    }

    /// A visitor, by the token that the storefront gave out.
    pub fn owner(&self, shop: &str, token: &str) -> Owner {
        // A shop's id has no slash, so the two cannot be told apart wrongly.
        let digest = keyed_digest(&self.0, format!("{shop}/{token}").as_bytes());
        Owner::Visitor(ids::hex(&digest[..VISITOR_BYTES]))
    }

    /// Which cart a request means; `at` is the path of the target in it.
    ///
    /// # Errors
    /// If the target is absent.
    pub fn target(&self, shop: &str, target: Option<pb::CartTarget>, at: &str) -> Result<Target> {
        match target.and_then(|target| target.target) {
            Some(pb::cart_target::Target::Cart(name)) => cart_id(&name).map(Target::Cart),
            Some(pb::cart_target::Target::Owner(owner)) => self
                .slot(shop, Some(owner), &format!("{at}.owner"))
                .map(Target::Slot),
            None => Err(Error::invalid_field(at, "REQUIRED", "is required")),
        }
    }

    /// The slot that an owner's request means; `at` is the path of the owner in it.
    ///
    /// # Errors
    /// If the owner is absent.
    pub fn slot(&self, shop: &str, owner: Option<pb::CartOwner>, at: &str) -> Result<Slot> {
        let required = || Error::invalid_field(at, "REQUIRED", "is required");
        let pb::CartOwner { owner, slot } = owner.ok_or_else(required)?;
        let owner = match owner.ok_or_else(required)? {
            pb::cart_owner::Owner::Customer(name) => Owner::Customer(customer_id(&name)?),
            pb::cart_owner::Owner::Visitor(token) if token.is_empty() => return Err(required()),
            pb::cart_owner::Owner::Visitor(token) => self.owner(shop, &token),
        };
        let slot = if slot.is_empty() {
            MAIN_SLOT.to_owned()
        } else {
            slot
        };
        Ok(Slot { owner, slot })
    }
}

/// The id in a cart's name.
///
/// # Errors
/// NOT_FOUND, as nothing has another name.
pub fn cart_id(name: &str) -> Result<String> {
    part(name, model::COLLECTION).ok_or_else(|| Error::not_found("cart"))
}

/// The id in a customer's name.
///
/// # Errors
/// NOT_FOUND, as nothing has another name.
pub fn customer_id(name: &str) -> Result<String> {
    part(name, "customers").ok_or_else(|| Error::not_found("customer"))
}

fn part(name: &str, collection: &str) -> Option<String> {
    let id = name.strip_prefix(collection)?.strip_prefix('/')?;
    (!id.is_empty() && !id.contains('/')).then(|| id.to_owned())
}

/// The ids of the cart and the line in a line's name.
///
/// # Errors
/// NOT_FOUND, as nothing has another name.
pub fn item_ids(name: &str) -> Result<(String, String)> {
    let ids = || {
        let (cart, item) = name.strip_prefix("carts/")?.split_once("/items/")?;
        let fits = |id: &str| !id.is_empty() && !id.contains('/');
        (fits(cart) && fits(item)).then(|| (cart.to_owned(), item.to_owned()))
    };
    ids().ok_or_else(|| Error::not_found("item"))
}

/// Where owners' open carts were last seen. Only a hint: who uses one checks it under the cart's lock.
#[derive(Clone)]
pub struct Hints(Arc<Cache<Place, Arc<str>>>);

/// A slot of a shop.
type Place = (Arc<str>, Slot);

impl Default for Hints {
    fn default() -> Self {
        Self(Arc::new(Cache::new(HINTS)))
    }
}

impl Hints {
    /// Where a slot's open cart was.
    pub fn get(&self, shop: &Arc<str>, slot: &Slot) -> Option<Arc<str>> {
        self.0.get(&(Arc::clone(shop), slot.clone()))
    }

    /// Notes where it is.
    pub fn set(&self, shop: &Arc<str>, slot: &Slot, cart: &str) {
        self.0
            .insert((Arc::clone(shop), slot.clone()), Arc::from(cart));
    }

    /// Forgets where it was.
    pub fn forget(&self, shop: &Arc<str>, slot: &Slot) {
        self.0.remove(&(Arc::clone(shop), slot.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_the_same_by_the_same_token_in_the_same_shop_only() {
        let visitors = Visitors([7; 32]);
        let owner = |shop, token| visitors.owner(shop, token);

        assert_eq!(owner("a", "token"), owner("a", "token"));
        assert_ne!(owner("a", "token"), owner("b", "token"));
        assert_ne!(owner("a", "token"), owner("a", "token2"));
        assert_ne!(owner("a", "token"), Visitors([8; 32]).owner("a", "token"));
        assert_eq!(owner("a", "token").visitor().map(str::len), Some(32));
    }

    #[test]
    fn an_owner_without_a_slot_means_the_main_one() {
        let customer = pb::cart_owner::Owner::Customer("customers/ada".to_owned());
        let owner = pb::CartOwner {
            owner: Some(customer),
            slot: String::new(),
        };

        let slot = Visitors([7; 32]).slot("a", Some(owner), "owner").unwrap();

        assert_eq!(slot.slot, "main");
        assert_eq!(slot.owner.customer(), Some("ada"));
    }

    #[test]
    fn names_of_other_things_are_not_found() {
        assert!(cart_id("customers/x").is_err());
        assert!(cart_id("carts/x/items/y").is_err());
        assert_eq!(
            item_ids("carts/x/items/y").unwrap(),
            ("x".to_owned(), "y".to_owned())
        );
        assert!(item_ids("carts/x/items/").is_err());
    }
}
