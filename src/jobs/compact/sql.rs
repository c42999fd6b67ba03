//! The SQL of compaction, over `change_log` and `store_meta`.

use sqlx::AssertSqlSafe;

use crate::error::{Error, Result};
use crate::feed::history::{self, COMPACTED_THROUGH};
use crate::jobs::meta;
use crate::revision::Position;
use crate::store::{Conn, Tx, dialect};
use crate::{execute, on};

/// The position up to which the log was measured, and the bytes up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) through: Position,
    pub(super) bytes: i64,
}

/// The row of `store_meta` that holds a [`Measured`]: `xid seq bytes`.
const MEASURED: &str = "feed_measured";

/// A row of the change log without its payload.
#[derive(Clone, Debug, sqlx_macros::FromRow)]
pub(super) struct OldRow {
    pub(super) xid: i64,
    pub(super) seq: i64,
    pub(super) mark: i64,
    pub(super) commit_time: i64,
    pub(super) bytes: i64,
}

impl OldRow {
    pub(super) fn position(&self) -> Position {
        Position {
            xid: self.xid,
            seq: self.seq,
            mark: self.mark,
        }
    }
}

/// The position that compaction has reached.
pub(super) async fn reached(conn: &mut Conn) -> Result<Position> {
    Ok(history::compacted(conn).await?.unwrap_or(Position::ORIGIN))
}

/// Reads the last measurement of the log.
pub(super) async fn measured(conn: &mut Conn) -> Result<Measured> {
    let Some(value) = meta::read(conn, MEASURED).await? else {
        return Ok(Measured {
            through: Position::ORIGIN,
            bytes: 0,
        });
    };
    let mut numbers = value.split(' ').map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(xid)), Some(Ok(seq)), Some(Ok(bytes))) => Ok(Measured {
            through: Position { xid, seq, mark: 0 },
            bytes,
        }),
        _ => Err(Error::corrupt("store_meta", MEASURED, value)),
    }
}

/// Reads up to `limit` rows after a position, as far as the log is complete.
pub(super) async fn rows_after(
    conn: &mut Conn,
    after: Position,
    limit: i64,
) -> Result<Vec<OldRow>> {
    let text = format!(
        "SELECT xid, seq, mark, commit_time, CAST(COALESCE(LENGTH(payload), 0) AS BIGINT) AS bytes
         FROM change_log WHERE (xid, seq) > ($1, $2) AND xid < {horizon}
         ORDER BY xid, seq LIMIT $3",
        horizon = dialect::horizon(conn.engine()),
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(after.xid)
        .bind(after.seq)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

const ROWS_THROUGH: &str = "SELECT xid, seq, mark, commit_time, CAST(0 AS BIGINT) AS bytes
    FROM change_log WHERE (xid, seq) <= ($1, $2) ORDER BY xid, seq LIMIT $3";

/// Reads the first rows up to and including a position.
pub(super) async fn rows_through(
    conn: &mut Conn,
    through: Position,
    limit: i64,
) -> Result<Vec<OldRow>> {
    Ok(on!(conn, |e| sqlx::query_as(ROWS_THROUGH)
        .bind(through.xid)
        .bind(through.seq)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

const EMPTY_ROWS: &str = "UPDATE change_log SET payload = NULL, left_topic = NULL
    WHERE (xid, seq) > ($1, $2) AND (xid, seq) <= ($3, $4)
    AND request_id IS NOT NULL AND payload IS NOT NULL";

/// Empties the payloads of the rows between two positions that have a request id.
pub(super) async fn empty_rows(tx: &mut Tx, after: Position, through: Position) -> Result<()> {
    execute!(
        tx,
        sqlx::query(EMPTY_ROWS)
            .bind(after.xid)
            .bind(after.seq)
            .bind(through.xid)
            .bind(through.seq)
    )?;
    Ok(())
}

const DELETE_ROWS: &str = "DELETE FROM change_log
    WHERE (xid, seq) > ($1, $2) AND (xid, seq) <= ($3, $4)
    AND (request_id IS NULL OR commit_time < $5)";

/// Removes the rows between two positions, except for younger ones with a request id.
pub(super) async fn delete_rows(
    tx: &mut Tx,
    after: Position,
    through: Position,
    keep_ids_since: i64,
) -> Result<()> {
    execute!(
        tx,
        sqlx::query(DELETE_ROWS)
            .bind(after.xid)
            .bind(after.seq)
            .bind(through.xid)
            .bind(through.seq)
            .bind(keep_ids_since)
    )?;
    Ok(())
}

/// Writes the position that compaction has reached.
pub(super) async fn note_reached(tx: &mut Tx, reached: Position) -> Result<()> {
    let value = format!("{} {} {}", reached.xid, reached.seq, reached.mark);
    meta::put(tx, COMPACTED_THROUGH, &value).await
}

/// Writes the measurement of the log.
pub(super) async fn note_measured(tx: &mut Tx, measured: Measured) -> Result<()> {
    let Measured { through, bytes } = measured;
    let value = format!("{} {} {bytes}", through.xid, through.seq);
    meta::put(tx, MEASURED, &value).await
}
