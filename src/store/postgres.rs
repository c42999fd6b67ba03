//! Opens a store in PostgreSQL: its version, its schema, its epoch, its time limits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::condition;
use super::config::{
    POSTGRES_LISTS, POSTGRES_READERS, POSTGRES_STREAMS, POSTGRES_WRITERS, StoreConfig,
};
use super::conn::{Conn, Meter};
use super::open::{self, OpenError, StoreMeta};
use super::pg_writers::JOBS_AT_ONCE;
use super::purpose;
use super::target::{Session, Target};
use crate::clock::Clock;
use crate::{ids, on};

/// The lock that a process holds while it checks and migrates. The number is arbitrary and never changes.
const OPENING: i64 = 0x436c_7461_6f70_656e;
const OLDEST: i64 = 150_000;

/// The connections of one replica to PostgreSQL: those of all purposes, the writers of calls and jobs, two
/// for hints, and one that cancels statements.
pub const POSTGRES_CONNECTIONS: usize = POSTGRES_READERS
    + POSTGRES_LISTS
    + POSTGRES_STREAMS
    + purpose::FIXED
    + POSTGRES_WRITERS
    + JOBS_AT_ONCE
    + 2
    + 1;

pub(super) struct Opened {
    pub(super) target: Target,
    /// The session for hints, whose listener waits without a limit.
    pub(super) patient: Session,
    pub(super) meta: StoreMeta,
}

pub(super) async fn open(
    options: &PgConnectOptions,
    config: &StoreConfig,
    clock: &Clock,
    meter: &Arc<Meter>,
) -> Result<Opened, OpenError> {
    let options = options
        .clone()
        .application_name("clientela")
        .log_statements(config.statement_level())
        .log_slow_statements(config.statement_level(), Duration::ZERO);
    let patient = Session::new(options.clone());
    check_sessions(&patient).await?;
    let mut conn = open::connect(&Target::Postgres(Box::new(patient.clone())), meter).await?;
    check_server(&mut conn).await?;
    // Replicas may start at once: one migrates, the others wait and find it done.
    on!(&mut conn, |e| {
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(OPENING)
            .execute(e)
            .await
            .map(|_| ())
    })?;
    open::check_reader_version(&mut conn).await?;
    open::migrate(&mut conn).await?;
    open::identity(&mut conn).await?;
    renew_after_restore(&mut conn).await?;
    let meta = open::identity(&mut conn).await?;
    condition::look(&mut conn, clock).await?;
    // Closing the connection releases the lock.
    conn.close().await;

    // No call may hold its locks, or the horizon of the feed, for longer.
    let limited = Session::new(options.statement_cache_capacity(256))
        .within("statement_timeout", config.statement_timeout)
        .within("lock_timeout", config.lock_timeout)
        .with("idle_in_transaction_session_timeout", "5s");
    Ok(Opened {
        target: Target::Postgres(Box::new(limited)),
        patient,
        meta,
    })
}

/// Refuses a pooler that gives one session to several clients in turn: another client would get the session's
/// settings, locks and listeners. Two connections that are open together must have two sessions.
async fn check_sessions(session: &Session) -> Result<(), OpenError> {
    let (mut one, first) = session.open().await?;
    let (mut other, second) = session.open().await?;
    let mut shared = first == second;
    for (connection, begun) in [(&mut one, first), (&mut other, second)] {
        let asked = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection);
        let pid: i32 = asked.await?.try_get(0)?;
        shared |= pid != begun;
    }
    for connection in [one, other] {
        // An error at closing does not matter.
        let _ = connection.close().await;
    }
    if shared {
        return Err(OpenError::SharedSessions);
    }
    Ok(())
}

async fn check_server(conn: &mut Conn) -> Result<(), OpenError> {
    let found: i64 = on!(conn, |e| {
        sqlx::query_scalar("SELECT current_setting('server_version_num')::bigint")
            .fetch_one(e)
            .await
    })?;
    check_version(found)?;
    let encoding: String = on!(conn, |e| {
        sqlx::query_scalar("SELECT current_setting('server_encoding')")
            .fetch_one(e)
            .await
    })?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding));
    }
    Ok(())
}

fn check_version(found: i64) -> Result<(), OpenError> {
    if found >= OLDEST {
        return Ok(());
    }
    Err(OpenError::OldEngine {
        what: "PostgreSQL",
        found: (found / 10_000).to_string(),
        needed: "15",
    })
}

/// Whether the log's greatest transaction number, or the position up to which it was compacted, is ahead of
/// the cluster's own numbers.
const IS_AHEAD: &str = "SELECT GREATEST(
        (SELECT MAX(xid) FROM change_log),
        (SELECT split_part(value, ' ', 1)::bigint FROM store_meta
         WHERE key = 'compacted_through'),
        0) >= pg_current_xact_id()::text::bigint";

/// All old history counts as compacted and measured: no stream can resume in it, and it is deleted when its
/// request ids have expired.
const RENEW: [&str; 5] = [
    "UPDATE change_log SET xid = 0",
    "UPDATE jobs SET xid = 0",
    "DELETE FROM store_meta WHERE key IN ('compacted_through', 'feed_measured')",
    "INSERT INTO store_meta (key, value)
     SELECT 'compacted_through', xid || ' ' || seq || ' ' || mark FROM change_log
     ORDER BY seq DESC LIMIT 1",
    "INSERT INTO store_meta (key, value)
     SELECT 'feed_measured', xid || ' ' || seq || ' 0' FROM change_log
     ORDER BY seq DESC LIMIT 1",
];

/// A copy restored into another cluster has transaction numbers that are ahead of that cluster: new changes
/// would sort before old ones. The old ones are put first again, and the epoch changes.
async fn renew_after_restore(conn: &mut Conn) -> Result<(), OpenError> {
    let ahead: bool = on!(conn, |e| sqlx::query_scalar(IS_AHEAD).fetch_one(e).await)?;
    if !ahead {
        return Ok(());
    }
    tracing::warn!("the store was restored from a copy: streams restart from a snapshot");
    conn.begin("BEGIN".into()).await?;
    for statement in RENEW {
        on!(conn, |e| sqlx::query(statement)
            .execute(e)
            .await
            .map(|_| ()))?;
    }
    let epoch = ids::new_id();
    on!(conn, |e| {
        sqlx::query("UPDATE store_meta SET value = $1 WHERE key = 'epoch'")
            .bind(&epoch)
            .execute(e)
            .await
            .map(|_| ())
    })?;
    conn.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postgresql_before_15_is_refused_by_its_version() {
        let refused = check_version(140_013).unwrap_err();

        assert_eq!(
            refused.to_string(),
            "PostgreSQL is version 14, and at least 15 is needed"
        );
        assert!(check_version(150_000).is_ok());
    }
}
