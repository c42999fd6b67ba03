//! The channels of a process, and the position up to which the log has been handed to them.
//!
//! Invariants: a channel exists while it has a stream. All rings share one budget of bytes; beyond it, the
//! oldest change of any ring is evicted first.

mod lease;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::channel::{Arrival, Channel, Ring};
use super::entry::Entry;
use super::history::{self, LogRow};
use super::log::Kind;
use super::resource::Resource;
use super::shared_filter::{Filters, Shared};
use crate::error::Result;
use crate::filter::Filter;
use crate::revision::Position;
pub use lease::Lease;

/// The channels of a process, and the position up to which the log has been handed to them.
pub struct Hub {
    state: Mutex<State>,
    filters: Mutex<Filters>,
    position: watch::Sender<Position>,
    lag_micros: AtomicI64,
    /// The most bytes of all rings together.
    bytes_max: usize,
}

/// A shop and the number of a kind.
type Key = (Arc<str>, i64);

#[derive(Default)]
struct State {
    channels: HashMap<Key, Open>,
    position: Position,
    /// The bytes of all rings together.
    bytes: usize,
    /// The oldest change of each ring, by its position in the log. No two have the same position.
    oldest: BTreeMap<(i64, i64), Key>,
    /// Changes that streams have read from the log before their hand-over: marks by position.
    ahead: BTreeMap<(i64, i64), i64>,
}

/// A channel with at least one stream.
struct Open {
    channel: Arc<Channel>,
    streams: usize,
    ring: Ring,
}

impl Hub {
    /// Creates a hub that continues after `position` and whose rings together hold `bytes_max`.
    pub fn new(position: Position, bytes_max: usize) -> Self {
        let state = State {
            position,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            filters: Mutex::default(),
            position: watch::Sender::new(position),
            lag_micros: AtomicI64::new(0),
            bytes_max,
        }
    }

    fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends the channel of a shop and kind to a stream. The first stream creates it.
    pub fn lend(self: &Arc<Self>, shop: &Arc<str>, resource: &'static dyn Resource) -> Lease {
        let key = (Arc::clone(shop), resource.kind().number());
        let mut state = self.state();
        let floor = state.position;
        let make = || Open {
            channel: Arc::new(Channel::new(resource, floor)),
            streams: 0,
            ring: Ring::default(),
        };
        let open = state.channels.entry(key.clone()).or_insert_with(make);
        open.streams += 1;
        let channel = Arc::clone(&open.channel);
        drop(state);
        Lease {
            hub: Arc::clone(self),
            key,
            channel,
        }
    }

    /// The position up to which the log has been handed to the channels, a hand-over in progress included. A
    /// reader that listens before it asks for this finds all later changes.
    pub fn floor(&self) -> Position {
        self.state().position
    }

    /// The position up to which the log has been handed to the channels.
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// A receiver of [`position`](Self::position).
    pub fn positions(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// How long the oldest write in progress has held the log back, in microseconds.
    pub fn lag_micros(&self) -> i64 {
        self.lag_micros.load(Ordering::Relaxed)
    }

    pub fn note_lag(&self, micros: i64) {
        self.lag_micros.store(micros, Ordering::Relaxed);
    }

    /// Whether any stream is open.
    pub fn is_watched(&self) -> bool {
        !self.state().channels.is_empty()
    }

    /// The number of channels, and the bytes that their rings hold.
    pub fn held(&self) -> (usize, usize) {
        let state = self.state();
        (state.channels.len(), state.bytes)
    }

    /// How many times a filter was evaluated for a change.
    pub fn evaluations(&self) -> u64 {
        self.filters().evaluations()
    }

    /// Returns the filter of a stream; streams with equal filters share one.
    pub fn share_filter(&self, kind: Kind, filter: Filter) -> Shared {
        self.filters().share(kind, filter)
    }

    /// Notes a change that a stream has read from the database. If the log lacks it when the hand-over
    /// reaches its position, the stream has seen another history.
    pub fn note_ahead(&self, seen: Position) {
        let mut state = self.state();
        if seen.is_after(state.position) && !state.channels.is_empty() {
            // The first mark stays: a server that took over may have another row at the same position.
            state.ahead.entry(seen.key()).or_insert(seen.mark);
        }
    }

    /// Hands rows to their channels.
    ///
    /// # Errors
    /// STORE_EPOCH_CHANGED if the rows lack a change that a stream has read before. Then nothing is handed
    /// over.
    pub fn hand_over(&self, rows: Vec<LogRow>) -> Result<()> {
        let Some(last) = rows.last().map(LogRow::position) else {
            return Ok(());
        };
        let mut state = self.state();
        state.check_ahead(&rows)?;
        let mut batches: HashMap<Key, Vec<Arrival>> = HashMap::new();
        for row in rows {
            let key = (Arc::from(row.shop_id.as_str()), row.kind);
            let Some(open) = state.channels.get(&key) else {
                continue;
            };
            let arrival = Arrival::of(open.channel.resource(), row);
            batches.entry(key).or_default().push(arrival);
        }
        for (key, batch) in batches {
            state.change_ring(&key, |channel| channel.push(batch));
        }
        while state.bytes > self.bytes_max {
            let Some((_, key)) = state.oldest.first_key_value() else {
                break;
            };
            let key = key.clone();
            state.change_ring(&key, Channel::evict_oldest);
        }
        state.position = last;
        drop(state);
        self.position.send_replace(last);
        Ok(())
    }

    /// Moves on past rows that no stream wants. Returns false if a stream was opened since they were checked:
    /// then they have to be read after all.
    pub fn skip_unwatched(&self, position: Position) -> bool {
        let mut state = self.state();
        if !state.channels.is_empty() {
            return false;
        }
        state.ahead.clear();
        state.position = position;
        drop(state);
        self.position.send_replace(position);
        true
    }

    /// Moves on past rows that cannot be handed over. Each stream goes back to the log and finds there
    /// whether it lacks any of them.
    pub fn skip(&self, position: Position) {
        let mut state = self.state();
        let keys: Vec<Key> = state.channels.keys().cloned().collect();
        for key in keys {
            state.change_ring(&key, |channel| channel.skip(position));
        }
        state.ahead = state
            .ahead
            .split_off(&(position.xid, position.seq.saturating_add(1)));
        state.position = position;
        drop(state);
        self.position.send_replace(position);
    }

    /// Continues in another history of the store, which ends at `position`. All open streams end.
    pub fn replace(&self, position: Position) {
        let mut state = self.state();
        let ended = std::mem::take(&mut state.channels);
        state.oldest.clear();
        state.ahead.clear();
        state.bytes = 0;
        state.position = position;
        drop(state);
        for open in ended.into_values() {
            open.channel.end();
        }
        self.position.send_replace(position);
    }

    /// Returns a channel that was lent.
    fn give_back(&self, key: &Key, channel: &Arc<Channel>) {
        let mut state = self.state();
        let Some(open) = state.channels.get_mut(key) else {
            return;
        };
        // An ended channel is not counted any more, and another may have its place.
        if !Arc::ptr_eq(&open.channel, channel) {
            return;
        }
        open.streams -= 1;
        if open.streams > 0 {
            return;
        }
        state.change_ring(key, |_| Ring::default());
        let gone = state.channels.remove(key);
        drop(state);
        // Frees its changes outside of the lock.
        drop(gone);
    }
}

impl State {
    /// Changes the ring of a channel and updates the totals.
    fn change_ring(&mut self, key: &Key, change: impl FnOnce(&Channel) -> Ring) {
        let Some(open) = self.channels.get_mut(key) else {
            return;
        };
        let before = open.ring;
        open.ring = change(&open.channel);
        self.bytes = self.bytes - before.bytes + open.ring.bytes;
        if before.oldest != open.ring.oldest {
            if let Some(oldest) = before.oldest {
                self.oldest.remove(&oldest.key());
            }
            if let Some(oldest) = open.ring.oldest {
                self.oldest.insert(oldest.key(), key.clone());
            }
        }
    }

    /// Checks that the rows hold the changes that streams have already read.
    fn check_ahead(&mut self, rows: &[LogRow]) -> Result<()> {
        for row in rows {
            while let Some(first) = self.ahead.first_entry() {
                let at = row.position();
                if *first.key() > at.key() {
                    break;
                }
                if (*first.key(), *first.get()) != (at.key(), at.mark) {
                    return Err(history::epoch_changed());
                }
                first.remove();
            }
        }
        Ok(())
    }
}

impl Arrival {
    /// Creates the arrival of a row of the log.
    fn of(resource: &'static dyn Resource, row: LogRow) -> Self {
        let position = row.position();
        let id = row.resource_id.clone();
        match Entry::of_log(resource, row) {
            Ok(entry) => Self::Entry(Arc::new(entry)),
            Err(error) => {
                tracing::error!(%error, cause = error.cause(), id, "a change in the log cannot be read; its streams end");
                Self::Unreadable { position, id }
            }
        }
    }
}

#[cfg(test)]
mod tests;
