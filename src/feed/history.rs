//! Reading the change log back: where it ends, pages of it, and whether a position is still in it.

use sqlx::AssertSqlSafe;
use tonic::Code;

use super::log::Kind;
use super::order::LogOrder;
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::on;
use crate::proto::pb::ErrorReason;
use crate::revision::Position;
use crate::store::{Conn, Engine, dialect};

/// The row of `store_meta` that says up to where the log was compacted: `xid seq mark`.
pub const COMPACTED_THROUGH: &str = "compacted_through";

/// A row of the change log.
#[derive(Debug, sqlx::FromRow)]
pub struct LogRow {
    /// See [`Position`].
    pub xid: i64,
    /// See [`Position`].
    pub seq: i64,
    /// See [`Position`].
    pub mark: i64,
    /// The shop.
    pub shop_id: String,
    /// The number of the [`Kind`].
    pub kind: i64,
    /// The last part of the resource's name.
    pub resource_id: String,
    /// The version that the change made.
    pub version: i64,
    /// Whether the resource is gone.
    pub deleted: bool,
    /// What [`append`](super::append) wrote; None once compaction has emptied it.
    pub payload: Option<Vec<u8>>,
    /// When it was committed.
    pub commit_time: i64,
    /// The topic under which the resource was watched until this change, which ended that.
    pub left_topic: Option<String>,
}

impl LogRow {
    /// Where the row is.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            xid: self.xid,
            seq: self.seq,
            mark: self.mark,
        }
    }
}

/// The furthest position below which the log is complete.
///
/// # Errors
/// The database's.
pub async fn end(conn: &mut Conn, order: LogOrder) -> Result<Position> {
    let (xid, horizon) = (order.xid(), order.horizon(conn.engine()));
    let sql = format!(
        "SELECT {xid} AS xid, seq, mark FROM change_log WHERE {xid} < {horizon}
         ORDER BY {xid} DESC, seq DESC LIMIT 1"
    );
    let row: Option<(i64, i64, i64)> = on!(conn, |e| sqlx::query_as(AssertSqlSafe(sql.as_str()))
        .fetch_optional(e)
        .await)?;
    match row {
        Some((xid, seq, mark)) => Ok(Position { xid, seq, mark }),
        None => Ok(compacted(conn).await?.unwrap_or(Position::ORIGIN)),
    }
}

/// The [`end`], for a follower that is at `position`. A server that lags behind the one which was read
/// before does not take it back.
///
/// # Errors
/// DATABASE_UNAVAILABLE from a server that lags, or the database's.
pub async fn end_after(conn: &mut Conn, order: LogOrder, position: Position) -> Result<Position> {
    let end = end(conn, order).await?;
    if end != position && !end.is_after(position) {
        refuse_standby(conn).await?;
    }
    Ok(end)
}

/// A row of a page, the place where the page begins included.
#[derive(sqlx::FromRow)]
struct Followed {
    #[sqlx(flatten)]
    row: LogRow,
    /// Whether compaction has not come to the row.
    intact: bool,
}

/// Up to `limit` rows after `after`, in their order, as far as the log is complete: as [`page`], and it is
/// certain that the log goes on there.
///
/// The row at `after` is read in the same statement. While it is there with its mark and its payload, the
/// log is the one that was read before, and nothing after the row was compacted.
///
/// # Errors
/// RESUME_TOKEN_EXPIRED if history after the place is gone; STORE_EPOCH_CHANGED if the place is of another
/// history, as when a standby took over that lacks the last writes; DATABASE_UNAVAILABLE from a standby that
/// lags; or the database's.
pub async fn follow(
    conn: &mut Conn,
    order: LogOrder,
    after: Position,
    limit: i64,
) -> Result<Vec<LogRow>> {
    let (xid, horizon) = (order.xid(), order.horizon(conn.engine()));
    let sql = format!(
        "SELECT {xid} AS xid, seq, mark, shop_id, kind, resource_id, version, deleted,
         CASE WHEN {xid} = $1 AND seq = $2 THEN NULL ELSE payload END AS payload,
         commit_time, left_topic, payload IS NOT NULL AS intact
         FROM change_log WHERE ({xid}, seq) >= ($1, $2) AND {xid} < {horizon}
         ORDER BY {xid}, seq LIMIT $3"
    );
    let rows: Vec<Followed> = on!(conn, |e| sqlx::query_as(AssertSqlSafe(sql.as_str()))
        .bind(after.xid)
        .bind(after.seq)
        .bind(limit.saturating_add(1))
        .fetch_all(e)
        .await)?;
    let mut rows = rows.into_iter().peekable();
    let place = rows.next_if(|first| first.row.position().key() == after.key());
    let goes_on = match place {
        Some(place) if place.row.mark != after.mark => false,
        Some(place) if place.intact => true,
        // Read after the rows: what is not compacted now was not when they were read.
        place => match compacted(conn).await? {
            Some(compacted) if compacted.is_after(after) => return Err(expired()),
            Some(compacted) if compacted.key() == after.key() => compacted.mark == after.mark,
            _ => place.is_some() || after == Position::ORIGIN,
        },
    };
    if !goes_on {
        refuse_standby(conn).await?;
        return Err(epoch_changed());
    }
    let rows = rows.map(|followed| followed.row);
    Ok(rows
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect())
}

/// Refuses a server that may only lack what it has not received yet.
async fn refuse_standby(conn: &mut Conn) -> Result<()> {
    let sql = dialect::select_in_recovery(conn.engine());
    let lags: bool = on!(conn, |e| sqlx::query_scalar(sql).fetch_one(e).await)?;
    if lags {
        return Err(Error::unavailable(
            ErrorReason::DatabaseUnavailable,
            "the database is a standby that lacks the last changes",
        ));
    }
    Ok(())
}

/// Up to `limit` rows after `after`, in their order, as far as the log is complete.
///
/// # Errors
/// The database's.
pub async fn page(
    conn: &mut Conn,
    order: LogOrder,
    after: Position,
    limit: i64,
) -> Result<Vec<LogRow>> {
    let (xid, horizon) = (order.xid(), order.horizon(conn.engine()));
    let sql = format!(
        "SELECT {xid} AS xid, seq, mark, shop_id, kind, resource_id, version, deleted, payload,
         commit_time, left_topic FROM change_log WHERE ({xid}, seq) > ($1, $2) AND {xid} < {horizon}
         ORDER BY {xid}, seq LIMIT $3"
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(sql.as_str()))
        .bind(after.xid)
        .bind(after.seq)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

/// What was changed by transactions that have committed and are not below the horizon yet: ids of the
/// resources of one shop and kind, each with its last version. None on SQLite.
///
/// # Errors
/// The database's.
pub async fn held_back(conn: &mut Conn, shop: &str, kind: Kind) -> Result<Vec<(String, i64)>> {
    let horizon = dialect::horizon(conn.engine());
    let sql = format!(
        "SELECT resource_id, MAX(version) FROM change_log
         WHERE xid >= {horizon} AND shop_id = $1 AND kind = $2 GROUP BY resource_id"
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(sql.as_str()))
        .bind(shop)
        .bind(kind.number())
        .fetch_all(e)
        .await)?)
}

/// The furthest change of a shop that has committed and is not below the horizon yet: what is read in the
/// same transaction may show it. None on SQLite.
///
/// # Errors
/// The database's.
pub async fn furthest_held_back(
    conn: &mut Conn,
    order: LogOrder,
    shop: &str,
) -> Result<Option<Position>> {
    if conn.engine() == Engine::Sqlite || order == LogOrder::Numbers {
        return Ok(None);
    }
    let horizon = dialect::horizon(conn.engine());
    let sql = format!(
        "SELECT xid, seq, mark FROM change_log WHERE xid >= {horizon} AND shop_id = $1
         ORDER BY xid DESC, seq DESC LIMIT 1"
    );
    let row: Option<(i64, i64, i64)> = on!(conn, |e| sqlx::query_as(AssertSqlSafe(sql.as_str()))
        .bind(shop)
        .fetch_optional(e)
        .await)?;
    Ok(row.map(|(xid, seq, mark)| Position { xid, seq, mark }))
}

/// The time of the oldest committed change that a write in progress holds back; None if nothing is
/// held back.
///
/// # Errors
/// The database's.
pub async fn held_back_since(conn: &mut Conn) -> Result<Option<i64>> {
    let horizon = dialect::horizon(conn.engine());
    let sql = format!("SELECT MIN(commit_time) FROM change_log WHERE xid >= {horizon}");
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        sql.as_str()
    ))
    .fetch_one(e)
    .await)?)
}

const READ_COMPACTED: &str = "SELECT value FROM store_meta WHERE key = $1";

/// Up to where the log was compacted; None if it never was.
///
/// # Errors
/// The database's.
pub async fn compacted(conn: &mut Conn) -> Result<Option<Position>> {
    let value: Option<String> = on!(conn, |e| sqlx::query_scalar(READ_COMPACTED)
        .bind(COMPACTED_THROUGH)
        .fetch_optional(e)
        .await)?;
    let Some(value) = value else { return Ok(None) };
    let mut numbers = value.split(' ').map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(xid)), Some(Ok(seq)), Some(Ok(mark))) => Ok(Some(Position { xid, seq, mark })),
        _ => Err(Error::corrupt("store_meta", COMPACTED_THROUGH, value)),
    }
}

const READ_MARK: &str = "SELECT mark FROM change_log WHERE xid = $1 AND seq = $2";

/// Checks that the log goes on after what a reader was told, and that it is the log that the reader saw.
///
/// # Errors
/// RESUME_TOKEN_EXPIRED if history after the place is gone, STORE_EPOCH_CHANGED if what was seen is of
/// another history.
pub async fn check(conn: &mut Conn, progress: Progress) -> Result<()> {
    let up_to = progress.up_to;
    match compacted(conn).await? {
        Some(compacted) if compacted.is_after(up_to) => return Err(expired()),
        Some(compacted) if compacted.key() == up_to.key() => {
            if compacted.mark != up_to.mark {
                return Err(epoch_changed());
            }
        }
        _ if up_to == Position::ORIGIN => {}
        _ => check_row(conn, up_to).await?,
    }
    match progress.seen_ahead() {
        Some(seen) => check_row(conn, seen).await,
        None => Ok(()),
    }
}

async fn check_row(conn: &mut Conn, position: Position) -> Result<()> {
    let mark: Option<i64> = on!(conn, |e| sqlx::query_scalar(READ_MARK)
        .bind(position.xid)
        .bind(position.seq)
        .fetch_optional(e)
        .await)?;
    if mark == Some(position.mark) {
        Ok(())
    } else {
        Err(epoch_changed())
    }
}

/// The error for a position after which the history is gone.
#[must_use]
pub fn expired() -> Error {
    Error::new(
        Code::OutOfRange,
        ErrorReason::ResumeTokenExpired,
        "the history after the resume token is gone; begin with a snapshot",
    )
}

/// The error for a reader that has seen another history of the store.
#[must_use]
pub fn epoch_changed() -> Error {
    Error::new(
        Code::Aborted,
        ErrorReason::StoreEpochChanged,
        "what was read belongs to another history of this store; begin with a snapshot",
    )
}
