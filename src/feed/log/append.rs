//! Appends the row of a change, by itself or in one message with the row of its resource.

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message as _;
use sqlx::AssertSqlSafe;

use super::{Change, Kind, MAX_CAUSES, Payload};
use crate::caller::{Caller, RequestId};
use crate::error::{Error, Result};
use crate::revision::Position;
use crate::store::{Bind, Engine, Tx, dialect};
use crate::{bind_log_row, bound, clock, epochs, execute, ids, limits, on, on_write};

/// The columns that an append sets. The database sets `seq` and `xid`.
const COLUMNS: &str = "shop_id, kind, resource_id, version, mark, deleted, payload, request_id, \
    request_digest, key_id, actor, on_behalf_of, commit_time, left_topic";
const COLUMN_COUNT: usize = 14;
const PLACE: &str = "RETURNING xid, seq";
/// An append whose request id is in use writes nothing.
const ONCE: &str = "ON CONFLICT (shop_id, request_id) WHERE request_id IS NOT NULL DO NOTHING";

static APPEND: LazyLock<String> = LazyLock::new(|| {
    let values = placeholders(0);
    format!("INSERT INTO change_log ({COLUMNS}) VALUES ({values}) {ONCE} {PLACE}")
});

/// The placeholders of a row after `others` other placeholders.
fn placeholders(others: usize) -> String {
    let all: Vec<String> = (1..=COLUMN_COUNT)
        .map(|number| format!("${}", others + number))
        .collect();
    all.join(", ")
}

/// A statement that writes a version of a resource into its row and appends the change, in one message to the
/// database. Each message costs a hand-over, which is most of the time of a small write.
#[derive(Debug)]
pub struct WithAppend {
    sqlite: String,
    postgres: String,
    stored_version: String,
}

impl WithAppend {
    /// Creates it from an `INSERT` into `table`, or an `UPDATE` of the row with the previous version. That
    /// statement has `placeholders_of_it` placeholders; [`bind_log_row!`](crate::bind_log_row) binds the row
    /// of the log after them.
    #[must_use]
    pub fn after(table: &str, write: &str, placeholders_of_it: usize) -> Self {
        let insert = format!("INSERT INTO change_log ({COLUMNS})");
        let values = placeholders(placeholders_of_it);
        let rest = format!("{ONCE} {PLACE}");
        let text = |engine| dialect::write_then_insert(engine, write, &insert, &values, &rest);
        Self {
            sqlite: text(Engine::Sqlite),
            postgres: text(Engine::Postgres),
            stored_version: format!("SELECT version FROM {table} WHERE shop_id = $1 AND id = $2"),
        }
    }

    /// The text. It returns the position of the row in the log, unless the row of the resource was not
    /// written or the request id is in use. Pass the result to [`settle`](Self::settle).
    #[must_use]
    pub fn text(&self, engine: Engine) -> &str {
        match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        }
    }

    /// Writes the row of a resource with these values, and the row of the log.
    ///
    /// # Errors
    /// Those of [`settle`](Self::settle).
    pub async fn run(&self, tx: &mut Tx, values: &[Bind], row: &LogRow<'_>) -> Result<()> {
        let text = self.text(tx.engine());
        let place = on_write!(tx, |e| {
            let query = bound!(sqlx::query_as(AssertSqlSafe(text)), values);
            bind_log_row!(query, row).fetch_optional(e).await
        })?;
        self.settle(tx, row, place).await
    }

    /// Notes the appended row, or finds out why none was appended and appends it after all.
    ///
    /// # Errors
    /// Internal if the previous version is not the stored one: the lock of the resource was not held. Or an
    /// error of the database.
    pub async fn settle(
        &self,
        tx: &mut Tx,
        row: &LogRow<'_>,
        place: Option<(i64, i64)>,
    ) -> Result<()> {
        if let Some(place) = place {
            appended(tx, row, place);
            return Ok(());
        }
        let stored: Option<i64> = on!(tx, |e| sqlx::query_scalar(AssertSqlSafe(
            self.stored_version.as_str()
        ))
        .bind(&*row.caller.shop)
        .bind(&row.id)
        .fetch_optional(e)
        .await)?;
        if stored != Some(row.version) {
            let (kind, id) = (row.kind, &row.id);
            let text = format!("{kind:?} {id} changed without its lock");
            return Err(Error::internal(text));
        }
        append_anew(tx, row).await
    }
}

/// Removes an expired request id from its row, which remains as history.
const FORGET: &str = "UPDATE change_log SET request_id = NULL, request_digest = NULL
    WHERE shop_id = $1 AND request_id = $2 AND commit_time <= $3";

/// Appends a change to the log.
///
/// The first change of a write carries the caller's request id: its body is the answer to a repeated request.
///
/// # Errors
/// An error of the database.
pub async fn append(tx: &mut Tx, caller: &Caller, now: i64, change: Change) -> Result<()> {
    let row = LogRow::new(tx, caller, now, change);
    append_row(tx, &row).await
}

/// Appends a prepared row.
///
/// # Errors
/// An error of the database.
pub async fn append_row(tx: &mut Tx, row: &LogRow<'_>) -> Result<()> {
    match insert(tx, row).await? {
        Some(place) => {
            appended(tx, row, place);
            Ok(())
        }
        None => append_anew(tx, row).await,
    }
}

/// A row of the log before it is written.
#[derive(Debug)]
pub struct LogRow<'c> {
    /// The caller that makes the change.
    pub caller: &'c Caller,
    /// The kind of the resource.
    pub kind: Kind,
    /// The last segment of the resource's name.
    pub id: String,
    /// The version that the change makes.
    pub version: i64,
    /// A random number. It distinguishes a restored copy of the log from its original.
    pub mark: i64,
    /// Whether the change deletes the resource.
    pub deleted: bool,
    /// The encoded change.
    pub payload: Vec<u8>,
    /// The request id that the row records.
    pub request: Option<&'c RequestId>,
    /// The time of the change in microseconds.
    pub now: i64,
    /// The topic that the resource leaves.
    pub left_topic: Option<String>,
}

impl<'c> LogRow<'c> {
    /// Creates the row of a change, which is the next append of this transaction.
    #[must_use]
    pub fn new(tx: &Tx, caller: &'c Caller, now: i64, change: Change) -> Self {
        let Change {
            kind,
            id,
            version,
            deleted,
            body,
            mut causes,
            left_topic,
        } = change;
        causes.truncate(MAX_CAUSES);
        let resource = (!body.is_empty()).then(|| Bytes::from(body));
        let first = !tx.has_logged();
        Self {
            caller,
            kind,
            id,
            version,
            mark: ids::new_mark(),
            deleted,
            payload: Payload { resource, causes }.encode_to_vec(),
            request: if first { caller.request.as_ref() } else { None },
            now,
            left_topic,
        }
    }
}

/// Binds the values of a [`LogRow`] to a query, in the order of the log's columns.
#[macro_export]
macro_rules! bind_log_row {
    ($query:expr, $row:expr) => {{
        let row: &$crate::feed::LogRow<'_> = $row;
        $query
            .bind(&*row.caller.shop)
            .bind(row.kind.number())
            .bind(&row.id)
            .bind(row.version)
            .bind(row.mark)
            .bind(row.deleted)
            .bind(&row.payload)
            .bind(row.request.map(|request| &*request.id))
            .bind(row.request.map(|request| &request.digest[..]))
            .bind(&*row.caller.key_id)
            .bind(row.caller.actor.as_deref())
            .bind(row.caller.on_behalf_of.as_deref())
            .bind(row.now)
            .bind(row.left_topic.as_deref())
    }};
}

/// Notes that a row was appended at the position `(xid, seq)`.
fn appended(tx: &mut Tx, row: &LogRow<'_>, (xid, seq): (i64, i64)) {
    tx.mark_logged();
    epochs::changed(tx, row.kind.number(), &row.caller.shop, &row.id);
    let (revision, mark) = (row.caller.revision.clone(), row.mark);
    tx.after_commit(move || revision.reach(Position { xid, seq, mark }));
}

/// Appends a row whose request id was in use, after the expired record of that id is removed.
async fn append_anew(tx: &mut Tx, row: &LogRow<'_>) -> Result<()> {
    forget(tx, row.caller, row.now).await?;
    // The lock of the request id is held, so no other call can have taken it.
    let place = insert(tx, row).await?.ok_or_else(|| tx.run_again())?;
    appended(tx, row, place);
    Ok(())
}

/// Inserts a row and returns its position; None if the request id is in use.
async fn insert(tx: &mut Tx, row: &LogRow<'_>) -> Result<Option<(i64, i64)>> {
    let query = APPEND.as_str();
    Ok(on_write!(tx, |e| bind_log_row!(
        sqlx::query_as(AssertSqlSafe(query)),
        row
    )
    .fetch_optional(e)
    .await)?)
}

async fn forget(tx: &mut Tx, caller: &Caller, now: i64) -> Result<()> {
    let before = now - clock::micros(limits::REQUEST_ID_RETENTION);
    let id = caller.request.as_ref().map(|request| &*request.id);
    execute!(
        tx,
        sqlx::query(FORGET)
            .bind(&*caller.shop)
            .bind(id)
            .bind(before)
    )?;
    Ok(())
}
