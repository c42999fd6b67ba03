//! The snapshot of a stream: pages of rows, each read in a transaction of its own, so that no slow
//! reader holds one open.
//!
//! What changed between the pages is repaired from the log before the snapshot is called whole: all
//! changes after the first page's position are sent, except those that a row already showed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;

use super::{Frame, Overlap, Phase, Signal, Watch, too_wide};
use crate::error::{Error, Result};
use crate::feed::entry::{Element, Entry};
use crate::feed::history;
use crate::feed::position::Position;
use crate::feed::resource::{PageQuery, Row, Scope};
use crate::feed::watch::outbox::{MESSAGE_BYTES, MESSAGE_CHANGES};
use crate::filter::Filter;
use crate::limits;
use crate::proto::pb::{self, snapshot_begin::Cause};

/// Rows that are read at once.
const PAGE_ROWS: i64 = 200;

/// How far a snapshot is.
pub struct Snapshot {
    cause: Cause,
    begun: bool,
    after: Option<String>,
    count: i64,
    pages: u32,
}

impl Snapshot {
    /// A snapshot that has not begun.
    pub fn new(cause: Cause) -> Self {
        Self {
            cause,
            begun: false,
            after: None,
            count: 0,
            pages: 0,
        }
    }
}

struct Page {
    rows: Vec<Row>,
    end: Position,
    /// Changes of transactions before this one may show in the rows.
    until: (i64, i64),
    /// Whether rows may be newer than `end`.
    newer: bool,
}

impl Watch {
    /// Puts the next part of the snapshot into messages.
    pub(super) async fn snapshot_step(&mut self) -> Result<()> {
        let Phase::Snapshot(snapshot) = &mut self.phase else {
            return Ok(());
        };
        if !snapshot.begun {
            snapshot.begun = true;
            let cause = snapshot.cause.into();
            let begin = Signal::SnapshotBegin(pb::SnapshotBegin { cause });
            self.ready.push_back(Frame::new(vec![begin.encode()]));
        }
        let (after, pages) = (snapshot.after.clone(), snapshot.pages);
        let page = self.read_page(after).await?;
        if pages == 0 {
            self.position = page.end;
        }
        if pages > 0 || page.newer {
            let known = self.overlap.get_or_insert_with(|| Overlap {
                versions: HashMap::new(),
                until: page.until,
            });
            known.until = known.until.max(page.until);
            let sent = page
                .rows
                .iter()
                .map(|row| (row.id.as_str().into(), row.version));
            known.versions.extend(sent);
        }
        let whole = i64::try_from(page.rows.len()).unwrap_or(i64::MAX) < PAGE_ROWS;
        let last = page.rows.last().map(|row| row.id.clone());
        let sent = self.send_rows(page.rows)?;
        if let Phase::Snapshot(snapshot) = &mut self.phase {
            snapshot.count += sent;
            snapshot.pages += 1;
            snapshot.after = last.or(snapshot.after.take());
        }
        if whole {
            self.finish_snapshot(page.end).await
        } else {
            Ok(())
        }
    }

    async fn read_page(&self, after: Option<String>) -> Result<Page> {
        let by_clock = self
            .filter
            .as_ref()
            .is_some_and(|filter| filter.uses_clock());
        let query = PageQuery {
            shop: Arc::clone(&self.shop),
            scope: self.scope.clone(),
            // What does not match now may match later: all rows have to be looked at.
            filter: if by_clock { None } else { self.filter.clone() },
            now: self.feed.0.store.clock().now(),
            after,
            limit: PAGE_ROWS,
        };
        let resource = self.resource;
        let _turn = self
            .feed
            .0
            .readers
            .acquire()
            .await
            .map_err(Error::internal)?;
        let read = self.feed.0.store.snapshot(|conn| {
            async move {
                let end = history::end(conn).await?;
                let (xmin, xmax) = history::bounds(conn).await?;
                let rows = resource.page(conn, query).await?;
                let until = if xmax == 0 {
                    end.key()
                } else {
                    (xmax, i64::MAX)
                };
                Ok(Page {
                    rows,
                    end,
                    until,
                    newer: xmin != xmax,
                })
            }
            .boxed()
        });
        read.await
    }

    fn send_rows(&mut self, rows: Vec<Row>) -> Result<i64> {
        let by_clock = self.filter.clone().filter(|filter| filter.uses_clock());
        let mut pieces: Vec<Bytes> = Vec::new();
        let (mut changes, mut bytes, mut count) = (0, 0, 0);
        for row in rows {
            if let Some(filter) = &by_clock
                && !self.matches_now(filter, &row)?
            {
                continue;
            }
            if let Some(members) = &mut self.members {
                if members.known.len() >= limits::WATCH_MEMBERS_MAX {
                    return Err(too_wide());
                }
                members.known.insert(row.id.as_str().into());
            }
            if matches!(self.scope, Scope::Topic(_)) {
                self.source.follow(&row.id);
            }
            let element = Element::snapshot(self.resource, &row.id, row.version, &row.body);
            if changes >= MESSAGE_CHANGES || bytes + element.len() > MESSAGE_BYTES {
                self.ready
                    .push_back(Frame::new(std::mem::take(&mut pieces)));
                (changes, bytes) = (0, 0);
            }
            (changes, bytes, count) = (changes + 1, bytes + element.len(), count + 1);
            element.append_to(&mut pieces);
        }
        if !pieces.is_empty() {
            self.ready.push_back(Frame::new(pieces));
        }
        Ok(count)
    }

    /// Whether a row matches at this moment; notes when that changes by the clock.
    fn matches_now(&mut self, filter: &Filter, row: &Row) -> Result<bool> {
        let entry = Entry::of_row(self.resource, self.position, row)?;
        let Some(decoded) = entry.decoded(self.resource) else {
            return Ok(false);
        };
        let now = self.feed.0.store.clock().now();
        let matches = filter.matches(&**decoded, now);
        if let Some(flip) = filter.next_flip(&**decoded, now) {
            if self.timed.len() >= limits::WATCH_MEMBERS_MAX {
                return Err(too_wide());
            }
            self.timed
                .insert(row.id.as_str().into(), (Arc::new(entry), flip));
        }
        Ok(matches)
    }

    /// Sends what changed while the pages were read, then says that the state is whole.
    async fn finish_snapshot(&mut self, end: Position) -> Result<()> {
        while end.is_after(self.position) && self.read_log().await? {}
        let Phase::Snapshot(Snapshot { count, .. }) = self.phase else {
            return Ok(());
        };
        self.outbox.expedite_once();
        self.flush();
        self.push_signal(&Signal::SnapshotEnd(pb::SnapshotEnd { count }));
        self.phase = Phase::CatchUp;
        Ok(())
    }
}
