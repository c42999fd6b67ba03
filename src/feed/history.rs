//! Reads of the change log: its end, pages of it, and whether it still holds a position.

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

/// The key in `store_meta` of the position up to which the log was compacted: `xid seq mark`.
pub const COMPACTED_THROUGH: &str = "compacted_through";

/// A row of the change log.
#[derive(Debug, sqlx_macros::FromRow)]
pub struct LogRow {
    /// See [`Position`].
    pub xid: i64,
    /// See [`Position`].
    pub seq: i64,
    /// See [`Position`].
    pub mark: i64,
    /// The id of the shop.
    pub shop_id: String,
    /// The number of the [`Kind`].
    pub kind: i64,
    /// The last segment of the resource's name.
    pub resource_id: String,
    /// The version that the change made.
    pub version: i64,
    /// Whether the change deleted the resource.
    pub deleted: bool,
    /// The bytes that [`append`](super::append) wrote; None once compaction has emptied the row.
    pub payload: Option<Vec<u8>>,
    /// The commit time in microseconds.
    pub commit_time: i64,
    /// The topic that the resource left with this change.
    pub left_topic: Option<String>,
}

impl LogRow {
    /// The position of the row in the log.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            xid: self.xid,
            seq: self.seq,
            mark: self.mark,
        }
    }
}

/// The furthest position up to which the log is complete.
///
/// # Errors
/// An error of the database.
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

/// As [`end`], for a follower at `position`. A server that lags behind the one read before does not move the
/// follower back.
///
/// # Errors
/// DATABASE_UNAVAILABLE from a server that lags, or an error of the database.
pub async fn end_after(conn: &mut Conn, order: LogOrder, position: Position) -> Result<Position> {
    let end = end(conn, order).await?;
    if end != position && !end.is_after(position) {
        refuse_standby(conn).await?;
    }
    Ok(end)
}

/// A row of a page, or the row at which the page begins.
#[derive(sqlx_macros::FromRow)]
struct Followed {
    #[sqlx(flatten)]
    row: LogRow,
    /// Whether compaction has not reached the row.
    intact: bool,
}

/// Reads up to `limit` rows after `after`, as [`page`] does, and checks that the log continues from there.
///
/// One statement reads these rows and the row at `after`. While that row has its mark and its payload, this
/// is the log that was read before, and nothing after the row was compacted.
///
/// # Errors
/// RESUME_TOKEN_EXPIRED if history after `after` is gone. STORE_EPOCH_CHANGED if `after` is of another
/// history, as when a standby took over that lacks the last writes. DATABASE_UNAVAILABLE from a standby that
/// lags. Or an error of the database.
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
        // Read after the rows: a row that is not compacted now was not compacted when the rows were read.
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

/// Refuses a standby, which may only lack changes that it has not received yet.
async fn refuse_standby(conn: &mut Conn) -> Result<()> {
    let sql = dialect::select_in_recovery(conn.engine());
    let lags: bool = on!(conn, |e| sqlx::query_scalar(sql).fetch_one(e).await)?;
    if lags {
        return Err(Error::unavailable(
            ErrorReason::DatabaseUnavailable,
            "the database is a standby that lacks the last changes; retry later",
        ));
    }
    Ok(())
}

/// Reads up to `limit` rows after `after`, in the order of the log, as far as the log is complete.
///
/// # Errors
/// An error of the database.
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

/// The resources of one shop and kind with committed changes that are not below the horizon yet: their ids,
/// each with its last version. None on SQLite.
///
/// # Errors
/// An error of the database.
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

/// The furthest committed change of a shop that is not below the horizon yet. Rows that the same transaction
/// reads may show it. None on SQLite.
///
/// # Errors
/// An error of the database.
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

/// The time in microseconds of the oldest committed change that a write in progress holds back; None if
/// nothing is held back.
///
/// # Errors
/// An error of the database.
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

/// The position up to which the log was compacted; None if it never was.
///
/// # Errors
/// An error of the database.
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

/// Checks that the log continues after a reader's progress, and that it is the log that the reader saw.
///
/// # Errors
/// RESUME_TOKEN_EXPIRED if history after the position is gone. STORE_EPOCH_CHANGED if the reader saw another
/// history.
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
