//! The target of a request: which cart it means, and the hints to an owner's open cart.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::model::{self, Owner};
use crate::error::{Error, Result};
use crate::ids;
use crate::proto::pb;
use crate::store::{LockKey, StoreMeta, keyed_digest};

/// The slot of a cart for which none was named.
const MAIN_SLOT: &str = "main";
/// Bytes of a visitor's digest: enough that nobody finds a token for a given one.
const VISITOR_BYTES: usize = 16;
/// The most owners whose open cart is cached.
const HINTS: usize = 65_536;

/// The cart that a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The cart with this id.
    Cart(String),
    /// The open cart in a slot.
    Slot(Slot),
}

/// The place of an open cart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    pub owner: Owner,
    /// The name of the owner's slot.
    pub slot: String,
}

impl Slot {
    /// The lock that a write holds to open a cart here.
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
    /// The digests of a store.
    pub fn new(meta: &StoreMeta) -> Self {
        Self(meta.key("visitor token"))
    }

    /// The visitor with a token that the storefront issued.
    pub fn owner(&self, shop: &str, token: &str) -> Owner {
        // A shop's id has no slash, so the concatenation is unambiguous.
        let digest = keyed_digest(&self.0, format!("{shop}/{token}").as_bytes());
        Owner::Visitor(ids::hex(&digest[..VISITOR_BYTES]))
    }

    /// Reads the cart that a request means; `at` is the path of the target in it.
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

    /// Reads the slot of the owner in a request; `at` is the path of the owner in it.
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
/// NOT_FOUND if the name has another form.
pub fn cart_id(name: &str) -> Result<String> {
    part(name, model::COLLECTION).ok_or_else(|| Error::not_found("cart"))
}

/// The id in a customer's name.
///
/// # Errors
/// NOT_FOUND if the name has another form.
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
/// NOT_FOUND if the name has another form.
pub fn item_ids(name: &str) -> Result<(String, String)> {
    let ids = || {
        let (cart, item) = name.strip_prefix("carts/")?.split_once("/items/")?;
        let fits = |id: &str| !id.is_empty() && !id.contains('/');
        (fits(cart) && fits(item)).then(|| (cart.to_owned(), item.to_owned()))
    };
    ids().ok_or_else(|| Error::not_found("item"))
}

/// The last known places of owners' open carts. They are hints: a write checks them under the cart's lock.
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
    /// The last known cart of a slot.
    pub fn get(&self, shop: &Arc<str>, slot: &Slot) -> Option<Arc<str>> {
        self.0.get(&(Arc::clone(shop), slot.clone()))
    }

    /// Notes the cart of a slot.
    pub fn set(&self, shop: &Arc<str>, slot: &Slot, cart: &str) {
        self.0
            .insert((Arc::clone(shop), slot.clone()), Arc::from(cart));
    }

    /// Forgets the cart of a slot.
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
