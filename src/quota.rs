//! Counts open objects, in all and per key, and refuses those beyond the limits.
//!
//! It counts connections (per address) and streams (per API key or per connection). Dropping a guard releases
//! its place.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts open objects.
pub struct Quota<K>(Arc<Mutex<Counts<K>>>);

struct Counts<K> {
    all: usize,
    by_key: HashMap<K, usize>,
}

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The limit of all keys together.
    All,
    /// The limit of the key.
    OfKey,
}

/// The right to one open object. Dropping it gives the right back.
pub struct Permit<K: Eq + Hash> {
    counts: Arc<Mutex<Counts<K>>>,
    key: K,
}

impl<K> Default for Quota<K> {
    fn default() -> Self {
        let (all, by_key) = (0, HashMap::new());
        Self(Arc::new(Mutex::new(Counts { all, by_key })))
    }
}

impl<K: Eq + Hash + Clone> Quota<K> {
    /// Takes the right to one more, if there are fewer than `all_max` in all and fewer than `of_key_max` of
    /// the key.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn take(&self, key: K, all_max: usize, of_key_max: usize) -> Result<Permit<K>, Full> {
        let mut counts = locked(&self.0);
        let of_key = counts.by_key.get(&key).copied().unwrap_or(0);
        if counts.all >= all_max {
            return Err(Full::All);
        }
        if of_key >= of_key_max {
            return Err(Full::OfKey);
        }
        counts.all += 1;
        counts.by_key.insert(key.clone(), of_key + 1);
        drop(counts);
        let counts = Arc::clone(&self.0);
        Ok(Permit { counts, key })
    }

    /// The number of open objects.
    pub fn open(&self) -> usize {
        locked(&self.0).all
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut counts = locked(&self.counts);
        counts.all -= 1;
        if let Some(of_key) = counts.by_key.get_mut(&self.key) {
            *of_key -= 1;
            if *of_key == 0 {
                counts.by_key.remove(&self.key);
            }
        }
    }
}

fn locked<K>(counts: &Mutex<Counts<K>>) -> MutexGuard<'_, Counts<K>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_all_together_nor_one_key_get_more_than_they_may() {
        let quota = Quota::default();
        let first = quota
            .take("a", 2, 1)
            .unwrap_or_else(|full| panic!("{full:?}"));
        assert_eq!(quota.take("a", 2, 1).err(), Some(Full::OfKey));
        let _second = quota
            .take("b", 2, 1)
            .unwrap_or_else(|full| panic!("{full:?}"));
        assert_eq!(quota.take("c", 2, 1).err(), Some(Full::All));

        drop(first);

        assert!(quota.take("c", 2, 1).is_ok());
    }

    #[test]
    fn rights_that_are_given_back_leave_nothing() {
        let quota = Quota::default();

        drop(quota.take("a", 2, 2));

        let counts = locked(&quota.0);
        assert_eq!((counts.all, counts.by_key.len()), (0, 0));
    }
}
