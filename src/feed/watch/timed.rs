//! Resources whose match changes by the clock alone, and when. A resource may wait here for weeks, so only
//! its version is kept; it is read again when its time has come.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The resources of a stream that the clock will make match, or not match any more.
#[derive(Default)]
pub struct Timed {
    /// The version of each, and the time at which it is due.
    resources: HashMap<Arc<str>, (i64, i64)>,
    flips: BTreeSet<(i64, Arc<str>)>,
}

impl Timed {
    /// Notes when this version of a resource has to be evaluated again, in place of an earlier note.
    pub fn insert(&mut self, id: &str, version: i64, flip: i64) {
        self.remove(id);
        let id: Arc<str> = id.into();
        self.flips.insert((flip, Arc::clone(&id)));
        self.resources.insert(id, (version, flip));
    }

    pub fn remove(&mut self, id: &str) {
        if let Some((id, (_, flip))) = self.resources.remove_entry(id) {
            self.flips.remove(&(flip, id));
        }
    }

    /// When the first resource has to be evaluated again.
    pub fn next(&self) -> Option<i64> {
        self.flips.first().map(|(flip, _)| *flip)
    }

    /// Takes up to `max` resources that have to be evaluated again by now, with their versions.
    pub fn take_due(&mut self, now: i64, max: usize) -> HashMap<Box<str>, i64> {
        let mut due = HashMap::new();
        while due.len() < max && self.next().is_some_and(|flip| flip <= now) {
            let Some((_, id)) = self.flips.pop_first() else {
                break;
            };
            if let Some((version, _)) = self.resources.remove(&id) {
                due.insert(Box::from(&*id), version);
            }
        }
        due
    }

    pub fn len(&self) -> usize {
        self.resources.len()
    }

    pub fn clear(&mut self) {
        self.resources.clear();
        self.flips.clear();
    }
}
