//! Filters that streams share: each filter is evaluated once for a change, however many streams have it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::log::Kind;
use super::resource::Decoded;
use crate::filter::Filter;

/// The most filters whose verdicts an entry keeps. Further filters are evaluated by each stream.
const VERDICTS: usize = 32;

/// A filter, and the number that identifies it within the process.
#[derive(Clone)]
pub struct Shared {
    number: u64,
    filter: Arc<Filter>,
    by_clock: bool,
    evaluations: Arc<AtomicU64>,
}

impl Shared {
    pub fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }

    /// Whether the result depends on the time.
    pub fn uses_clock(&self) -> bool {
        self.by_clock
    }

    /// Whether a resource matches at a time. `verdicts` are those of this version of the resource.
    pub fn matches(&self, decoded: &dyn Decoded, now: i64, verdicts: &Verdicts) -> bool {
        if self.by_clock {
            return self.evaluate(decoded, now);
        }
        let mut known = verdicts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, matches)) = known.iter().find(|(number, _)| *number == self.number) {
            return *matches;
        }
        // Under the lock: another stream waits for this verdict instead of evaluating the filter itself.
        let matches = self.evaluate(decoded, now);
        if known.len() < VERDICTS {
            known.push((self.number, matches));
        }
        matches
    }

    fn evaluate(&self, decoded: &dyn Decoded, now: i64) -> bool {
        self.evaluations.fetch_add(1, Ordering::Relaxed);
        self.filter.matches(decoded, now)
    }
}

/// The results of filters for one version of a resource.
#[derive(Default)]
pub struct Verdicts(Mutex<Vec<(u64, bool)>>);

/// The filters of the open streams.
#[derive(Default)]
pub struct Filters {
    next: u64,
    by_text: HashMap<(Kind, String), (u64, Weak<Filter>)>,
    /// The number of filters at which those without a stream are removed.
    sweep_at: usize,
    evaluations: Arc<AtomicU64>,
}

impl Filters {
    /// Returns the filter that all streams with an equal one share.
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
            evaluations: Arc::clone(&self.evaluations),
        }
    }

    /// How many times a filter was evaluated.
    pub fn evaluations(&self) -> u64 {
        self.evaluations.load(Ordering::Relaxed)
    }
}
