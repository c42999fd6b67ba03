//! Whether a stream sends a change, and in which form.

use std::collections::HashSet;
use std::sync::Arc;

use tonic::Code;

use super::outgoing::{Outgoing, Sending};
use super::reading::{self, Due};
use super::{Phase, Watch};
use crate::error::{Error, Result};
use crate::feed::entry::Entry;
use crate::feed::resource::{Decoded, Scope};
use crate::limits;
use crate::proto::pb::ErrorReason;

/// The most resources that are read at once because of the clock.
const DUE_ROWS: usize = 200;
/// The delay in microseconds until they are read again, if the database was not available.
const DUE_RETRY: i64 = 1_000_000;

/// The resources that a filtered stream has sent and not taken back.
pub struct Members {
    known: HashSet<Box<str>>,
    /// After a resume it is unknown which resources were sent before. These were found not to match since.
    /// None on a stream that was not resumed.
    unmatched: Option<HashSet<Box<str>>>,
}

impl Members {
    /// Creates an empty set; `resumed` if the reader may know some resources from before.
    pub fn new(resumed: bool) -> Self {
        Self {
            known: HashSet::new(),
            unmatched: resumed.then(HashSet::new),
        }
    }

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

    /// Removes a resource that left the stream's topic. Returns whether the reader was sent it, or may have
    /// been before the resume. Its other owners do not matter here.
    fn remove_from_topic(&mut self, entry: &Entry, topic: &str) -> bool {
        let resumed = self.unmatched.is_some();
        let left = entry.left_topic.as_deref() == Some(topic);
        self.known.remove(&entry.id) || (resumed && left)
    }

    /// Removes a resource that does not match the stream's filter. Returns whether the reader was sent it, or
    /// may have been before the resume. `seen` is whether the reader was among its audience before the
    /// change.
    fn remove_from_filter(&mut self, entry: &Entry, seen: bool) -> bool {
        let was_known = self.known.remove(&entry.id);
        let Some(unmatched) = &mut self.unmatched else {
            return was_known;
        };
        let first = !unmatched.contains(&entry.id);
        // Beyond the limit the set does not remember, and the leaving is sent again.
        if first && unmatched.len() < limits::WATCH_MEMBERS_MAX {
            unmatched.insert(entry.id.clone());
        }
        // A new resource cannot have matched before.
        was_known || (first && seen && entry.version > 1)
    }

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
        if let Some(sending) = self.classify(&entry, self.clock.now())? {
            self.note_in_snapshot(&entry);
            self.put(entry, sending, before);
        }
        Ok(())
    }

    fn put(&mut self, entry: Arc<Entry>, sending: Sending, before: crate::revision::Position) {
        let id = entry.id.clone();
        let outgoing = Outgoing {
            entry,
            sending,
            before,
            conflated: 0,
        };
        self.outbox.put(id, outgoing);
    }

    /// Decides how this stream sends a change, as of a time; None if it does not.
    fn classify(&mut self, entry: &Arc<Entry>, now: i64) -> Result<Option<Sending>> {
        if matches!(self.scope, Scope::Ids(_)) && !self.ids.contains(&*entry.id) {
            return Ok(None);
        }
        if self.members.is_none() {
            return Ok(Some(Sending::Whole));
        }
        if entry.is_undecodable(self.resource) {
            let what = "a change cannot be decoded for filters";
            return Err(Error::corrupt("change_log", &entry.id, what));
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
        let seen = self.has_seen(entry, decoded.as_deref());
        let Some(members) = &mut self.members else {
            return Ok(None);
        };
        if matches {
            members.add(&entry.id)?;
            return Ok(Some(Sending::Whole));
        }
        let left = match &self.scope {
            Scope::Topic(topic) => members.remove_from_topic(entry, topic),
            Scope::All | Scope::Ids(_) => members.remove_from_filter(entry, seen),
        };
        if !left {
            return Ok(None);
        }
        if entry.deleted {
            return Ok(Some(Sending::Whole));
        }
        let sends = self.feed.0.fault.sends_leaving();
        Ok(sends.then_some(Sending::Left))
    }

    /// Whether the caller was among the audience of a resource before a change.
    fn has_seen(&self, entry: &Entry, after: Option<&dyn Decoded>) -> bool {
        let after = || after.and_then(Decoded::audience);
        let before = entry.left_topic.as_deref().or_else(after);
        !self.resource.is_owned() || before.is_some_and(|before| self.caller.is_among(before))
    }

    /// Whether a resource matches the filter at a time. Notes the time at which the clock changes that.
    pub(super) fn matches_at(
        &mut self,
        now: i64,
        entry: &Entry,
        decoded: &dyn Decoded,
    ) -> Result<bool> {
        let Some(filter) = &self.filter else {
            return Ok(true);
        };
        if filter.uses_clock() {
            match filter.filter().next_flip(decoded, now) {
                Some(flip) => {
                    self.timed.insert(&entry.id, entry.version, flip);
                    if self.timed.len() > limits::WATCH_MEMBERS_MAX {
                        return Err(too_wide());
                    }
                }
                None => self.timed.remove(&entry.id),
            }
        }
        Ok(filter.matches(decoded, now, &entry.verdicts))
    }

    /// The time at which the clock changes a match. None before a snapshot is complete, which includes those
    /// changes, and none during a read.
    pub(super) fn next_flip(&self) -> Option<i64> {
        match self.phase {
            _ if self.reading.is_some() => None,
            Phase::Snapshot(_) | Phase::Resume(_) => None,
            Phase::CatchUp | Phase::Live | Phase::Draining => self.timed.next(),
        }
    }

    /// Reads the resources that are due by the clock. The stream considers no change until it has evaluated
    /// them.
    pub(super) fn read_due(&mut self) {
        let now = self.clock.now();
        if self.next_flip().is_none_or(|flip| flip > now) {
            return;
        }
        let due = self.timed.take_due(now, DUE_ROWS);
        let shop = Arc::clone(&self.shop);
        self.reading = Some(reading::due(
            &self.feed,
            &self.turns,
            self.resource,
            shop,
            due,
        ));
    }

    /// Evaluates again the resources that are due by the clock. A resource that is newer or deleted by now
    /// has a change in the log ahead of the stream, and is left to that.
    pub(super) fn take_due(&mut self, due: Due) -> Result<()> {
        let Due { versions, rows } = due;
        let now = self.clock.now();
        let rows = match rows {
            // A stream that follows its channel outlives a short outage of the database.
            Err(error) if error.code() == Code::Unavailable => {
                for (id, version) in versions {
                    self.timed.insert(&id, version, now + DUE_RETRY);
                }
                return Ok(());
            }
            rows => rows?,
        };
        for row in rows {
            let version = versions.get(row.id.as_str()).copied();
            if version != Some(row.version) {
                continue;
            }
            let entry = Arc::new(Entry::of_row(self.resource, self.position, &row)?);
            let members = self.members.as_ref();
            let known = members.is_some_and(|members| members.known.contains(&entry.id));
            if let Some(sending) = self.classify(&entry, now)?
                && known != matches!(sending, Sending::Whole)
            {
                self.put(entry, sending, self.position);
            }
        }
        self.flush();
        Ok(())
    }
}

fn too_wide() -> Error {
    Error::exhausted(
        ErrorReason::WatchTooWide,
        "too many resources match the filter of the watch; narrow the filter",
    )
    .with("limit", limits::WATCH_MEMBERS_MAX.to_string())
}
