//! Resources whose match changes by the clock alone, and when.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::feed::entry::Entry;

/// The resources of a stream that the clock will make match, or not match any more.
#[derive(Default)]
pub struct Timed {
    entries: HashMap<Box<str>, (Arc<Entry>, i64)>,
    flips: BTreeSet<(i64, Box<str>)>,
}

impl Timed {
    /// Notes when a resource has to be judged again, in place of what was noted of it.
    pub fn insert(&mut self, entry: Arc<Entry>, flip: i64) {
        self.remove(&entry.id);
        self.flips.insert((flip, entry.id.clone()));
        self.entries.insert(entry.id.clone(), (entry, flip));
    }

    /// Forgets a resource.
    pub fn remove(&mut self, id: &str) {
        if let Some((entry, flip)) = self.entries.remove(id) {
            self.flips.remove(&(flip, entry.id.clone()));
        }
    }

    /// When the first resource has to be judged again.
    pub fn next(&self) -> Option<i64> {
        self.flips.first().map(|(flip, _)| *flip)
    }

    /// Takes a resource that has to be judged again by now.
    pub fn take_due(&mut self, now: i64) -> Option<Arc<Entry>> {
        if self.next()? > now {
            return None;
        }
        let (_, id) = self.flips.pop_first()?;
        self.entries.remove(&id).map(|(entry, _)| entry)
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.flips.clear();
    }
}
