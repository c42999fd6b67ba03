//! Where changes wait for the streams of one shop and kind: a ring for those that watch everything,
//! and an inbox for each that watches a few names, so that a change wakes only who could want it.
//!
//! Nothing here is the truth: who is outrun, or comes late, reads the change log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::entry::Entry;
use super::frame::Frame;
use super::position::Position;
use super::resource::Resource;
use crate::proto::pb::DeliveryMode;

/// How much a ring keeps: entries, and bytes of them.
const RING_ENTRIES: usize = 16_384;
const RING_BYTES: usize = 32 * 1024 * 1024;
/// How many changes an inbox keeps before its stream has to read the log.
const INBOX_ENTRIES: usize = 256;
/// Runs whose messages are kept for further streams: a little more than streams are apart while they
/// keep up.
const RUNS: usize = 8;

/// The changes of one shop and kind.
pub struct Channel {
    resource: &'static dyn Resource,
    state: Mutex<State>,
    head: watch::Sender<u64>,
}

struct State {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The index of the first entry.
    first: u64,
    /// Every change after this position is in the ring.
    floor: Position,
    inboxes: HashMap<String, Vec<Arc<Inbox>>>,
    /// How many inboxes are under topics: only then are changes decoded to see theirs.
    topics: usize,
    runs: VecDeque<(RunKey, Run)>,
}

/// Which messages a stream makes of changes: those with the same view of the same changes send the same
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Every version, or the latest.
    pub delivery: DeliveryMode,
    /// The second half of the stream's tokens.
    pub stream_token: Arc<str>,
}

/// The messages of some changes that follow each other in the ring, made by one stream for all with its
/// view.
#[derive(Clone)]
pub struct Run {
    /// The messages.
    pub frames: Arc<[Frame]>,
    /// The position of the first change.
    pub begin: Position,
    /// The position of the last change.
    pub end: Position,
}

/// Changes by their indices, the second exclusive, and how they are seen.
#[derive(PartialEq, Eq)]
struct RunKey(u64, u64, View);

/// Under what a stream finds changes in its inbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A resource's id.
    Id(String),
    /// A topic of a resource.
    Topic(String),
}

impl Address {
    fn key(&self) -> String {
        match self {
            Self::Id(id) => id.clone(),
            // No id holds a colon.
            Self::Topic(topic) => topic_key(topic),
        }
    }
}

fn topic_key(topic: &str) -> String {
    format!(":{topic}")
}

/// What a reader found.
pub enum Taken {
    /// Changes in their order, and whether there are more.
    Entries(Vec<Arc<Entry>>),
    /// Changes were dropped: the log has to be read.
    Outrun,
}

impl Channel {
    /// A channel in which every change after `floor` will be.
    pub fn new(resource: &'static dyn Resource, floor: Position) -> Self {
        let state = State {
            entries: VecDeque::new(),
            bytes: 0,
            first: 0,
            floor,
            inboxes: HashMap::new(),
            topics: 0,
            runs: VecDeque::with_capacity(RUNS),
        };
        Self {
            resource,
            state: Mutex::new(state),
            head: watch::Sender::new(0),
        }
    }

    /// What the channel's changes are of.
    pub fn resource(&self) -> &'static dyn Resource {
        self.resource
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds changes in their order and wakes who could want them.
    pub fn push(&self, entries: Vec<Arc<Entry>>) {
        let mut state = self.state();
        for entry in entries {
            state.deliver(self.resource, &entry);
            state.bytes += entry.size();
            state.entries.push_back(entry);
        }
        while state.entries.len() > RING_ENTRIES || state.bytes > RING_BYTES {
            let Some(oldest) = state.entries.pop_front() else {
                break;
            };
            state.bytes -= oldest.size();
            state.floor = oldest.position;
            state.first += 1;
        }
        let head = state.first + state.entries.len() as u64;
        drop(state);
        self.head.send_replace(head);
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

    /// Up to `max` entries from `index` on.
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

    /// The messages of what a read from `index` would give, if a stream with this view has made them and
    /// all of it is new to a stream at `after`; and the index behind them.
    pub fn run(&self, index: u64, max: usize, view: &View, after: Position) -> Option<(Run, u64)> {
        let state = self.state();
        let end = (state.first + state.entries.len() as u64).min(index + max as u64);
        let mut runs = state.runs.iter().rev();
        let (_, run) = runs.find(|(key, _)| key.0 == index && key.1 == end && key.2 == *view)?;
        // A stream that comes from the log may have read changes there before they were in the ring.
        run.begin.is_after(after).then(|| (run.clone(), end))
    }

    /// Keeps the messages of the changes from `first` to before `end` for other streams.
    pub fn share(&self, first: u64, end: u64, view: View, run: Run) {
        let mut state = self.state();
        let key = RunKey(first, end, view);
        if state.runs.iter().any(|(known, _)| *known == key) {
            return;
        }
        if state.runs.len() == RUNS {
            state.runs.pop_front();
        }
        state.runs.push_back((key, run));
    }

    /// Registers an inbox under an address.
    pub fn subscribe(&self, address: &Address, inbox: &Arc<Inbox>) {
        let mut state = self.state();
        state.topics += usize::from(matches!(address, Address::Topic(_)));
        state
            .inboxes
            .entry(address.key())
            .or_default()
            .push(Arc::clone(inbox));
    }

    /// Takes an inbox away from an address.
    pub fn unsubscribe(&self, address: &Address, inbox: &Arc<Inbox>) {
        let mut state = self.state();
        let key = address.key();
        let Some(inboxes) = state.inboxes.get_mut(&key) else {
            return;
        };
        let before = inboxes.len();
        inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
        let gone = before - inboxes.len();
        if inboxes.is_empty() {
            state.inboxes.remove(&key);
        }
        if matches!(address, Address::Topic(_)) {
            state.topics -= gone;
        }
    }
}

impl State {
    fn deliver(&self, resource: &dyn Resource, entry: &Arc<Entry>) {
        if self.inboxes.is_empty() {
            return;
        }
        let mut reached: HashSet<*const Inbox> = HashSet::new();
        let mut put = |inboxes: &Vec<Arc<Inbox>>| {
            for inbox in inboxes {
                if reached.insert(Arc::as_ptr(inbox)) {
                    inbox.put(entry);
                }
            }
        };
        if let Some(inboxes) = self.inboxes.get(&*entry.id) {
            put(inboxes);
        }
        if self.topics > 0
            && let Some(decoded) = entry.decoded(resource)
        {
            for topic in decoded.topics() {
                if let Some(inboxes) = self.inboxes.get(&topic_key(&topic)) {
                    put(inboxes);
                }
            }
        }
    }
}

/// The changes that one stream has not taken yet.
#[derive(Default)]
pub struct Inbox {
    entries: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Arc<Entry>>,
    outrun: bool,
}

impl Inbox {
    fn put(&self, entry: &Arc<Entry>) {
        let mut waiting = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.entries.len() < INBOX_ENTRIES {
            waiting.entries.push_back(Arc::clone(entry));
        } else {
            waiting.outrun = true;
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes what waits.
    pub fn take(&self) -> Taken {
        let mut waiting = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = std::mem::take(&mut waiting.entries);
        if std::mem::take(&mut waiting.outrun) {
            return Taken::Outrun;
        }
        Taken::Entries(entries.into())
    }

    /// Waits until something may have arrived.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
