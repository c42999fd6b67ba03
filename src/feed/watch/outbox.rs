//! The changes that a stream still has to send: all, or the latest of each resource.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;

use super::outgoing::Outgoing;
use super::paced::Paced;
use crate::feed::entry::Entry;
use crate::feed::kept::KeptBytes;
use crate::proto::pb::DeliveryMode;
use crate::revision::Position;

/// The most changes and bytes in a message. A single change may be larger.
pub const MESSAGE_CHANGES: usize = 256;
pub const MESSAGE_BYTES: usize = 256 * 1024;

/// Changes that go into one message.
pub struct Batch {
    pub changes: Vec<Outgoing>,
    /// This message completes everything up to here.
    pub up_to: Position,
    /// The entry of the last change.
    pub last: Option<Arc<Entry>>,
}

/// The changes that wait.
pub struct Outbox {
    delivery: DeliveryMode,
    interval: Duration,
    kept: KeptBytes,
    every: Vec<Outgoing>,
    latest: IndexMap<Box<str>, Outgoing>,
    /// Replaces `latest` if an interval has to pass between two changes of a resource.
    paced: Option<Box<Paced>>,
}

impl Outbox {
    pub fn new(delivery: DeliveryMode, interval: Duration, kept: KeptBytes) -> Self {
        Self {
            delivery,
            interval,
            every: Vec::new(),
            latest: IndexMap::new(),
            paced: (!interval.is_zero()).then(|| Box::new(Paced::new(interval, kept.clone()))),
            kept,
        }
    }

    /// Adds a change. With LATEST it replaces an older one of its resource.
    pub fn put(&mut self, id: Box<str>, mut outgoing: Outgoing) {
        if self.delivery == DeliveryMode::Every {
            self.every.push(outgoing);
            return;
        }
        if let Some(paced) = &mut self.paced {
            paced.put(&id, outgoing);
            return;
        }
        // Removed and added at the end, so that the order stays that of the log.
        if let Some(older) = self.latest.shift_remove(&id) {
            outgoing.conflated = older.conflated.saturating_add(1);
            outgoing.before = older.before;
        }
        self.latest.insert(id, outgoing);
    }

    /// Whether nothing waits, and later changes will not wait either.
    pub fn holds_nothing(&self) -> bool {
        self.paced.is_none() && self.every.is_empty() && self.latest.is_empty()
    }

    /// Drops all waiting changes.
    pub fn clear(&mut self) {
        *self = Self::new(self.delivery, self.interval, self.kept.clone());
    }

    /// Sends every change without delay from now on.
    pub fn expedite(&mut self) {
        if let Some(paced) = &mut self.paced {
            paced.expedite();
        }
    }

    /// Makes the waiting changes due.
    pub fn expedite_once(&mut self) {
        if let Some(paced) = &mut self.paced {
            paced.expedite_once();
        }
    }

    /// When the next change is due; None if none waits.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        match &self.paced {
            Some(paced) => paced.due(now),
            None => (!self.latest.is_empty()).then_some(now),
        }
    }

    /// The position up to which everything has been sent, once `position` has been considered.
    pub fn sent_up_to(&self, position: Position) -> Position {
        if let Some(paced) = &self.paced {
            return paced.before().unwrap_or(position);
        }
        let waiting = self.every.iter().chain(self.latest.values());
        let held = waiting
            .map(|outgoing| outgoing.before)
            .min_by_key(|before| before.key());
        held.unwrap_or(position)
    }

    /// Takes the due changes, in messages. `position` has been considered.
    pub fn batches(&mut self, position: Position, now: Instant) -> Vec<Batch> {
        let due = self.take_due(now);
        if due.is_empty() {
            return Vec::new();
        }
        // Changes that still wait hold back the tokens of all these messages.
        let held = self.sent_up_to(position);
        let mut batches: Vec<Batch> = Vec::new();
        let mut bytes = 0;
        for outgoing in due {
            let size = outgoing.entry.size();
            let full = batches.last().is_none_or(|batch| {
                batch.changes.len() >= MESSAGE_CHANGES || bytes + size > MESSAGE_BYTES
            });
            if full {
                batches.push(Batch {
                    changes: Vec::new(),
                    up_to: position,
                    last: None,
                });
                bytes = 0;
            }
            bytes += size;
            let batch = batches
                .last_mut()
                .expect("one was pushed if there was none");
            batch.last = Some(Arc::clone(&outgoing.entry));
            batch.changes.push(outgoing);
        }
        let last = batches.len() - 1;
        for (index, batch) in batches.iter_mut().enumerate() {
            let reached = match &batch.last {
                Some(entry) if index < last => entry.position,
                _ => position,
            };
            batch.up_to = if reached.is_after(held) {
                held
            } else {
                reached
            };
        }
        batches
    }

    fn take_due(&mut self, now: Instant) -> Vec<Outgoing> {
        if self.delivery == DeliveryMode::Every {
            return std::mem::take(&mut self.every);
        }
        match &mut self.paced {
            Some(paced) => paced.take_due(now),
            None => std::mem::take(&mut self.latest).into_values().collect(),
        }
    }
}
