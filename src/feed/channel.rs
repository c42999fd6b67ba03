//! The buffers in which changes wait for the streams of one shop and kind. Streams that watch everything
//! share a ring; a stream that watches a few names has an inbox, so that only changes that it may want wake
//! it.
//!
//! Invariant: an inbox drops a change when the ring does, so one budget bounds both. When a change cannot be
//! read, the ring drops all its changes; inboxes that cannot want that change keep theirs.
//!
//! Nothing here is the truth: a stream that was outrun, or that starts late, reads the change log.

mod delivery;
mod inbox;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::entry::Entry;
use super::resource::Resource;
use super::runs::{Run, Runs, View};
use crate::revision::Position;
pub use inbox::Inbox;

/// The limits of a ring: entries, and their bytes.
const RING_ENTRIES: usize = 16_384;
const RING_BYTES: usize = 32 * 1024 * 1024;

/// The changes of one shop and kind.
pub struct Channel {
    resource: &'static dyn Resource,
    state: Mutex<State>,
    head: watch::Sender<u64>,
    ended: AtomicBool,
}

/// A change of the log on its way to a channel.
pub enum Arrival {
    Entry(Arc<Entry>),
    /// A change that cannot be read. Streams that may want it find the failure in the log.
    Unreadable {
        position: Position,
        id: String,
    },
}

/// The size of a ring and the position of its oldest change.
#[derive(Clone, Copy, Default)]
pub struct Ring {
    /// Approximate size.
    pub bytes: usize,
    /// The position of the oldest change; None if the ring is empty.
    pub oldest: Option<Position>,
}

struct State {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The index of the first entry.
    first: u64,
    /// Every change after this position is in the ring.
    floor: Position,
    inboxes: HashMap<String, Vec<Arc<Inbox>>>,
    /// The number of inboxes under topics. Changes are decoded for their topics only if there are any.
    topics: usize,
    runs: Runs,
}

/// The result of a read.
pub enum Taken {
    /// Changes in their order.
    Entries(Vec<Arc<Entry>>),
    /// Changes were dropped: the log has to be read.
    Outrun,
}

impl Channel {
    /// Creates a channel that will hold every change after `floor`.
    pub fn new(resource: &'static dyn Resource, floor: Position) -> Self {
        let state = State {
            entries: VecDeque::new(),
            bytes: 0,
            first: 0,
            floor,
            inboxes: HashMap::new(),
            topics: 0,
            runs: Runs::default(),
        };
        Self {
            resource,
            state: Mutex::new(state),
            head: watch::Sender::new(0),
            ended: AtomicBool::new(false),
        }
    }

    pub fn resource(&self) -> &'static dyn Resource {
        self.resource
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store has left the history that the channel followed.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Marks the channel as ended: the store has left the history that the channel followed.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.skip(Position::ORIGIN);
    }

    /// Adds changes in their order and wakes the streams that could want them.
    pub fn push(&self, arrivals: Vec<Arrival>) -> Ring {
        self.change(|state| {
            for arrival in arrivals {
                match arrival {
                    Arrival::Entry(entry) => state.add(self.resource, entry),
                    Arrival::Unreadable { position, id } => state.lose(position, Some(&id)),
                }
            }
            while state.entries.len() > RING_ENTRIES || state.bytes > RING_BYTES {
                state.evict_oldest();
            }
        })
    }

    /// Drops all changes. Every stream has to read the log, because changes up to `position` will never
    /// arrive here.
    pub fn skip(&self, position: Position) -> Ring {
        self.change(|state| state.lose(position, None))
    }

    /// Drops the oldest change.
    pub fn evict_oldest(&self) -> Ring {
        let mut state = self.state();
        state.evict_oldest();
        state.ring()
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> Ring {
        let mut state = self.state();
        change(&mut state);
        let head = state.first + state.entries.len() as u64;
        let ring = state.ring();
        drop(state);
        self.head.send_replace(head);
        ring
    }

    /// A receiver that changes whenever the ring grows.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// The index of the first entry after `position`; None if the ring does not reach that far back.
    pub fn index_after(&self, position: Position) -> Option<u64> {
        let state = self.state();
        if state.floor.is_after(position) {
            return None;
        }
        let before = state
            .entries
            .partition_point(|entry| !entry.position.is_after(position));
        Some(state.first + before as u64)
    }

    /// Reads up to `max` entries from `index` on.
    pub fn read(&self, index: u64, max: usize) -> Taken {
        let state = self.state();
        let Some(offset) = index.checked_sub(state.first) else {
            return Taken::Outrun;
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Taken::Entries(
            state
                .entries
                .iter()
                .skip(offset)
                .take(max)
                .cloned()
                .collect(),
        )
    }

    /// The shared messages for a read from `index`, and the index behind them. None unless all their changes
    /// are new to a stream at `position`.
    pub fn run(
        &self,
        index: u64,
        max: usize,
        view: &View,
        position: Position,
    ) -> Option<(Run, u64)> {
        let state = self.state();
        let end = (state.first + state.entries.len() as u64).min(index + max as u64);
        let run = state.runs.find(index, end, view)?;
        // A stream that comes from the log may have read changes there before they reached the ring.
        run.begin.is_after(position).then(|| (run.clone(), end))
    }

    /// Keeps the messages made from the changes in `first..end` for other streams.
    pub fn share(&self, first: u64, end: u64, view: View, run: Run) {
        self.state().runs.keep(first, end, view, run);
    }

    /// Delivers to an inbox the later changes that it may want.
    pub fn open(&self, inbox: &Arc<Inbox>) {
        let mut state = self.state();
        state.topics += usize::from(inbox.topic.is_some());
        for key in inbox.topic.iter().chain(&inbox.ids) {
            state.put_under(key, inbox);
        }
    }

    /// Also delivers the changes of this resource to an inbox of a topic, until the resource leaves the
    /// topic.
    pub fn follow(&self, inbox: &Arc<Inbox>, id: &str) {
        self.state().follow(id, inbox);
    }

    /// Ends [`open`](Self::open).
    pub fn close(&self, inbox: &Arc<Inbox>) {
        let mut state = self.state();
        state.topics -= usize::from(inbox.topic.is_some());
        let followed = std::mem::take(&mut *inbox.followed());
        for key in inbox.topic.iter().chain(&inbox.ids).chain(&followed) {
            state.take_from(key, inbox);
        }
    }
}

impl State {
    fn ring(&self) -> Ring {
        Ring {
            bytes: self.bytes,
            oldest: self.entries.front().map(|entry| entry.position),
        }
    }

    fn add(&mut self, resource: &'static dyn Resource, entry: Arc<Entry>) {
        self.deliver(resource, &entry);
        self.bytes += entry.size();
        self.entries.push_back(entry);
    }

    fn evict_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.size();
            self.floor = oldest.position;
            self.first += 1;
            self.take_back(&oldest);
        }
    }

    /// Drops all changes because one is unavailable: that of the resource `id`, or, with None, any. Inboxes
    /// that may want it are outrun, and so is every reader of the ring.
    fn lose(&mut self, position: Position, id: Option<&str>) {
        // Adds one to the number of changes, so that a reader at the end notices, too.
        self.first += self.entries.len() as u64 + 1;
        self.entries.clear();
        self.bytes = 0;
        self.floor = self.floor.or_further(position);
        for (key, inboxes) in &self.inboxes {
            let wanted = id.is_none_or(|id| id == key || key.starts_with(TOPIC_SIGN));
            for inbox in inboxes.iter().filter(|_| wanted) {
                inbox.outrun();
            }
        }
    }
}

/// The prefix of topic keys. Ids do not contain it.
const TOPIC_SIGN: char = ':';

fn topic_key(topic: &str) -> String {
    format!("{TOPIC_SIGN}{topic}")
}

#[cfg(test)]
mod tests;
