//! The snapshot of a stream: pages of rows. Each page is read in a transaction of its own, so that no slow
//! reader holds one open.
//!
//! Changes between the pages are repaired from the log before the snapshot is complete. All changes after the
//! first page's position are sent, except those that a row already showed.

use bytes::Bytes;

use super::overlap::Overlap;
use super::reading::{self, Page};
use super::{Phase, Watch};
use crate::error::Result;
use crate::feed::entry::{Element, Entry};
use crate::feed::frame::Signal;
use crate::feed::resource::Row;
use crate::feed::shared_filter::Shared;
use crate::feed::watch::classify::Members;
use crate::feed::watch::outbox::{MESSAGE_BYTES, MESSAGE_CHANGES};
use crate::proto::pb::{self, snapshot_begin::Cause};
use crate::revision::Position;

/// The progress of a snapshot.
pub struct Snapshot {
    cause: Option<Cause>,
    /// The time of the request. Changes of matches by the clock since then are sent after it.
    time: i64,
    begun: bool,
    after: Option<String>,
    /// The position up to which the log has to be read after the last page; None before.
    end: Option<Position>,
}

impl Snapshot {
    pub fn new(cause: Cause, time: i64) -> Self {
        Self {
            cause: Some(cause),
            ..Self::unsent(time)
        }
    }

    /// Creates a snapshot that is not sent. It is read for the resources that the clock will make match.
    pub fn unsent(time: i64) -> Self {
        Self {
            cause: None,
            time,
            begun: false,
            after: None,
            end: None,
        }
    }

    /// Why it is sent; None if it is not sent.
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }
}

impl Watch {
    /// Begins a snapshot in place of the present phase.
    pub(super) fn begin_snapshot(&mut self, cause: Cause) {
        self.outbox.clear();
        self.overlap = None;
        self.seen = Position::ORIGIN;
        self.timed.clear();
        if let Some(members) = &mut self.members {
            *members = Members::new(false);
        }
        self.phase = Phase::Snapshot(Snapshot::new(cause, self.clock.now()));
    }

    /// Advances the snapshot. Returns false if something has to be read first.
    pub(super) fn advance_snapshot(&mut self) -> bool {
        let Phase::Snapshot(snapshot) = &mut self.phase else {
            return true;
        };
        if !snapshot.begun {
            snapshot.begun = true;
            if let Some(cause) = snapshot.cause {
                let cause = cause.into();
                self.push_signal(&Signal::SnapshotBegin(pb::SnapshotBegin { cause }));
            }
            return true;
        }
        match snapshot.end {
            None => {
                let after = snapshot.after.clone();
                let query = self.query(after);
                self.reading = Some(reading::page(&self.feed, &self.turns, self.resource, query));
                false
            }
            Some(end) if end.is_after(self.position) => {
                self.reading = Some(reading::log(&self.feed, &self.turns, self.position));
                false
            }
            Some(_) => {
                self.finish_snapshot();
                true
            }
        }
    }

    /// Puts a page of the snapshot into messages.
    pub(super) fn take_page(&mut self, page: Page) -> Result<()> {
        let Page {
            rows,
            next,
            end,
            seen,
            gone,
        } = page;
        let Phase::Snapshot(snapshot) = &mut self.phase else {
            return Ok(());
        };
        let (first, time) = (snapshot.after.is_none(), snapshot.time);
        match next {
            Some(after) => snapshot.after = Some(after),
            None => snapshot.end = Some(end),
        }
        if first {
            self.position = end;
        }
        self.seen = self.seen.or_further(seen);
        let overlap = self.overlap.get_or_insert_default();
        for row in &rows {
            overlap.add_held(&row.id, row.version);
        }
        for (id, version) in gone {
            overlap.add_gone(&id, version);
        }
        self.follow(rows.iter().map(|row| row.id.as_str()), end);
        self.send_rows(rows, time)
    }

    fn send_rows(&mut self, rows: Vec<Row>, time: i64) -> Result<()> {
        let by_clock = self.filter.as_ref().is_some_and(Shared::uses_clock);
        let sent = self.is_amid_snapshot();
        let mut pieces: Vec<Bytes> = Vec::new();
        let (mut changes, mut bytes) = (0, 0);
        for row in rows {
            if by_clock && !self.row_matches(&row, time)? {
                continue;
            }
            if let Some(members) = &mut self.members {
                members.add(&row.id)?;
            }
            if !sent {
                continue;
            }
            let element = Element::snapshot(self.resource, &row.id, row.version, &row.body);
            if changes >= MESSAGE_CHANGES || bytes + element.len() > MESSAGE_BYTES {
                self.push(std::mem::take(&mut pieces), None);
                (changes, bytes) = (0, 0);
            }
            (changes, bytes) = (changes + 1, bytes + element.len());
            element.append_to(&mut pieces);
        }
        if !pieces.is_empty() {
            self.push(pieces, None);
        }
        Ok(())
    }

    fn row_matches(&mut self, row: &Row, time: i64) -> Result<bool> {
        let entry = Entry::of_row(self.resource, self.position, row)?;
        match entry.decoded(self.resource).cloned() {
            Some(decoded) => self.matches_at(time, &entry, &*decoded),
            None => Ok(false),
        }
    }

    /// Whether the snapshot includes this change.
    pub(super) fn is_overlapped(&mut self, entry: &Entry) -> bool {
        let Some(overlap) = &self.overlap else {
            return false;
        };
        let over = entry.position.is_after(self.seen);
        if over && !matches!(self.phase, Phase::Snapshot(_)) {
            self.overlap = None;
            return false;
        }
        overlap.includes(entry)
    }

    /// Updates the snapshot with a change that is sent within it.
    pub(super) fn note_in_snapshot(&mut self, entry: &Entry) {
        if let (Phase::Snapshot(_), Some(overlap)) = (&self.phase, &mut self.overlap) {
            overlap.note(entry);
        }
    }

    /// Completes a snapshot that waited for the rest of the log, because the log has no more.
    pub(super) fn repair_ended(&mut self) {
        if let Phase::Snapshot(snapshot) = &mut self.phase {
            snapshot.end = Some(self.position);
        }
    }

    /// Sends that the snapshot is complete. The changes between its pages have been sent.
    fn finish_snapshot(&mut self) {
        let sent = self.is_amid_snapshot();
        self.outbox.expedite_once();
        self.flush();
        self.phase = Phase::CatchUp;
        let shown = self.overlap.as_ref().map_or(0, Overlap::held);
        let held = self.members.as_ref().map_or(shown, Members::len);
        if !self.seen.is_after(self.position) {
            self.overlap = None;
        }
        if sent {
            let count = i64::try_from(held).unwrap_or(i64::MAX);
            self.push_signal(&Signal::SnapshotEnd(pb::SnapshotEnd { count }));
        }
    }
}
