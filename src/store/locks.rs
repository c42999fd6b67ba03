//! The locks of a write, one for each aggregate, all taken before its first statement.
//!
//! They are sorted and distinct, so that two writes never wait for each other in a circle.

/// The most locks of one transaction. Larger work runs as several transactions.
pub const MAX_LOCKS: usize = 64;

/// The 64-bit key of an aggregate (a customer, a cart, an e-mail address of a shop …).
///
/// Two aggregates may share a key by chance: they then wait for each other, with no other harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockKey(i64);

impl LockKey {
    /// The key of an aggregate. It is the same on every machine and in every release, because replicas of two
    /// releases run side by side.
    #[must_use]
    pub fn of(kind: &'static str, shop: &str, id: &str) -> Self {
        // FNV-1a over the parts with a separator that no part contains, then one round of mixing.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for part in [kind, shop, id] {
            for byte in part.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash ^= hash >> 32;
        Self(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).cast_signed())
    }

    /// The number that the database locks.
    pub(super) fn value(self) -> i64 {
        self.0
    }
}

/// A set of locks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locks(Vec<LockKey>);

impl Locks {
    /// No lock: for writes that touch nothing that another write reads before it writes.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The lock of one aggregate.
    #[must_use]
    pub fn of(kind: &'static str, shop: &str, id: &str) -> Self {
        Self(vec![LockKey::of(kind, shop, id)])
    }

    /// The set with one more lock.
    #[must_use]
    pub fn and(mut self, key: LockKey) -> Self {
        self.insert(key);
        self
    }

    /// The union with another set.
    #[must_use]
    pub fn with(mut self, others: &Self) -> Self {
        others.iter().for_each(|key| self.insert(key));
        self
    }

    /// Adds a lock.
    pub fn insert(&mut self, key: LockKey) {
        if let Err(place) = self.0.binary_search(&key) {
            self.0.insert(place, key);
        }
    }

    /// Whether the set holds a lock.
    #[must_use]
    pub fn contains(&self, key: LockKey) -> bool {
        self.0.binary_search(&key).is_ok()
    }

    /// The number of locks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The locks in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = LockKey> {
        self.0.iter().copied()
    }
}

impl FromIterator<LockKey> for Locks {
    fn from_iter<I: IntoIterator<Item = LockKey>>(keys: I) -> Self {
        let mut keys: Vec<LockKey> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_in_every_release() {
        assert_ne!(
            LockKey::of("cart", "a", "bc"),
            LockKey::of("cart", "ab", "c")
        );
        assert_eq!(
            LockKey::of("cart", "default", "c1").value(),
            5_457_402_979_907_581_256
        );
    }

    #[test]
    fn locks_are_sorted_and_each_there_once() {
        let a = LockKey::of("cart", "s", "a");
        let b = LockKey::of("cart", "s", "b");

        let locks = Locks::none().and(b).and(a).and(b);

        assert_eq!(locks, [a, b, a].into_iter().collect());
        assert_eq!(locks.len(), 2);
        assert!(locks.iter().is_sorted());
    }
}
