//! A cache of customers for the embedded engine, whose only writer is this process.
//!
//! Invariant: an entry is used only while the epochs are unchanged that were noted before it was read; see
//! [`crate::epochs`].

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use quick_cache::{Equivalent, Weighter, sync::Cache};

use super::derived::Derived;
use crate::{epochs::Slot, proto::pb};

/// The approximate limit of the cache in bytes.
const BYTES: u64 = 64 * 1024 * 1024;
/// The approximate number of customers for which the cache is laid out.
const ENTRIES: usize = 40_000;

/// A customer with the values for its derived fields.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) customer: pb::Customer,
    pub(super) derived: Derived,
}

/// The epochs of everything in an [`Entry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epochs([u64; 3]);

impl Epochs {
    /// The present epochs, to be noted before the customer is read.
    pub(super) fn now(shop: &str, id: &str) -> Self {
        Self([
            Slot::of(crate::customers::KIND.number(), shop, id).epoch(),
            Slot::of_all(crate::groups::KIND.number(), shop).epoch(),
            Slot::of_all(crate::shops::SETTINGS.number(), shop).epoch(),
        ])
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    shop: Arc<str>,
    id: Box<str>,
}

#[derive(Hash)]
struct KeyRef<'a>(&'a str, &'a str);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef(&self.shop, &self.id).hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == &*key.shop && self.1 == &*key.id
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, (Epochs, Arc<Entry>)> for Weight {
    fn weight(&self, _: &Key, (_, entry): &(Epochs, Arc<Entry>)) -> u64 {
        use prost::Message as _;
        // Strings are allocated separately: about half as much again as on the wire, and the fixed part.
        let encoded = entry.customer.encoded_len() as u64;
        encoded + encoded / 2 + size_of::<Entry>() as u64
    }
}

/// The cached customers.
pub(super) struct Customers(Cache<Key, (Epochs, Arc<Entry>), Weight>);

impl Customers {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(ENTRIES, BYTES, Weight))
    }

    /// Returns the customer, if nothing has changed since it was read.
    pub(super) fn get(&self, shop: &str, id: &str) -> Option<Arc<Entry>> {
        let (epochs, entry) = self.0.get(&KeyRef(shop, id))?;
        (epochs == Epochs::now(shop, id)).then_some(entry)
    }

    /// Caches a customer that was read after `epochs` were noted.
    pub(super) fn keep(&self, shop: &Arc<str>, id: &str, epochs: Epochs, entry: Arc<Entry>) {
        let key = Key {
            shop: Arc::clone(shop),
            id: id.into(),
        };
        self.0.insert(key, (epochs, entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first_name: &str) -> Arc<Entry> {
        let customer = pb::Customer {
            first_name: first_name.to_owned(),
            ..pb::Customer::default()
        };
        Arc::new(Entry {
            customer,
            derived: Derived::default(),
        })
    }

    #[test]
    fn a_row_that_was_read_before_a_write_is_not_served_after_it() {
        let cache = Customers::new();
        let shop: Arc<str> = "race".into();

        let before = Epochs::now(&shop, "ada");
        crate::epochs::tests::move_on(crate::customers::KIND.number(), &shop, "ada");
        cache.keep(&shop, "ada", before, entry("old"));

        assert!(cache.get(&shop, "ada").is_none());
        cache.keep(&shop, "ada", Epochs::now(&shop, "ada"), entry("new"));
        assert_eq!(cache.get(&shop, "ada").unwrap().customer.first_name, "new");
        assert!(cache.get(&shop, "bob").is_none());
    }

    #[test]
    fn a_change_of_any_group_of_the_shop_makes_entries_stale() {
        let cache = Customers::new();
        let shop: Arc<str> = "groups".into();
        cache.keep(&shop, "ada", Epochs::now(&shop, "ada"), entry("Ada"));

        crate::epochs::tests::move_on(crate::groups::KIND.number(), &shop, "vip");

        assert!(cache.get(&shop, "ada").is_none());
    }
}
