//! Changes that streams hold back for their `min_update_interval`, and their bytes.
//!
//! Streams share a change, so it counts once however many of them hold it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::entry::Entry;

/// Counts the bytes of the changes that the streams of a process hold back. Cheap to clone.
#[derive(Clone)]
pub struct KeptBytes(Arc<Counted>);

struct Counted {
    bytes: AtomicUsize,
    max: usize,
}

/// A change that is held back until this is dropped.
pub struct Kept {
    entry: Arc<Entry>,
    bytes: KeptBytes,
}

impl KeptBytes {
    /// Creates an empty count with a limit of `max` bytes.
    pub fn new(max: usize) -> Self {
        let bytes = AtomicUsize::new(0);
        Self(Arc::new(Counted { bytes, max }))
    }

    /// Whether the limit is exceeded.
    pub fn is_over(&self) -> bool {
        self.0.bytes.load(Ordering::Relaxed) > self.0.max
    }

    /// Counts a change as held back.
    pub fn keep(&self, entry: &Arc<Entry>) -> Kept {
        if entry.keepers.fetch_add(1, Ordering::AcqRel) == 0 {
            self.0.bytes.fetch_add(entry.size(), Ordering::Relaxed);
        }
        Kept {
            entry: Arc::clone(entry),
            bytes: self.clone(),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.entry.keepers.fetch_sub(1, Ordering::AcqRel) == 1 {
            let bytes = &self.bytes.0.bytes;
            bytes.fetch_sub(self.entry.size(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::things::{Things, payload};
    use super::*;
    use crate::revision::Position;

    #[test]
    fn a_change_counts_once_as_long_as_anybody_keeps_it() {
        let entry = Entry::new(
            &Things,
            Position::ORIGIN,
            "a".into(),
            1,
            true,
            &payload(None),
            0,
        );
        let entry = Arc::new(entry.expect("an entry"));
        let bytes = KeptBytes::new(entry.size());

        let kept = [bytes.keep(&entry), bytes.keep(&entry)];
        assert!(!bytes.is_over());
        assert_eq!(bytes.0.bytes.load(Ordering::Relaxed), entry.size());
        let [first, second] = kept;
        drop(first);
        assert_eq!(bytes.0.bytes.load(Ordering::Relaxed), entry.size());
        drop(second);
        assert_eq!(bytes.0.bytes.load(Ordering::Relaxed), 0);
    }
}
