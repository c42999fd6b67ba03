//! Removes old history of the feed: rows older than the retention, or beyond the size limit.
//!
//! A step removes rows from the oldest on. A row that still records a request id only loses its payload, and
//! is removed when the id may be used again. The same transaction writes the progress to `store_meta`: a
//! stream that needs earlier rows is refused.
//!
//! Invariant: only rows below the horizon are touched, so no row can appear behind the point reached.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::handler::{Due, Handler};
use super::hold::Hold;
use super::model::{Job, JobKind, Step};
use crate::error::Result;
use crate::revision::Position;
use crate::store::{LockKey, Locks, Store, Tx};
use crate::{clock, limits};

mod sql;

use sql::{Measured, OldRow};

/// How often the log is measured.
const INTERVAL: Duration = Duration::from_secs(10);
/// The most rows that one step examines.
const ROWS: i64 = 200;
/// The most rows that are measured at a time.
const MEASURED_ROWS: i64 = 2_000;
/// The approximate bytes of a row beside its payload.
const ROW_BYTES: i64 = 250;
/// How much older than its retention history may get, so that one compaction removes many rows.
const SLACK_MAX: Duration = Duration::from_secs(3600);

/// How much history the feed keeps; the first limit that is reached applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    /// The age limit.
    pub retention: Duration,
    /// The size limit, approximately.
    pub max_bytes: u64,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self {
            retention: limits::FEED_RETENTION_DEFAULT,
            max_bytes: limits::FEED_BYTES_DEFAULT,
        }
    }
}

impl FeedLimits {
    fn retention(self) -> i64 {
        clock::micros(self.retention)
    }

    fn slack(self) -> i64 {
        clock::micros((self.retention / 20).min(SLACK_MAX))
    }

    fn max_bytes(self) -> i64 {
        i64::try_from(self.max_bytes).unwrap_or(i64::MAX)
    }

    /// The size at which a compaction for size stops.
    fn goal_bytes(self) -> i64 {
        self.max_bytes() / 100 * 95
    }
}

/// The limits that apply to a check or a step. While deletions by age are held back, only the size limit
/// applies.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    limits: FeedLimits,
    held: bool,
}

impl Bounds {
    fn retention(self) -> i64 {
        if self.held {
            i64::MAX
        } else {
            self.limits.retention()
        }
    }

    /// Rows that record a request id stay if they are younger than this.
    fn keep_ids_since(self, now: i64) -> i64 {
        if self.held {
            i64::MIN
        } else {
            now.saturating_sub(clock::micros(limits::REQUEST_ID_RETENTION))
        }
    }
}

/// The job of compaction.
#[derive(Clone, Debug, Default)]
pub struct Compact {
    limits: FeedLimits,
    hold: Hold,
}

impl Compact {
    /// Creates a compaction with these limits.
    #[must_use]
    pub fn to(limits: FeedLimits) -> Self {
        Self {
            limits,
            hold: Hold::default(),
        }
    }

    /// Lets `hold` hold back deletions by age.
    #[must_use]
    pub fn held_by(self, hold: Hold) -> Self {
        Self { hold, ..self }
    }

    async fn bounds(&self, store: &Store) -> Result<Bounds> {
        Ok(Bounds {
            limits: self.limits,
            held: self.hold.is_on(store).await?,
        })
    }

    async fn is_due(&self, store: &Store) -> Result<bool> {
        let measured = measure(store).await?;
        let now = store.clock().now();
        let bounds = self.bounds(store).await?;
        store
            .read(move |conn| {
                async move {
                    if measured.bytes > bounds.limits.max_bytes() {
                        return Ok(true);
                    }
                    if bounds.held {
                        return Ok(false);
                    }
                    let reached = sql::reached(conn).await?;
                    let oldest = sql::rows_after(conn, reached, 1).await?;
                    let oldest = oldest.first().map_or(now, |row| row.commit_time);
                    let emptied = sql::rows_through(conn, reached, 1).await?;
                    let emptied = emptied.first().map_or(now, |row| row.commit_time);
                    let limits = bounds.limits;
                    Ok(now - oldest > limits.retention() + limits.slack()
                        || emptied < bounds.keep_ids_since(now) - clock::micros(SLACK_MAX))
                }
                .boxed()
            })
            .await
    }
}

impl Handler for Compact {
    fn kind(&self) -> JobKind {
        JobKind::Compact
    }

    fn waits_for_writers(&self) -> bool {
        false
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }

    fn due<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<Vec<Due>>> {
        async move {
            let due = self.is_due(store).await?;
            Ok(due.then(|| Due::of_shop("")).into_iter().collect())
        }
        .boxed()
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            measure(store).await?;
            let now = store.clock().now();
            let data = (job.clone(), self.bounds(store).await?);
            store
                .write_job_with(lock(), data, move |tx, (job, bounds)| {
                    async move {
                        let step = match empty(tx, *bounds, now).await? {
                            0 => match remove(tx, *bounds, now).await? {
                                0 => Step::done(0),
                                gone => Step::more("", gone),
                            },
                            emptied => Step::more("", emptied),
                        };
                        job.advance(tx, now, &step).await?;
                        Ok(step)
                    }
                    .boxed()
                })
                .await
        }
        .boxed()
    }
}

/// Compaction and measuring run one after the other.
fn lock() -> Locks {
    Locks::none().and(LockKey::of("feed", "", ""))
}

/// Adds the size of the rows since the last measurement. Returns the bytes of the whole log.
async fn measure(store: &Store) -> Result<Measured> {
    loop {
        let (measured, new) = store
            .read(|conn| {
                async move {
                    let measured = sql::measured(conn).await?;
                    let new = sql::rows_after(conn, measured.through, MEASURED_ROWS).await?;
                    Ok((measured, new))
                }
                .boxed()
            })
            .await?;
        let Some(last) = new.last() else {
            return Ok(measured);
        };
        let full = i64::try_from(new.len()).unwrap_or(MEASURED_ROWS) == MEASURED_ROWS;
        let next = Measured {
            through: last.position(),
            bytes: measured.bytes + new.iter().map(size).sum::<i64>(),
        };
        let noted = store
            .write_job_with(lock(), (measured, next), |tx, (before, next)| {
                async move {
                    // Another replica may have been faster.
                    let same = sql::measured(tx).await? == *before;
                    if same {
                        sql::note_measured(tx, *next).await?;
                    }
                    Ok(same)
                }
                .boxed()
            })
            .await?;
        if noted && !full {
            return Ok(next);
        }
    }
}

fn size(row: &OldRow) -> i64 {
    row.bytes + ROW_BYTES
}

/// Continues after the rows that compaction has reached: removes or empties rows beyond the limits.
async fn empty(tx: &mut Tx, bounds: Bounds, now: i64) -> Result<i64> {
    let reached = sql::reached(tx).await?;
    let measured = sql::measured(tx).await?;
    let rows = sql::rows_after(tx, reached, ROWS).await?;
    let limits = bounds.limits;
    // A compaction for size goes somewhat below the limit.
    let too_many = measured.bytes > limits.max_bytes();
    let goal = if too_many {
        limits.goal_bytes()
    } else {
        limits.max_bytes()
    };
    let over = over(&rows, bounds.retention(), goal, measured, now);
    let Some(last) = over.last() else {
        return Ok(0);
    };
    let through = last.position();
    sql::empty_rows(tx, reached, through).await?;
    sql::delete_rows(tx, reached, through, bounds.keep_ids_since(now)).await?;
    sql::note_reached(tx, through).await?;
    let bytes = measured.bytes - over.iter().map(size).sum::<i64>();
    sql::note_measured(
        tx,
        Measured {
            bytes: bytes.max(0),
            ..measured
        },
    )
    .await?;
    Ok(i64::try_from(over.len()).unwrap_or(ROWS))
}

/// The leading rows that are too old or too many. Rows that are not measured yet are not touched.
fn over(rows: &[OldRow], retention: i64, goal: i64, measured: Measured, now: i64) -> &[OldRow] {
    let mut bytes = measured.bytes;
    let end = rows.iter().position(|row| {
        let goes = now - row.commit_time > retention || bytes > goal;
        bytes -= size(row);
        !goes || row.position().is_after(measured.through)
    });
    &rows[..end.unwrap_or(rows.len())]
}

/// Removes emptied rows whose request id may be used again.
async fn remove(tx: &mut Tx, bounds: Bounds, now: i64) -> Result<i64> {
    let reached = sql::reached(tx).await?;
    let keep_ids_since = bounds.keep_ids_since(now);
    let rows = sql::rows_through(tx, reached, ROWS).await?;
    let over = rows
        .iter()
        .take_while(|row| row.commit_time < keep_ids_since);
    let Some(last) = over.clone().last() else {
        return Ok(0);
    };
    sql::delete_rows(tx, Position::ORIGIN, last.position(), i64::MAX).await?;
    Ok(i64::try_from(over.count()).unwrap_or(ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: Measured = Measured {
        through: Position {
            xid: 9,
            seq: 9,
            mark: 0,
        },
        bytes: 4 * (ROW_BYTES + 50),
    };

    fn rows() -> Vec<OldRow> {
        (1..=4)
            .map(|n| OldRow {
                xid: 1,
                seq: n,
                mark: n,
                commit_time: n * 100,
                bytes: 50,
            })
            .collect()
    }

    #[test]
    fn rows_older_than_the_retention_are_removed() {
        let rows = rows();

        assert_eq!(over(&rows, 150, i64::MAX, MEASURED, 400).len(), 2);
        assert_eq!(over(&rows, 400, i64::MAX, MEASURED, 400).len(), 0);
    }

    #[test]
    fn rows_beyond_the_size_are_removed_oldest_first() {
        let rows = rows();
        let of_two = 2 * (ROW_BYTES + 50);

        assert_eq!(over(&rows, i64::MAX, of_two, MEASURED, 400).len(), 2);
        assert_eq!(over(&rows, i64::MAX, of_two + 1, MEASURED, 400).len(), 2);
        assert_eq!(over(&rows, i64::MAX, 0, MEASURED, 400).len(), 4);
    }

    #[test]
    fn rows_that_were_not_measured_stay() {
        let through = Position {
            xid: 1,
            seq: 1,
            mark: 0,
        };

        assert_eq!(
            over(
                &rows(),
                0,
                0,
                Measured {
                    through,
                    ..MEASURED
                },
                900
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_compaction_begins_late_and_goes_a_little_further() {
        let limits = FeedLimits {
            retention: Duration::from_secs(3 * 86_400),
            max_bytes: 1_000,
        };

        assert_eq!(limits.slack(), 3_600_000_000);
        assert_eq!(limits.goal_bytes(), 950);
    }
}
