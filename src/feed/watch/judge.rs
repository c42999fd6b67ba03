//! What a change means to a stream: whether it is sent, as what, or not at all.
//!
//! A stream with a filter or an owner remembers what it has sent and not taken back, so that it can tell
//! what leaves; what matches only for a time is judged again when that is over.

use std::sync::Arc;

use super::Watch;
use super::outbox::{Outgoing, Sending};
use crate::error::{Error, Result};
use crate::feed::entry::Entry;
use crate::feed::resource::Scope;
use crate::limits;
use crate::proto::pb::ErrorReason;

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
        if let Some(sending) = self.judge(&entry)? {
            let id = entry.id.clone();
            self.outbox.put(
                id,
                Outgoing {
                    entry,
                    sending,
                    before,
                    conflated: 0,
                },
            );
        }
        Ok(())
    }

    fn is_overlapped(&mut self, entry: &Entry) -> bool {
        let Some(overlap) = &self.overlap else {
            return false;
        };
        if entry.position.key() > overlap.until {
            self.overlap = None;
            return false;
        }
        overlap
            .versions
            .get(&*entry.id)
            .is_some_and(|sent| entry.version <= *sent)
    }

    /// What a change means to this stream; None if nothing.
    fn judge(&mut self, entry: &Arc<Entry>) -> Result<Option<Sending>> {
        if matches!(self.scope, Scope::Ids(_)) && !self.ids.contains(&*entry.id) {
            return Ok(None);
        }
        let Some(members) = &mut self.members else {
            return Ok(Some(Sending::Whole));
        };
        let decoded = entry.decoded(self.resource);
        let mut matches = decoded.is_some();
        if let (Some(filter), Some(decoded)) = (&self.filter, decoded) {
            let now = self.feed.0.store.clock().now();
            matches = filter.matches(&**decoded, now);
            match filter.next_flip(&**decoded, now) {
                Some(flip) => {
                    self.timed
                        .insert(entry.id.clone(), (Arc::clone(entry), flip));
                }
                None => drop(self.timed.remove(&entry.id)),
            }
        } else {
            self.timed.remove(&entry.id);
        }
        if let (Scope::Topic(topic), Some(decoded)) = (&self.scope, decoded) {
            matches = matches && decoded.topics().contains(topic);
        }
        if matches {
            if members.known.len() >= limits::WATCH_MEMBERS_MAX {
                return Err(too_wide());
            }
            if members.known.insert(entry.id.clone()) && matches!(self.scope, Scope::Topic(_)) {
                self.source.follow(&entry.id);
            }
            return Ok(Some(Sending::Whole));
        }
        let was_member = members.known.remove(&entry.id);
        if matches!(self.scope, Scope::Topic(_)) {
            self.source.unfollow(&entry.id);
        }
        if !was_member && !members.unknown_before {
            return Ok(None);
        }
        Ok(Some(if entry.deleted {
            Sending::Whole
        } else {
            Sending::Left
        }))
    }

    /// Judges again what the clock may have changed.
    pub(super) fn flip_timed(&mut self) -> Result<()> {
        let now = self.feed.0.store.clock().now();
        let due: Vec<Arc<Entry>> = self
            .timed
            .values()
            .filter(|(_, flip)| *flip <= now)
            .map(|(entry, _)| Arc::clone(entry))
            .collect();
        for entry in due {
            let known = self
                .members
                .as_ref()
                .is_some_and(|m| m.known.contains(&entry.id));
            if let Some(sending) = self.judge(&entry)?
                && known != matches!(sending, Sending::Whole)
            {
                let (id, before) = (entry.id.clone(), self.position);
                self.outbox.put(
                    id,
                    Outgoing {
                        entry,
                        sending,
                        before,
                        conflated: 0,
                    },
                );
            }
        }
        Ok(())
    }
}

/// More resources match than a stream may remember.
pub(super) fn too_wide() -> Error {
    Error::exhausted(
        ErrorReason::WatchTooWide,
        "too many resources match the filter of the watch",
    )
    .with("limit", limits::WATCH_MEMBERS_MAX.to_string())
}
