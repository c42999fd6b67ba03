//! Opening a store in PostgreSQL, and writing in it: closures run side by side, each in a
//! transaction of its own that takes all its locks with its first message.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use super::conn::{Conn, Meter};
use super::error::{Class, Trouble};
use super::lanes::Lanes;
use super::locks::Locks;
use super::open::{self, OpenError, StoreMeta};
use super::pool::{Pool, Target};
use super::tx::Tx;
use super::wake::Wake;
use super::work::{Ran, Work};
use crate::{ids, on};

/// Held while a process checks and migrates; the number is arbitrary and never changes.
const OPENING: i64 = 0x436c_7461_6f70_656e;
const OLDEST: i64 = 150_000;
/// Runs of a write that lost against another transaction.
const MAX_CONTENTIONS: u32 = 3;

/// A store in PostgreSQL that has been opened.
pub(super) struct Opened {
    pub(super) target: Target,
    /// For the hints, whose listener waits for ever.
    pub(super) patient: PgConnectOptions,
    pub(super) meta: StoreMeta,
}

pub(super) async fn open(
    options: &PgConnectOptions,
    meter: &Arc<Meter>,
) -> Result<Opened, OpenError> {
    let patient = options
        .clone()
        .application_name("clientela")
        .disable_statement_logging();
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
    // Closing gives the lock back.
    conn.close().await;

    // No call may hold its locks, or the horizon of the feed, for longer.
    let limited = patient.clone().statement_cache_capacity(256).options([
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "5s"),
    ]);
    Ok(Opened {
        target: Target::Postgres(Box::new(limited)),
        patient,
        meta,
    })
}

async fn check_server(conn: &mut Conn) -> Result<(), OpenError> {
    let found: i64 = on!(conn, |e| {
        sqlx::query_scalar("SELECT current_setting('server_version_num')::bigint")
            .fetch_one(e)
            .await
    })?;
    if found < OLDEST {
        let found = (found / 10_000).to_string();
        return Err(OpenError::OldEngine {
            what: "PostgreSQL",
            found,
            needed: "15",
        });
    }
    Ok(())
}

/// A copy restored into another cluster carries transaction numbers that are ahead of it: new
/// changes would sort before old ones. The old ones are put first again, and the epoch changes.
async fn renew_after_restore(conn: &mut Conn) -> Result<(), OpenError> {
    let ahead: bool = on!(conn, |e| {
        sqlx::query_scalar(
            "SELECT COALESCE(MAX(xid), 0) >= pg_current_xact_id()::text::bigint FROM change_log",
        )
        .fetch_one(e)
        .await
    })?;
    if ahead {
        tracing::warn!("the store was restored from a copy: streams begin anew");
        let epoch = ids::new_id();
        on!(conn, |e| sqlx::query("UPDATE change_log SET xid = 0")
            .execute(e)
            .await
            .map(|_| ()))?;
        on!(conn, |e| sqlx::query("UPDATE jobs SET xid = 0")
            .execute(e)
            .await
            .map(|_| ()))?;
        on!(conn, |e| {
            sqlx::query("UPDATE store_meta SET value = $1 WHERE key = 'epoch'")
                .bind(&epoch)
                .execute(e)
                .await
                .map(|_| ())
        })?;
    }
    Ok(())
}

/// How long a write waits for the writes before it on the same aggregate.
const MAX_QUEUE: Duration = Duration::from_secs(10);

/// What a write needs.
#[derive(Clone)]
pub(super) struct Workshop {
    pub(super) pool: Pool,
    pub(super) lanes: Lanes,
    pub(super) wake: Wake,
}

/// Does a write and answers it.
pub(super) async fn perform(workshop: &Workshop, mut work: Box<dyn Work>) {
    let trouble = settle(workshop, work.as_mut()).await.err();
    work.answer(trouble.as_ref());
}

async fn settle(workshop: &Workshop, work: &mut dyn Work) -> Result<(), Trouble> {
    let mut contentions = 0;
    loop {
        if contentions > 0 {
            let pause = rand::rng().random_range(1..=10 * u64::from(contentions));
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let turns = workshop.lanes.wait(work.locks());
        let Ok(turns) = tokio::time::timeout(MAX_QUEUE, turns).await else {
            return Err(Trouble::contended(
                "too many writes wait for the same aggregate",
            ));
        };
        let mut pooled = match workshop.pool.begin(&begin_text(work.locks())).await {
            Ok(pooled) => pooled,
            Err(trouble) => {
                contentions += 1;
                if trouble.class() == Class::Contended && contentions < MAX_CONTENTIONS {
                    continue;
                }
                return Err(trouble);
            }
        };
        let mut tx = Tx::new(pooled.take());
        let ran = work.run(&mut tx).await;
        let mut conn = tx.into_conn();

        let mut trouble = None;
        let contended = if ran == Ran::Done {
            trouble = conn.commit().await.err().map(|error| Trouble::of(&error));
            trouble
                .as_ref()
                .is_some_and(|trouble| trouble.class() == Class::Contended)
        } else {
            let contended = conn.was_contended();
            if !conn.is_broken() {
                conn.rollback().await;
            }
            contended
        };
        pooled.give_back(conn);
        drop(turns);

        if ran == Ran::Done && trouble.is_none() {
            if work.committed() {
                workshop.wake.committed_here();
            }
            return Ok(());
        }
        contentions += u32::from(contended);
        if matches!(ran, Ran::Again { .. }) || (contended && contentions < MAX_CONTENTIONS) {
            continue;
        }
        return trouble.map_or(Ok(()), Err);
    }
}

/// `BEGIN` and the locks in one message. Each lock is a statement of its own, as the order in which
/// one `SELECT` evaluates its columns is nowhere promised.
fn begin_text(locks: &Locks) -> String {
    let mut text = String::from("BEGIN");
    for key in locks.iter() {
        let _ = write!(text, "; SELECT pg_advisory_xact_lock({})", key.value());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::locks::LockKey;
    use super::*;

    #[test]
    fn locks_follow_the_begin_in_ascending_order() {
        let locks = Locks::of("cart", "s", "b").and(LockKey::of("cart", "s", "a"));
        let (low, high) = {
            let mut keys = locks.iter().map(LockKey::value);
            (keys.next().unwrap(), keys.next().unwrap())
        };

        assert!(low < high);
        assert_eq!(
            begin_text(&locks),
            format!(
                "BEGIN; SELECT pg_advisory_xact_lock({low}); SELECT pg_advisory_xact_lock({high})"
            )
        );
        assert_eq!(begin_text(&Locks::none()), "BEGIN");
    }
}
