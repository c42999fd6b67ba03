//! The buffer of changes for one stream of a few names, or of one topic.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Taken, topic_key};
use crate::feed::entry::Entry;

/// The most changes in an inbox before its stream has to read the log.
const INBOX_ENTRIES: usize = 256;

/// The changes that one stream has not taken yet.
pub struct Inbox {
    /// The resources whose changes it receives.
    pub(super) ids: Vec<String>,
    /// The key of its topic, made by [`topic_key`], if it is for a topic instead.
    pub(super) topic: Option<String>,
    /// The resources that are known to have the topic. Changed under the lock of the channel.
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
    /// Creates an inbox for these resources.
    pub fn of_ids(ids: &[String]) -> Self {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        Self::new(ids, None)
    }

    /// Creates an inbox for all resources of this topic. It also receives the change with which a resource
    /// leaves it.
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

    /// The resources that have the topic. Changed under the lock of the channel.
    pub(super) fn followed(&self) -> MutexGuard<'_, HashSet<String>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, entry: &Arc<Entry>) {
        let mut waiting = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.entries.len() < INBOX_ENTRIES {
            waiting.entries.push_back(Arc::clone(entry));
        } else {
            waiting.outrun = true;
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Drops all waiting changes, so that the stream has to read the log.
    pub(super) fn outrun(&self) {
        let mut waiting = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entries.clear();
        waiting.outrun = true;
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Drops all waiting changes if this one is the first of them.
    pub(super) fn let_go(&self, entry: &Arc<Entry>) {
        let waiting = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.entries.front();
        let is_first = first.is_some_and(|first| Arc::ptr_eq(first, entry));
        drop(waiting);
        // The lock of the channel is held, so nothing is added meanwhile.
        if is_first {
            self.outrun();
        }
    }

    /// Takes all waiting changes.
    pub fn take(&self) -> Taken {
        let mut waiting = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = std::mem::take(&mut waiting.entries);
        if std::mem::take(&mut waiting.outrun) {
            return Taken::Outrun;
        }
        Taken::Entries(entries.into())
    }

    /// Waits until a change may have arrived.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
