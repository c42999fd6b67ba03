//! Reads of a stream from the database, and the messages made from them.
//!
//! Invariant: each read runs in a task of its own ([`Apart`]), including the wait for its turn. A stream
//! whose client does not read holds no connection, no turn and no transaction.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt as _;

use super::{Phase, Watch, overlap};
use crate::caller::Turns;
use crate::error::{Error, Result};
use crate::feed::Feed;
use crate::feed::apart::Apart;
use crate::feed::entry::Entry;
use crate::feed::history::{self, LogRow};
use crate::feed::progress::Progress;
use crate::feed::resource::{PageQuery, Resource, Row, Rows, Scope};
use crate::proto::pb::{ErrorReason, snapshot_begin::Cause};
use crate::revision::Position;

/// The most rows of a snapshot that are read at once.
const PAGE_ROWS: i64 = 200;
/// The most rows of the log that are read at once.
const LOG_ROWS: i64 = 500;

/// A read that is under way.
pub type Reading = Apart<Read>;

/// The result of a read.
pub enum Read {
    /// History continues after the position of a token.
    Resumed(Resumed),
    /// A page of a snapshot.
    Page(Page),
    /// A page of the change log.
    Log(Log),
    /// Resources whose match the clock has changed.
    Due(Due),
}

/// The state of a stream that resumes, beside its position.
pub struct Resumed {
    /// Where history continues.
    pub progress: Progress,
    /// Resources that may have the topic of the stream.
    pub followed: Vec<String>,
    /// The position up to which the log was complete at that moment.
    pub end: Position,
}

/// Rows of a snapshot, as of one moment.
pub struct Page {
    pub rows: Vec<Row>,
    /// The id after which the next page begins; None if this is the last.
    pub next: Option<String>,
    /// The position up to which the log was complete at that moment.
    pub end: Position,
    /// The furthest change that may show in the rows; not before `end`.
    pub seen: Position,
    /// Resources that would be in this page, changed after `end` and are not in it: with the last version
    /// that was committed when the page was read.
    pub gone: Vec<(String, i64)>,
}

/// Rows of the change log.
pub struct Log {
    pub rows: Vec<LogRow>,
    /// Whether there may be more.
    pub full: bool,
    /// The position up to which the log had been handed to the channels before.
    pub handed: Position,
}

/// Resources that are to be evaluated again, in their present state.
pub struct Due {
    /// The version of each that the stream evaluates.
    pub versions: HashMap<Box<str>, i64>,
    /// The rows that exist, if they could be read.
    pub rows: Result<Vec<Row>>,
}

impl Watch {
    pub(super) fn take_read(&mut self, read: Result<Read>) -> Result<()> {
        let taken = read.and_then(|read| match read {
            Read::Resumed(resumed) => self.take_resumed(&resumed),
            Read::Page(page) => self.take_page(page),
            Read::Log(log) => self.take_log(log),
            Read::Due(due) => self.take_due(due),
        });
        if let Err(error) = taken {
            let cause = self.reset_cause(error)?;
            self.begin_snapshot(cause);
        }
        Ok(())
    }

    fn take_resumed(&mut self, resumed: &Resumed) -> Result<()> {
        self.position = resumed.progress.up_to;
        self.seen = resumed.progress.seen;
        self.follow(resumed.followed.iter().map(String::as_str), resumed.end);
        self.phase = Phase::CatchUp;
        Ok(())
    }

    /// Follows the resources that had the stream's topic at the moment at which the log ended at `end`.
    pub(super) fn follow<'a>(&mut self, ids: impl Iterator<Item = &'a str>, end: Position) {
        if !matches!(self.scope, Scope::Topic(_)) {
            return;
        }
        for id in ids {
            self.source.follow(id);
        }
        // They may have left the topic before they were followed: that is read from the log.
        for floor in [end, self.feed.0.hub.floor()] {
            if floor.is_after(self.floor) {
                self.floor = floor;
            }
        }
    }

    /// Puts a page of the log into the outbox, and the due changes into messages.
    fn take_log(&mut self, log: Log) -> Result<()> {
        let Log { rows, full, handed } = log;
        let end = rows.last().map(LogRow::position);
        for row in rows {
            if self.may_concern(&row) {
                self.consider(Arc::new(Entry::of_log(self.resource, row)?))?;
            }
        }
        self.move_to(end.unwrap_or(self.position));
        if !full {
            self.move_to(handed);
        }
        self.flush();
        if end.is_none() {
            self.repair_ended();
        }
        Ok(())
    }

    fn may_concern(&self, row: &LogRow) -> bool {
        *row.shop_id == *self.shop
            && row.kind == self.resource.kind().number()
            && (!matches!(self.scope, Scope::Ids(_)) || self.ids.contains(&row.resource_id))
    }

    /// The cause of a new snapshot, if the reader asked for one instead of an error about history.
    pub(super) fn reset_cause(&self, error: Error) -> Result<Cause> {
        match error.reason() {
            ErrorReason::ResumeTokenExpired if self.options.reset => Ok(Cause::TokenExpired),
            ErrorReason::StoreEpochChanged if self.options.reset => Ok(Cause::EpochChanged),
            _ => Err(error),
        }
    }

    /// The query for a page of the stream's resources.
    pub(super) fn query(&self, after: Option<String>) -> PageQuery {
        // The clock may let rows match later that it excludes now, so the page includes them.
        let filter = self.filter.as_ref().map(|filter| {
            if filter.uses_clock() {
                Arc::new(filter.filter().timeless())
            } else {
                Arc::clone(filter.filter())
            }
        });
        PageQuery {
            shop: Arc::clone(&self.shop),
            scope: self.scope.clone(),
            filter,
            now: self.clock.now(),
            after,
            limit: PAGE_ROWS,
        }
    }
}

/// Checks that history continues where the reader is. For a stream with a topic, `topic` is the query for the
/// resources that have it.
pub fn resume(
    feed: &Feed,
    turns: &Arc<Turns>,
    resource: &'static dyn Resource,
    progress: Progress,
    topic: Option<PageQuery>,
) -> Reading {
    let (feed, turns) = (feed.clone(), Arc::clone(turns));
    Apart::start(async move {
        let _turn = feed.turn(&turns).await?;
        let order = feed.0.fault.order();
        let checks = feed.0.fault.checks_history();
        let read = feed.0.store.snapshot(|conn| {
            async move {
                if checks {
                    history::check(conn, progress).await?;
                }
                let Some(query) = topic else {
                    return Ok((progress.up_to, Vec::new()));
                };
                // A resource that had the topic when the token was made may have left it since. The log up to
                // its end says so, or a change that is held back will.
                let end = history::end(conn, order).await?;
                let shop = Arc::clone(&query.shop);
                let held_back = history::held_back(conn, &shop, resource.kind()).await?;
                let page = resource.page(conn, query).await?;
                let ids = held_back.into_iter().map(|(id, _)| id);
                Ok((
                    end,
                    ids.chain(page.rows.into_iter().map(|row| row.id)).collect(),
                ))
            }
            .boxed()
        });
        let (end, followed) = read.await?;
        feed.0.hub.note_ahead(progress.seen);
        feed.0.hub.note_ahead(end);
        Ok(Read::Resumed(Resumed {
            progress,
            followed,
            end,
        }))
    })
}

/// Reads a page of a snapshot.
pub fn page(
    feed: &Feed,
    turns: &Arc<Turns>,
    resource: &'static dyn Resource,
    query: PageQuery,
) -> Reading {
    let (feed, turns) = (feed.clone(), Arc::clone(turns));
    Apart::start(async move {
        let _turn = feed.turn(&turns).await?;
        let order = feed.0.fault.order();
        let read = feed.0.store.snapshot(|conn| {
            async move {
                let end = history::end(conn, order).await?;
                let (shop, after) = (Arc::clone(&query.shop), query.after.clone());
                let furthest = history::furthest_held_back(conn, order, &shop).await?;
                let page = resource.page(conn, query).await?;
                let gone = match furthest {
                    Some(_) => {
                        let changed = history::held_back(conn, &shop, resource.kind()).await?;
                        overlap::gone(changed, after.as_deref(), &page)
                    }
                    None => Vec::new(),
                };
                let Rows { rows, next } = page;
                Ok(Page {
                    rows,
                    next,
                    end,
                    seen: furthest.unwrap_or(end),
                    gone,
                })
            }
            .boxed()
        });
        let mut page = read.await?;
        feed.0.hub.note_ahead(page.end);
        feed.0.hub.note_ahead(page.seen);
        if let Some(barrier) = feed.0.fault.late_position() {
            barrier.wait().await;
            barrier.wait().await;
            let end = feed.0.store.read(|conn| history::end(conn, order).boxed());
            page.end = end.await?;
        }
        Ok(Read::Page(page))
    })
}

/// Reads the change log after a position.
pub fn log(feed: &Feed, turns: &Arc<Turns>, after: Position) -> Reading {
    let (feed, turns) = (feed.clone(), Arc::clone(turns));
    Apart::start(async move {
        let _turn = feed.turn(&turns).await?;
        // The read below finds everything that has been handed to the channels by now.
        let handed = feed.0.hub.position();
        let order = feed.0.fault.order();
        let checks = feed.0.fault.checks_history();
        let read = feed.0.store.read(|conn| {
            async move {
                if checks {
                    history::follow(conn, order, after, LOG_ROWS).await
                } else {
                    history::page(conn, order, after, LOG_ROWS).await
                }
            }
            .boxed()
        });
        let rows = read.await?;
        if let Some(last) = rows.last() {
            feed.0.hub.note_ahead(last.position());
        }
        let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= LOG_ROWS;
        Ok(Read::Log(Log { rows, full, handed }))
    })
}

/// Reads the present state of resources; `versions` are those that a stream knows.
pub fn due(
    feed: &Feed,
    turns: &Arc<Turns>,
    resource: &'static dyn Resource,
    shop: Arc<str>,
    versions: HashMap<Box<str>, i64>,
) -> Reading {
    let (feed, turns) = (feed.clone(), Arc::clone(turns));
    Apart::start(async move {
        let _turn = feed.turn(&turns).await?;
        let query = PageQuery {
            shop,
            scope: Scope::Ids(versions.keys().map(ToString::to_string).collect()),
            filter: None,
            now: feed.clock().now(),
            after: None,
            limit: i64::try_from(versions.len()).unwrap_or(i64::MAX),
        };
        let rows = feed.0.store.read(|conn| resource.page(conn, query));
        let rows = rows.await.map(|page| page.rows);
        Ok(Read::Due(Due { versions, rows }))
    })
}
