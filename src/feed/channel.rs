//! Where changes wait for the streams of one shop and kind: a ring for those that watch everything,
//! and an inbox for each that watches a few names, so that a change wakes only who could want it.
//!
//! Nothing here is the truth: who is outrun, or comes late, reads the change log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::entry::Entry;
use super::position::Position;
use super::resource::Resource;
use super::runs::{Run, Runs, View};

/// How much a ring keeps: entries, and bytes of them.
const RING_ENTRIES: usize = 16_384;
const RING_BYTES: usize = 32 * 1024 * 1024;
/// How many changes an inbox keeps before its stream has to read the log.
const INBOX_ENTRIES: usize = 256;

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
    runs: Runs,
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
            runs: Runs::default(),
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

    /// The messages of what a read from `index` would give, if there is a run of it and all of it is new
    /// to a stream at `position`; and the index behind them.
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
        // A stream that comes from the log may have read changes there before they were in the ring.
        run.begin.is_after(position).then(|| (run.clone(), end))
    }

    /// Keeps the messages of the changes from `first` to before `end` for other streams.
    pub fn share(&self, first: u64, end: u64, view: View, run: Run) {
        self.state().runs.keep(first, end, view, run);
    }

    /// From here on puts changes into an inbox that could want them.
    pub fn open(&self, inbox: &Arc<Inbox>) {
        let mut state = self.state();
        state.topics += usize::from(inbox.topic.is_some());
        for key in inbox.topic.iter().chain(&inbox.ids) {
            state.put_under(key, inbox);
        }
    }

    /// Also puts the changes of this resource into an inbox under a topic, until it does not have the
    /// topic any more.
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
    fn put_under(&mut self, key: &str, inbox: &Arc<Inbox>) {
        let inboxes = self.inboxes.entry(key.to_owned()).or_default();
        inboxes.push(Arc::clone(inbox));
    }

    fn take_from(&mut self, key: &str, inbox: &Arc<Inbox>) {
        let Some(inboxes) = self.inboxes.get_mut(key) else {
            return;
        };
        inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
        if inboxes.is_empty() {
            self.inboxes.remove(key);
        }
    }

    /// Whether the resource was not followed before.
    fn follow(&mut self, id: &str, inbox: &Arc<Inbox>) -> bool {
        let new = inbox.followed().insert(id.to_owned());
        if new {
            self.put_under(id, inbox);
        }
        new
    }

    fn deliver(&mut self, resource: &dyn Resource, entry: &Arc<Entry>) {
        if self.inboxes.is_empty() {
            return;
        }
        let mut reached = self.inboxes.get(&*entry.id).cloned().unwrap_or_default();
        if self.topics > 0 {
            let topics = entry.decoded(resource).map(|decoded| decoded.topics());
            let topics: Vec<String> = topics
                .unwrap_or_default()
                .iter()
                .map(|topic| topic_key(topic))
                .collect();
            for inbox in &reached {
                if inbox
                    .topic
                    .as_ref()
                    .is_some_and(|topic| !topics.contains(topic))
                {
                    // It learns so from this change.
                    inbox.followed().remove(&*entry.id);
                    self.take_from(&entry.id, inbox);
                }
            }
            for topic in &topics {
                for inbox in self.inboxes.get(topic).cloned().unwrap_or_default() {
                    // Here, and not when the stream has seen the change: the next one may be that the
                    // resource does not have the topic any more.
                    if self.follow(&entry.id, &inbox) {
                        reached.push(inbox);
                    }
                }
            }
        }
        for inbox in reached {
            inbox.put(entry);
        }
    }
}

/// No id holds a colon.
fn topic_key(topic: &str) -> String {
    format!(":{topic}")
}

/// The changes that one stream has not taken yet.
pub struct Inbox {
    /// The resources that it is about.
    ids: Vec<String>,
    /// What it is about instead, as [`topic_key`] makes it.
    topic: Option<String>,
    /// The resources that have the topic, as far as is known. Changed under the lock of the channel.
    followed: Mutex<HashSet<String>>,
    entries: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Arc<Entry>>,
    outrun: bool,
}

impl Inbox {
    /// An inbox for these resources.
    pub fn of_ids(ids: &[String]) -> Self {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        Self::new(ids, None)
    }

    /// An inbox for whatever has this topic, and for its change that ends that.
    pub fn of_topic(topic: &str) -> Self {
        Self::new(Vec::new(), Some(topic_key(topic)))
    }

    fn new(ids: Vec<String>, topic: Option<String>) -> Self {
        Self {
            ids,
            topic,
            followed: Mutex::default(),
            entries: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    fn followed(&self) -> MutexGuard<'_, HashSet<String>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

#[cfg(test)]
mod tests;
