//! The checks of either engine: the schema, the feed, the background work.

use serde_json::json;

use super::Measures;
use super::finding::{Finding, bytes, time};
use crate::clock::micros;
use crate::error::Error;
use crate::jobs::{JobKind, held_for};
use crate::store::{Conn, OpenError, schema as read_schema};
use crate::{limits, on};

/// The finding for a database that no server has used.
pub fn no_tables() -> Finding {
    Finding::warn("schema", "the database has no tables of Clientela yet")
        .advise("The first start of a server makes them.")
        .with(json!({"version": 0}))
}

/// Checks which schema the store has, and whether this release can read it.
pub async fn schema(conn: &mut Conn) -> Result<Vec<Finding>, OpenError> {
    const CHECK: &str = "schema";
    let schema = read_schema(conn).await?;
    let text = format!(
        "version {}, for readers from {} on; this release knows version {} and is reader {}",
        schema.applied, schema.minimum_reader, schema.known, schema.own_reader
    );
    let finding = if schema.failed {
        Finding::fail(CHECK, format!("{text}; a migration has failed"))
            .advise("Restore the last backup, or ask for help before anything is started.")
    } else if schema.minimum_reader > schema.own_reader {
        Finding::fail(CHECK, text).advise("This release must not open it: install the newer one.")
    } else if schema.applied < schema.known {
        Finding::warn(CHECK, text).advise("The next start of this release brings it up to date.")
    } else {
        Finding::ok(CHECK, text)
    };
    let detail = json!({
        "version": schema.applied,
        "minimum_reader": schema.minimum_reader,
        "known_version": schema.known,
        "own_reader": schema.own_reader,
    });
    Ok(vec![finding.with(detail)])
}

/// The approximate number of rows of the feed, and their bytes on the disk.
const SIZE: [&str; 2] = [
    "SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0) + 250 * COUNT(*) FROM change_log",
    "SELECT GREATEST(reltuples, 0)::bigint, pg_total_relation_size(oid)
     FROM pg_class WHERE oid = 'change_log'::regclass",
];

const OLDEST: &str = "SELECT MIN(commit_time) FROM change_log";

/// How late compaction may be, in microseconds.
const SLACK: i64 = 2 * 3_600_000_000;

/// Checks how much history there is, and whether compaction keeps up.
pub async fn feed(conn: &mut Conn, measures: &Measures) -> sqlx::Result<Vec<Finding>> {
    const CHECK: &str = "feed";
    let size = conn.engine().pick(SIZE[0], SIZE[1]);
    let (rows, size): (i64, i64) = on!(conn, |e| sqlx::query_as(size).fetch_one(e).await)?;
    let oldest: Option<i64> = on!(conn, |e| sqlx::query_scalar(OLDEST).fetch_one(e).await)?;
    let age = oldest.map_or(0, |oldest| (measures.now - oldest).max(0));
    let retention = micros(measures.feed.retention.max(limits::REQUEST_ID_RETENTION));
    let text = format!(
        "about {rows} changes in {}; the oldest is {} old, and {} are kept, or {}",
        bytes(size),
        time(age),
        time(micros(measures.feed.retention)),
        bytes(i64::try_from(measures.feed.max_bytes).unwrap_or(i64::MAX)),
    );
    // The table and its indexes take more room than the counted changes.
    let too_large = u64::try_from(size).unwrap_or(0) / 2 > measures.feed.max_bytes;
    let finding = if age > retention.saturating_add(SLACK) || too_large {
        Finding::warn(CHECK, text).advise(
            "Compaction does not keep up: see whether a server runs and its jobs of kind COMPACT succeed.",
        )
    } else {
        Finding::ok(CHECK, text)
    };
    let detail = json!({"rows": rows, "bytes": size, "oldest_seconds": age / 1_000_000});
    Ok(vec![finding.with(detail)])
}

/// Checks whether deletions by age are held back because the clock may be wrong.
pub async fn retention(conn: &mut Conn, measures: &Measures) -> Result<Vec<Finding>, Error> {
    const CHECK: &str = "retention";
    let finding = match held_for(conn, measures.now).await? {
        None => Finding::ok(CHECK, "deletions by age are not held back"),
        Some(left) => Finding::warn(
            CHECK,
            format!(
                "nothing is deleted for its age for another {}: the clock of a server was more than a day \
                 ahead of the last time that the store knew",
                time(left)
            ),
        )
        .advise(
            "If a server's clock is wrong, put it right before then. If none ran for more than a day, all is well.",
        )
        .with(json!({"seconds": left / 1_000_000})),
    };
    Ok(vec![finding])
}

/// A job with a fault. Its subject and its error are not read.
#[derive(Debug, sqlx_macros::FromRow)]
struct Stuck {
    id: String,
    kind: i64,
    state: i64,
    attempts: i64,
    run_at: i64,
}

/// Jobs whose worker is silent, that fail repeatedly, that failed recently, or that no worker takes.
const STUCK: &str = "SELECT id, kind, state, attempts, run_at FROM jobs
    WHERE (state = 2 AND run_at < $1) OR (state = 1 AND attempts >= 3)
       OR (state = 4 AND end_time > $2) OR (state = 1 AND run_at < $3)
    ORDER BY run_at, id LIMIT 20";

const LIVE: &str = "SELECT COUNT(*) FROM jobs WHERE state <= 2";

/// How long a failed job is a finding, in microseconds.
const LATELY: i64 = 7 * 86_400_000_000;
/// How long a job may wait for a worker, in microseconds.
const WAIT_MAX: i64 = 5 * 60_000_000;

/// Checks whether background work makes progress.
pub async fn jobs(conn: &mut Conn, measures: &Measures) -> sqlx::Result<Vec<Finding>> {
    const CHECK: &str = "jobs";
    let live: i64 = on!(conn, |e| sqlx::query_scalar(LIVE).fetch_one(e).await)?;
    let now = measures.now;
    // A lease is renewed well before its end. One that has been expired for as long again has no worker.
    let silent = now - micros(limits::JOB_LEASE);
    let stuck: Vec<Stuck> = on!(conn, |e| sqlx::query_as(STUCK)
        .bind(silent)
        .bind(now - LATELY)
        .bind(now - WAIT_MAX)
        .fetch_all(e)
        .await)?;
    if stuck.is_empty() {
        return Ok(vec![Finding::ok(
            CHECK,
            format!("{live} wait or run, none is stuck"),
        )]);
    }
    Ok(stuck.iter().map(|job| job.finding(now)).collect())
}

impl Stuck {
    fn finding(&self, now: i64) -> Finding {
        let kind = JobKind::of(self.kind).map(|kind| kind.message().as_str_name());
        let kind = kind.map_or("of a newer release", |name| {
            name.strip_prefix("KIND_").unwrap_or(name)
        });
        let since = time(now - self.run_at);
        let (problem, advice) = match self.state {
            2 => (
                format!("its lease ended {since} ago"),
                "No server takes it over: see whether one runs.",
            ),
            4 => (
                format!("it has failed for good, after {} attempts", self.attempts),
                "OperationService shows its error; repeat the change when the cause is removed.",
            ),
            _ if self.attempts >= 3 => (
                format!("it has failed {} times and is tried again", self.attempts),
                "OperationService shows its error, and the server's log the cause.",
            ),
            _ => (
                format!("it has waited for {since}"),
                "No server works on it: see whether one runs.",
            ),
        };
        Finding::warn(
            "jobs",
            format!("operations/{} ({kind}): {problem}", self.id),
        )
        .advise(advice)
        .with(json!({
            "operation": format!("operations/{}", self.id),
            "kind": kind,
            "attempts": self.attempts,
        }))
    }
}
