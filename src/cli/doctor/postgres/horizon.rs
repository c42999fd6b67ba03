//! The open transactions that hold the feed back, anywhere in the cluster.
//!
//! The feed shows the changes before the oldest of them. A session is reported by its identification, and
//! never by its statements.

use serde_json::{Value, json};

use crate::cli::doctor::Measures;
use crate::cli::doctor::finding::{Finding, time};
use crate::clock::micros;
use crate::feed::history;
use crate::on;
use crate::store::Conn;

const CHECK: &str = "horizon";
/// Changes that are held back for longer are a fault.
const FAILS_AFTER: i64 = 60_000_000;

/// An open transaction that has a number.
#[derive(Debug, sqlx_macros::FromRow)]
struct Session {
    pid: i64,
    database: String,
    role: String,
    application: String,
    kind: String,
    /// None for a role that is neither its owner nor may read all statistics.
    state: Option<String>,
    age: Option<i64>,
    since: Option<String>,
    query_start: Option<String>,
}

const SESSIONS: &str = "SELECT pid::bigint AS pid, COALESCE(datname::text, '') AS database,
    COALESCE(usename::text, '') AS role, COALESCE(application_name, '') AS application,
    COALESCE(backend_type, '') AS kind, state,
    (EXTRACT(EPOCH FROM clock_timestamp() - xact_start) * 1000000)::bigint AS age,
    to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS since,
    to_char(query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS query_start
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    ORDER BY age(backend_xid) DESC LIMIT 10";

/// A prepared transaction that waits for its second phase.
#[derive(Debug, sqlx_macros::FromRow)]
struct Prepared {
    gid: String,
    database: String,
    role: String,
    age: i64,
    since: String,
}

const PREPARED: &str = "SELECT gid, database::text AS database, owner::text AS role,
    (EXTRACT(EPOCH FROM clock_timestamp() - prepared) * 1000000)::bigint AS age,
    to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS since
    FROM pg_prepared_xacts ORDER BY age(transaction) DESC LIMIT 10";

/// Checks how long changes are held back, and by which transactions.
pub async fn horizon(conn: &mut Conn, measures: &Measures) -> Result<Vec<Finding>, String> {
    let described = |error: &dyn std::fmt::Display| error.to_string();
    let held = history::held_back_since(conn)
        .await
        .map_err(|e| described(&e))?;
    let sessions: Vec<Session> =
        on!(conn, |e| sqlx::query_as(SESSIONS).fetch_all(e).await).map_err(|e| described(&e))?;
    let prepared: Vec<Prepared> =
        on!(conn, |e| sqlx::query_as(PREPARED).fetch_all(e).await).map_err(|e| described(&e))?;

    let lag = held.map_or(0, |since| (measures.now - since).max(0));
    let tolerated = micros(measures.max_lag);
    let too_old = |age: Option<i64>| age.map_or(lag > tolerated, |age| age > tolerated);
    let mut findings: Vec<Finding> = prepared
        .iter()
        .filter(|prepared| too_old(Some(prepared.age)))
        .map(Prepared::finding)
        .collect();
    findings.extend(
        sessions
            .iter()
            .filter(|session| too_old(session.age))
            .map(|session| session.finding(lag)),
    );
    if lag > tolerated {
        let text = format!("changes are held back for {}", time(lag));
        let finding = match findings.is_empty() {
            true => Finding::warn(CHECK, text).advise(
                "Who held them back has ended by now, or is a standby's: ask again in a moment.",
            ),
            false => level(lag, text),
        };
        findings.insert(0, finding.with(json!({"lag_micros": lag})));
    } else if findings.is_empty() {
        let text = format!("changes are held back for {}", time(lag));
        findings.push(Finding::ok(CHECK, text).with(json!({"lag_micros": lag})));
    }
    Ok(findings)
}

fn level(age: i64, text: String) -> Finding {
    if age > FAILS_AFTER {
        Finding::fail(CHECK, text)
    } else {
        Finding::warn(CHECK, text)
    }
}

impl Session {
    fn finding(&self, lag: i64) -> Finding {
        let Self {
            pid,
            database,
            role,
            application,
            kind,
            ..
        } = self;
        let unknown = "unknown (to see it, the role needs pg_read_all_stats)";
        let state = self.state.as_deref().unwrap_or(unknown);
        let since = self.since.as_deref().unwrap_or("a time unknown");
        let query = self.query_start.as_deref().unwrap_or("a time unknown");
        let text = format!(
            "held back by pid {pid} ({kind}): database {database}, user {role}, application \
             {application}, state {state}, in its transaction since {since}, last statement at {query}"
        );
        level(self.age.unwrap_or(lag), text)
            .advise(format!(
                "Let it commit, or end it: SELECT pg_terminate_backend({pid})"
            ))
            .with(self.json())
    }

    fn json(&self) -> Value {
        json!({
            "pid": self.pid,
            "database": self.database,
            "user": self.role,
            "application_name": self.application,
            "backend_type": self.kind,
            "state": self.state,
            "age_micros": self.age,
            "since": self.since,
            "query_start": self.query_start,
        })
    }
}

impl Prepared {
    fn finding(&self) -> Finding {
        let Self {
            gid,
            database,
            role,
            age,
            since,
        } = self;
        let text = format!(
            "held back by the prepared transaction {gid}: database {database}, user {role}, \
             prepared {} ago, at {since}",
            time(*age)
        );
        let quoted = gid.replace('\'', "''");
        level(*age, text)
            .advise(format!(
                "In database {database}: COMMIT PREPARED '{quoted}' or ROLLBACK PREPARED '{quoted}'"
            ))
            .with(json!({
                "prepared": gid,
                "database": database,
                "user": role,
                "age_micros": age,
                "since": since,
            }))
    }
}
