//! The latest change of each resource, where an interval has to pass between two of the same resource.
//!
//! Each change costs the logarithm of the number of waiting changes, even if a stream has thousands of
//! resources.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::outgoing::Outgoing;
use crate::feed::kept::{Kept, KeptBytes};
use crate::revision::Position;

/// With more waiting resources than this, the stream delays none of them.
const WAITING_MAX: usize = 10_000;

/// The changes that wait, and when each resource was sent last.
pub struct Paced {
    interval: Duration,
    /// Beyond this shared limit no stream delays any resource.
    kept: KeptBytes,
    waiting: HashMap<Arc<str>, Waiting>,
    /// The resources that may be sent now, in the order of the changes.
    due: BTreeMap<u64, Arc<str>>,
    /// The resources that may be sent later, by their time.
    later: BTreeMap<(Instant, u64), Arc<str>>,
    /// The positions of the stream before the waiting changes, each with the number of those changes.
    befores: BTreeMap<(i64, i64), (Position, usize)>,
    sent_at: HashMap<Arc<str>, Instant>,
    /// The same, by time.
    sent: VecDeque<(Instant, Arc<str>)>,
    next: u64,
}

struct Waiting {
    outgoing: Outgoing,
    _kept: Kept,
    order: u64,
    /// When it may be sent; None if it may be sent now.
    at: Option<Instant>,
}

impl Paced {
    /// Creates an empty one. `interval` has to pass between two changes of a resource.
    pub fn new(interval: Duration, kept: KeptBytes) -> Self {
        Self {
            interval,
            kept,
            waiting: HashMap::new(),
            due: BTreeMap::new(),
            later: BTreeMap::new(),
            befores: BTreeMap::new(),
            sent_at: HashMap::new(),
            sent: VecDeque::new(),
            next: 0,
        }
    }

    /// Adds a change, which replaces an older one of its resource.
    pub fn put(&mut self, id: &str, mut outgoing: Outgoing) {
        let mut key: Arc<str> = id.into();
        if let Some((id, older)) = self.waiting.remove_entry(id) {
            key = id;
            match older.at {
                Some(at) => self.later.remove(&(at, older.order)),
                None => self.due.remove(&older.order),
            };
            self.forget_before(older.outgoing.before);
            outgoing.conflated = older.outgoing.conflated.saturating_add(1);
            outgoing.before = older.outgoing.before;
        }
        let order = self.next;
        self.next += 1;
        let at = self.sent_at.get(&key).map(|sent| *sent + self.interval);
        match at {
            Some(at) => self.later.insert((at, order), Arc::clone(&key)),
            None => self.due.insert(order, Arc::clone(&key)),
        };
        let before = outgoing.before;
        self.befores.entry(before.key()).or_insert((before, 0)).1 += 1;
        let waiting = Waiting {
            _kept: self.kept.keep(&outgoing.entry),
            outgoing,
            order,
            at,
        };
        self.waiting.insert(key, waiting);
    }

    /// Sends every change without delay from now on.
    pub fn expedite(&mut self) {
        self.interval = Duration::ZERO;
        self.expedite_once();
    }

    /// Makes the waiting changes due.
    pub fn expedite_once(&mut self) {
        self.sent_at.clear();
        self.sent.clear();
        for ((_, order), id) in std::mem::take(&mut self.later) {
            self.make_due(order, id);
        }
    }

    /// When the next change is due; None if none waits.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if !self.due.is_empty() || (!self.later.is_empty() && self.is_too_much()) {
            return Some(now);
        }
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// The stream's position before the first change that waits.
    pub fn before(&self) -> Option<Position> {
        self.befores
            .first_key_value()
            .map(|(_, (before, _))| *before)
    }

    /// Takes the due changes, in their order.
    pub fn take_due(&mut self, now: Instant) -> Vec<Outgoing> {
        let too_many = self.is_too_much();
        while let Some(first) = self.later.first_entry()
            && (too_many || first.key().0 <= now)
        {
            let ((_, order), id) = first.remove_entry();
            self.make_due(order, id);
        }
        while let Some((at, id)) = self.sent.front()
            && *at + self.interval <= now
        {
            // It may have been sent again since.
            if self.sent_at.get(id) == Some(at) {
                self.sent_at.remove(id);
            }
            self.sent.pop_front();
        }
        let mut taken = Vec::with_capacity(self.due.len());
        for id in std::mem::take(&mut self.due).into_values() {
            let Some(waiting) = self.waiting.remove(&id) else {
                continue;
            };
            self.forget_before(waiting.outgoing.before);
            taken.push(waiting.outgoing);
            if !too_many {
                self.sent_at.insert(Arc::clone(&id), now);
                self.sent.push_back((now, id));
            }
        }
        taken
    }

    fn is_too_much(&self) -> bool {
        self.waiting.len() > WAITING_MAX || self.kept.is_over()
    }

    fn make_due(&mut self, order: u64, id: Arc<str>) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.at = None;
        }
        self.due.insert(order, id);
    }

    fn forget_before(&mut self, before: Position) {
        if let Some((_, count)) = self.befores.get_mut(&before.key()) {
            *count -= 1;
            if *count == 0 {
                self.befores.remove(&before.key());
            }
        }
    }
}

#[cfg(test)]
mod tests;
