//! What a change means to a stream: whether it is sent, and as what.

use std::collections::HashSet;
use std::sync::Arc;

use super::outbox::{Outgoing, Sending};
use super::{Phase, Watch};
use crate::error::{Error, Result};
use crate::feed::entry::Entry;
use crate::feed::resource::{Decoded, Scope};
use crate::limits;
use crate::proto::pb::ErrorReason;

/// The resources that a filtered stream has sent and not taken back.
pub struct Members {
    known: HashSet<Box<str>>,
    /// After a resume it is unknown what was sent before, but for these: they have been found not to
    /// match since. None on a stream that was not resumed.
    unmatched: Option<HashSet<Box<str>>>,
}

impl Members {
    /// None yet; `resumed` if the reader may know some from before.
    pub fn new(resumed: bool) -> Self {
        Self {
            known: HashSet::new(),
            unmatched: resumed.then(HashSet::new),
        }
    }

    /// Adds one.
    ///
    /// # Errors
    /// WATCH_TOO_WIDE.
    pub fn add(&mut self, id: &str) -> Result<()> {
        if self.known.contains(id) {
            return Ok(());
        }
        if self.known.len() >= limits::WATCH_MEMBERS_MAX {
            return Err(too_wide());
        }
        self.known.insert(id.into());
        Ok(())
    }

    /// Takes out what does not have the topic of the stream. Whether its reader has been sent it, or may
    /// have been before the resume. Whose else it was is nobody's business here.
    fn remove_from_topic(&mut self, entry: &Entry, topic: &str) -> bool {
        let resumed = self.unmatched.is_some();
        let left = entry.left_topic.as_deref() == Some(topic);
        self.known.remove(&entry.id) || (resumed && left)
    }

    /// Takes out what does not match the filter of the stream. Whether its reader has been sent it, or
    /// may have been before the resume.
    fn remove_from_filter(&mut self, entry: &Entry) -> bool {
        let was_known = self.known.remove(&entry.id);
        let Some(unmatched) = &mut self.unmatched else {
            return was_known;
        };
        let first = !unmatched.contains(&entry.id);
        // Beyond what is kept nobody knows, and it is told again.
        if first && unmatched.len() < limits::WATCH_MEMBERS_MAX {
            unmatched.insert(entry.id.clone());
        }
        // What is new cannot have matched before.
        was_known || (first && entry.version > 1)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }
}

impl Watch {
    /// Puts a change into the outbox if this stream is to be sent it.
    pub(super) fn consider(&mut self, entry: Arc<Entry>) -> Result<()> {
        if !entry.position.is_after(self.position) {
            return Ok(());
        }
        let before = self.position;
        self.position = entry.position;
        if self.is_overlapped(&entry) {
            return Ok(());
        }
        if let Some(sending) = self.judge(&entry, self.clock.now())? {
            self.note_in_snapshot(&entry);
            self.put(entry, sending, before);
        }
        Ok(())
    }

    fn put(&mut self, entry: Arc<Entry>, sending: Sending, before: crate::feed::Position) {
        let id = entry.id.clone();
        let outgoing = Outgoing {
            entry,
            sending,
            before,
            conflated: 0,
        };
        self.outbox.put(id, outgoing);
    }

    /// What a change means to this stream at a time; None if nothing.
    fn judge(&mut self, entry: &Arc<Entry>, now: i64) -> Result<Option<Sending>> {
        if matches!(self.scope, Scope::Ids(_)) && !self.ids.contains(&*entry.id) {
            return Ok(None);
        }
        if self.members.is_none() {
            return Ok(Some(Sending::Whole));
        }
        let decoded = entry.decoded(self.resource).cloned();
        let mut matches = decoded.is_some();
        match &decoded {
            Some(decoded) => {
                matches = self.matches_at(now, entry, &**decoded)?;
                if let Scope::Topic(topic) = &self.scope {
                    matches = matches && decoded.topics().contains(topic);
                }
            }
            None => self.timed.remove(&entry.id),
        }
        let Some(members) = &mut self.members else {
            return Ok(None);
        };
        if matches {
            members.add(&entry.id)?;
            return Ok(Some(Sending::Whole));
        }
        let left = match &self.scope {
            Scope::Topic(topic) => members.remove_from_topic(entry, topic),
            Scope::All | Scope::Ids(_) => members.remove_from_filter(entry),
        };
        if !left {
            return Ok(None);
        }
        if entry.deleted {
            return Ok(Some(Sending::Whole));
        }
        let told = self.feed.0.settings.plant.tells_leaving();
        Ok(told.then_some(Sending::Left))
    }

    /// Whether a resource matches the filter at a time; notes when that changes by the clock.
    pub(super) fn matches_at(
        &mut self,
        now: i64,
        entry: &Arc<Entry>,
        decoded: &dyn Decoded,
    ) -> Result<bool> {
        let Some(filter) = &self.filter else {
            return Ok(true);
        };
        match filter.next_flip(decoded, now) {
            Some(flip) => {
                self.timed.insert(Arc::clone(entry), flip);
                if self.timed.len() > limits::WATCH_MEMBERS_MAX {
                    return Err(too_wide());
                }
            }
            None => self.timed.remove(&entry.id),
        }
        Ok(filter.matches(decoded, now))
    }

    /// When the clock changes a match. Not before a snapshot is whole, of which that is a part.
    pub(super) fn next_flip(&self) -> Option<i64> {
        match self.phase {
            Phase::Snapshot(_) => None,
            _ => self.timed.next(),
        }
    }

    /// Judges again what the clock has changed.
    pub(super) fn flip_timed(&mut self) -> Result<()> {
        let now = self.clock.now();
        if self.next_flip().is_none_or(|flip| flip > now) {
            return Ok(());
        }
        while let Some(entry) = self.timed.take_due(now) {
            let members = self.members.as_ref();
            let known = members.is_some_and(|members| members.known.contains(&entry.id));
            // By the same time: with one that was set back since, it would be due for ever.
            if let Some(sending) = self.judge(&entry, now)?
                && known != matches!(sending, Sending::Whole)
            {
                self.put(entry, sending, self.position);
            }
        }
        self.flush();
        Ok(())
    }
}

/// The filter of a stream matches more than it keeps.
fn too_wide() -> Error {
    Error::exhausted(
        ErrorReason::WatchTooWide,
        "too many resources match the filter of the watch",
    )
    .with("limit", limits::WATCH_MEMBERS_MAX.to_string())
}
