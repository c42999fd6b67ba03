//! Delivery of a change to inboxes: those of its resource, and those of its topics.

use std::sync::Arc;

use super::{Inbox, State, TOPIC_SIGN, topic_key};
use crate::feed::entry::Entry;
use crate::feed::resource::Resource;

impl State {
    pub(super) fn put_under(&mut self, key: &str, inbox: &Arc<Inbox>) {
        let inboxes = self.inboxes.entry(key.to_owned()).or_default();
        inboxes.push(Arc::clone(inbox));
    }

    pub(super) fn take_from(&mut self, key: &str, inbox: &Arc<Inbox>) {
        let Some(inboxes) = self.inboxes.get_mut(key) else {
            return;
        };
        inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
        if inboxes.is_empty() {
            self.inboxes.remove(key);
        }
    }

    /// Adds a resource to an inbox. Returns whether the inbox did not follow it before.
    pub(super) fn follow(&mut self, id: &str, inbox: &Arc<Inbox>) -> bool {
        let new = inbox.followed().insert(id.to_owned());
        if new {
            self.put_under(id, inbox);
        }
        new
    }

    /// Takes a change that the ring has dropped from the inboxes that still have it. Their streams read it
    /// from the log.
    pub(super) fn take_back(&self, entry: &Arc<Entry>) {
        let is_held = || Arc::strong_count(entry) > 1;
        // Nearly always all streams have taken and sent it. A paced stream also holds it. Those holders
        // cannot be subtracted: their number changes during the count.
        if !is_held() {
            return;
        }
        for inbox in self.inboxes.get(&*entry.id).into_iter().flatten() {
            inbox.let_go(entry);
        }
        if self.topics == 0 || !is_held() {
            return;
        }
        // The resource may have left the topic since, and is then no longer followed.
        for inbox in self.topic_inboxes() {
            inbox.let_go(entry);
        }
    }

    /// The inboxes of streams that follow a topic.
    fn topic_inboxes(&self) -> impl Iterator<Item = &Arc<Inbox>> {
        let topics = self.inboxes.iter();
        let topics = topics.filter(|(key, _)| key.starts_with(TOPIC_SIGN));
        topics.flat_map(|(_, inboxes)| inboxes)
    }

    /// Puts a change into the inboxes that could want it.
    pub(super) fn deliver(&mut self, resource: &'static dyn Resource, entry: &Arc<Entry>) {
        if self.inboxes.is_empty() {
            return;
        }
        let mut reached = self.inboxes.get(&*entry.id).cloned().unwrap_or_default();
        if self.topics > 0 && entry.is_undecodable(resource) {
            // Its topics are unknown.
            for inbox in self.topic_inboxes() {
                inbox.outrun();
            }
        } else if self.topics > 0 {
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
                    // The inbox learns from this change that the resource has left its topic.
                    inbox.followed().remove(&*entry.id);
                    self.take_from(&entry.id, inbox);
                }
            }
            for topic in &topics {
                for inbox in self.inboxes.get(topic).cloned().unwrap_or_default() {
                    // At delivery, not when the stream has seen the change: the next change may already take
                    // the resource out of the topic.
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
