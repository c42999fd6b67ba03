//! Filters that streams share: a change is judged once by each, however many streams have it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::log::Kind;
use super::resource::Decoded;
use crate::filter::Filter;

/// How many filters an entry keeps the verdicts of. Further ones judge it anew.
const VERDICTS: usize = 32;

/// A filter, and what tells it from all others of the process.
#[derive(Clone)]
pub struct Shared {
    number: u64,
    filter: Arc<Filter>,
    by_clock: bool,
    judgements: Arc<AtomicU64>,
}

impl Shared {
    /// The filter.
    pub fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }

    /// Whether the time changes what matches.
    pub fn uses_clock(&self) -> bool {
        self.by_clock
    }

    /// Whether a resource matches at a time; `verdicts` are those of this version of it.
    pub fn matches(&self, decoded: &dyn Decoded, now: i64, verdicts: &Verdicts) -> bool {
        if self.by_clock {
            return self.judge(decoded, now);
        }
        let mut known = verdicts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, matches)) = known.iter().find(|(number, _)| *number == self.number) {
            return *matches;
        }
        // Under the lock: another stream waits for the verdict instead of coming to its own.
        let matches = self.judge(decoded, now);
        if known.len() < VERDICTS {
            known.push((self.number, matches));
        }
        matches
    }

    fn judge(&self, decoded: &dyn Decoded, now: i64) -> bool {
        self.judgements.fetch_add(1, Ordering::Relaxed);
        self.filter.matches(decoded, now)
    }
}

/// Which filters one version of a resource matches.
#[derive(Default)]
pub struct Verdicts(Mutex<Vec<(u64, bool)>>);

/// The filters of the open streams.
#[derive(Default)]
pub struct Filters {
    next: u64,
    by_text: HashMap<(Kind, String), (u64, Weak<Filter>)>,
    /// At how many filters those without a stream are forgotten.
    sweep_at: usize,
    judgements: Arc<AtomicU64>,
}

impl Filters {
    /// The filter that streams with an equal one share.
    pub fn share(&mut self, kind: Kind, filter: Filter) -> Shared {
        if self.by_text.len() >= self.sweep_at {
            self.by_text
                .retain(|_, (_, filter)| filter.strong_count() > 0);
            self.sweep_at = 2 * self.by_text.len() + 64;
        }
        let key = (kind, filter.to_string());
        let known = self.by_text.get(&key);
        let known = known.and_then(|(number, filter)| Some((*number, filter.upgrade()?)));
        let (number, filter) = known.unwrap_or_else(|| {
            self.next += 1;
            let filter = Arc::new(filter);
            self.by_text
                .insert(key, (self.next, Arc::downgrade(&filter)));
            (self.next, filter)
        });
        Shared {
            number,
            by_clock: filter.uses_clock(),
            filter,
            judgements: Arc::clone(&self.judgements),
        }
    }

    /// How many times a filter has judged a change.
    pub fn judgements(&self) -> u64 {
        self.judgements.load(Ordering::Relaxed)
    }
}
