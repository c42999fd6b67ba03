//! The change log: every mutation appends to it in its own transaction, and its row is also the
//! record of the mutation's request id.
//!
//! Invariant: a change is appended while the lock of its resource is held, so that the order of the
//! log (`xid`, then `seq`) follows the order of each resource's versions.

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;
use tonic::Code;

use super::position::Position;
use crate::access::{Caller, RequestId};
use crate::error::{Error, Result};
use crate::proto::pb::{CartCause, ErrorReason};
use crate::store::{Conn, Engine, LockKey, Locks, Tx, dialect};
use crate::{clock, epochs, ids, limits};
use crate::{execute, on, on_write};

/// What a row of the change log is about. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i64)]
pub enum Kind {
    /// A customer.
    Customer = 1,
    /// A group.
    Group = 2,
    /// A cart.
    Cart = 3,
    /// An address of a customer.
    Address = 4,
    /// A title.
    Title = 5,
    /// A shop.
    Shop = 6,
    /// The settings of a shop.
    Settings = 7,
    /// An API key.
    ApiKey = 8,
    /// An operation.
    Operation = 9,
    /// The memberships of several customers, changed by one request.
    Membership = 10,
}

impl Kind {
    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }
}

/// The most causes that a change tells.
pub const MAX_CAUSES: usize = 16;

/// One change of one resource, as a mutation appends it.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it is about.
    pub kind: Kind,
    /// The last part of the resource's name.
    pub id: String,
    /// The version that the change made.
    pub version: i64,
    /// Whether the resource is gone.
    pub deleted: bool,
    /// The encoded resource without its derived fields; empty if it is gone.
    pub body: Vec<u8>,
    /// What happened, for carts; what is beyond [`MAX_CAUSES`] is left out.
    pub causes: Vec<CartCause>,
    /// The topic under which it was watched until now, if it is not any more.
    pub left_topic: Option<String>,
}

impl Change {
    /// A new or changed resource.
    pub fn upserted(kind: Kind, id: impl Into<String>, version: i64, body: &impl Message) -> Self {
        let (body, causes) = (body.encode_to_vec(), Vec::new());
        Self {
            kind,
            id: id.into(),
            version,
            deleted: false,
            body,
            causes,
            left_topic: None,
        }
    }

    /// A resource that is gone; `version` is one more than its last.
    pub fn deleted(kind: Kind, id: impl Into<String>, version: i64) -> Self {
        let (body, causes) = (Vec::new(), Vec::new());
        Self {
            kind,
            id: id.into(),
            version,
            deleted: true,
            body,
            causes,
            left_topic: None,
        }
    }

    /// The change with what happened.
    #[must_use]
    pub fn because(mut self, causes: Vec<CartCause>) -> Self {
        self.causes = causes;
        self
    }

    /// The change as the end of a topic: who watches that is told, also where the resource does not show
    /// any more that it had it.
    #[must_use]
    pub fn leaving(mut self, topic: Option<String>) -> Self {
        self.left_topic = topic;
        self
    }
}

/// The payload of a row: fields of the change message in the contract, by their numbers there, so
/// that a stream can send it as it is.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    /// `CartChange.cart`, `CustomerChange.customer`, `GroupChange.group`.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(super) resource: Option<Bytes>,
    /// `CartChange.causes`.
    #[prost(message, repeated, tag = "7")]
    pub(super) causes: Vec<CartCause>,
}

/// The columns that an append sets; `seq` and `xid` come by themselves.
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

/// The placeholders of a row behind so many others.
fn placeholders(others: usize) -> String {
    let all: Vec<String> = (1..=COLUMN_COUNT)
        .map(|number| format!("${}", others + number))
        .collect();
    all.join(", ")
}

/// A statement that writes the next version of a resource into its row, and the append of the change, in
/// one message to the database: each message costs a hand-over, which is most of what a small write takes.
#[derive(Debug)]
pub struct WithAppend {
    sqlite: String,
    postgres: String,
    stored_version: String,
}

impl WithAppend {
    /// Of an `UPDATE` of the row in `table` that has the version before, with so many placeholders. The
    /// row of the log is bound behind those, with [`bind_log_row!`](crate::bind_log_row).
    #[must_use]
    pub fn after(table: &str, update: &str, placeholders_of_it: usize) -> Self {
        let insert = format!("INSERT INTO change_log ({COLUMNS})");
        let values = placeholders(placeholders_of_it);
        let rest = format!("{ONCE} {PLACE}");
        let text = |engine| dialect::write_then_insert(engine, update, &insert, &values, &rest);
        Self {
            sqlite: text(Engine::Sqlite),
            postgres: text(Engine::Postgres),
            stored_version: format!("SELECT version FROM {table} WHERE shop_id = $1 AND id = $2"),
        }
    }

    /// The text. It gives the place of the row in the log, if the row of the resource was changed and the
    /// request id is not in use: hand that to [`settle`](Self::settle).
    #[must_use]
    pub fn text(&self, engine: Engine) -> &str {
        match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        }
    }

    /// Notes what was appended, or finds out why nothing was and appends it after all.
    ///
    /// # Errors
    /// Internal when the version before is not the stored one: the lock of the resource was not held. The
    /// database's.
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

/// The record of a request id is given up when its time is over, though its row is still history.
const FORGET: &str = "UPDATE change_log SET request_id = NULL, request_digest = NULL
    WHERE shop_id = $1 AND request_id = $2 AND commit_time <= $3";

/// Appends a change to the log.
///
/// The first change that a write appends carries the caller's request id: its body is the answer to a
/// repeated request.
///
/// # Errors
/// The database's.
pub async fn append(tx: &mut Tx, caller: &Caller, now: i64, change: Change) -> Result<()> {
    let row = LogRow::new(tx, caller, now, change);
    append_row(tx, &row).await
}

/// Appends a row that was made before.
///
/// # Errors
/// The database's.
pub async fn append_row(tx: &mut Tx, row: &LogRow<'_>) -> Result<()> {
    match insert(tx, row).await? {
        Some(place) => {
            appended(tx, row, place);
            Ok(())
        }
        None => append_anew(tx, row).await,
    }
}

/// A row of the log that is to be written.
#[derive(Debug)]
pub struct LogRow<'c> {
    /// Who makes the change.
    pub caller: &'c Caller,
    /// What it is about.
    pub kind: Kind,
    /// The last part of the resource's name.
    pub id: String,
    /// The version that the change makes.
    pub version: i64,
    /// By which a restored copy is told from its original.
    pub mark: i64,
    /// Whether the resource is gone.
    pub deleted: bool,
    /// The encoded change.
    pub payload: Vec<u8>,
    /// The request id that the row is the record of.
    pub request: Option<&'c RequestId>,
    /// When it is made.
    pub now: i64,
    /// The topic that it ends.
    pub left_topic: Option<String>,
}

impl<'c> LogRow<'c> {
    /// The row of a change, which comes next in this transaction.
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

/// Notes that a row was appended at this place, `(xid, seq)`.
fn appended(tx: &mut Tx, row: &LogRow<'_>, (xid, seq): (i64, i64)) {
    tx.mark_logged();
    epochs::changed(tx, row.kind.number(), &row.caller.shop, &row.id);
    let (revision, mark) = (row.caller.revision.clone(), row.mark);
    tx.after_commit(move || revision.reach(Position { xid, seq, mark }));
}

/// Appends a row whose request id stood in the way, once the record of that is given up.
async fn append_anew(tx: &mut Tx, row: &LogRow<'_>) -> Result<()> {
    forget(tx, row.caller, row.now).await?;
    // The lock of the request id is held, so that nobody else can have taken it.
    let place = insert(tx, row).await?.ok_or_else(|| tx.run_again())?;
    appended(tx, row, place);
    Ok(())
}

/// Writes a row and gives its place; none if the request id is in use.
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

/// What an earlier call with the same request id did.
#[derive(Debug, Clone)]
pub struct Replay {
    /// What it changed.
    pub kind: Kind,
    /// The last part of the resource's name.
    pub id: String,
    /// The version that it made.
    pub version: i64,
    /// Whether it deleted the resource.
    pub deleted: bool,
    /// The encoded resource as it was answered. None if compaction has emptied the row (the answer is
    /// then the present state) or the resource is gone.
    pub body: Option<Bytes>,
}

impl Replay {
    /// The answer, decoded. None if the present state has to serve.
    ///
    /// # Errors
    /// When the stored bytes are not such a message.
    pub fn answer<M: Message + Default>(&self) -> Result<Option<M>> {
        let decode = |body: &Bytes| {
            M::decode(body.clone()).map_err(|e| Error::corrupt("change_log", &self.id, e))
        };
        self.body.as_ref().map(decode).transpose()
    }
}

#[derive(sqlx::FromRow)]
struct RequestRow {
    kind: i64,
    resource_id: String,
    version: i64,
    deleted: bool,
    payload: Option<Vec<u8>>,
    request_digest: Option<Vec<u8>>,
}

const FIND_REQUEST: &str = "SELECT kind, resource_id, version, deleted, payload, request_digest
    FROM change_log WHERE shop_id = $1 AND request_id = $2 AND commit_time > $3";

/// What an earlier call with the caller's request id did; None if there is no request id or it is
/// new. The first thing that a mutation asks.
///
/// # Errors
/// REQUEST_ID_REUSED if the earlier call was another request.
pub async fn replay(conn: &mut Conn, caller: &Caller) -> Result<Option<Replay>> {
    let Some(request) = &caller.request else {
        return Ok(None);
    };
    let row: Option<RequestRow> = on!(conn, |e| sqlx::query_as(FIND_REQUEST)
        .bind(&*caller.shop)
        .bind(&*request.id)
        .bind(caller.remembered_since())
        .fetch_optional(e)
        .await)?;
    let Some(row) = row else { return Ok(None) };
    let digest = row.request_digest.as_deref();
    replayed(
        caller,
        digest,
        row.kind,
        row.resource_id,
        row.version,
        row.deleted,
        row.payload,
    )
    .map(Some)
}

/// As [`replay`], for a statement that has read the row together with something else.
///
/// # Errors
/// REQUEST_ID_REUSED if the earlier call was another request.
pub fn replayed(
    caller: &Caller,
    digest: Option<&[u8]>,
    kind: i64,
    id: String,
    version: i64,
    deleted: bool,
    payload: Option<Vec<u8>>,
) -> Result<Replay> {
    check_digest(caller, digest)?;
    let kind = match kind {
        1 => Kind::Customer,
        2 => Kind::Group,
        3 => Kind::Cart,
        4 => Kind::Address,
        5 => Kind::Title,
        6 => Kind::Shop,
        7 => Kind::Settings,
        8 => Kind::ApiKey,
        9 => Kind::Operation,
        10 => Kind::Membership,
        other => return Err(Error::corrupt("change_log", &id, format!("kind {other}"))),
    };
    let body = match payload {
        Some(payload) => {
            Payload::decode(&*payload)
                .map_err(|error| Error::corrupt("change_log", &id, error))?
                .resource
        }
        None => None,
    };
    Ok(Replay {
        kind,
        id,
        version,
        deleted,
        body,
    })
}

fn check_digest(caller: &Caller, stored: Option<&[u8]>) -> Result<()> {
    let sent = caller.request.as_ref().map(|request| &request.digest[..]);
    if stored.is_some() && stored == sent {
        return Ok(());
    }
    Err(Error::new(
        Code::InvalidArgument,
        ErrorReason::RequestIdReused,
        "the request id was used for another request",
    ))
}

const STORE_ANSWER: &str = "INSERT INTO answers
    (shop_id, request_id, digest, answer, names, create_time) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (shop_id, request_id) DO UPDATE SET digest = excluded.digest,
    answer = excluded.answer, names = excluded.names, create_time = excluded.create_time";

/// Stores an answer that is not the body of one change, in the transaction of its effect. `names` are
/// the resources that it speaks of, so that an erasure finds it. Without a request id nothing is
/// stored.
///
/// # Errors
/// The database's.
pub async fn answer(
    tx: &mut Tx,
    caller: &Caller,
    now: i64,
    answer: &impl Message,
    names: &[String],
) -> Result<()> {
    let Some(request) = &caller.request else {
        return Ok(());
    };
    on_write!(tx, |e| sqlx::query(STORE_ANSWER)
        .bind(&*caller.shop)
        .bind(&*request.id)
        .bind(&request.digest[..])
        .bind(answer.encode_to_vec())
        .bind(names.join(" "))
        .bind(now)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const FIND_ANSWER: &str = "SELECT digest, answer FROM answers
    WHERE shop_id = $1 AND request_id = $2 AND create_time > $3";

/// The answer that was stored for the caller's request id.
///
/// # Errors
/// REQUEST_ID_REUSED if the earlier call was another request.
pub async fn answered<M: Message + Default>(conn: &mut Conn, caller: &Caller) -> Result<Option<M>> {
    let Some(request) = &caller.request else {
        return Ok(None);
    };
    let row: Option<(Vec<u8>, Option<Vec<u8>>)> = on!(conn, |e| sqlx::query_as(FIND_ANSWER)
        .bind(&*caller.shop)
        .bind(&*request.id)
        .bind(caller.remembered_since())
        .fetch_optional(e)
        .await)?;
    let Some((digest, answer)) = row else {
        return Ok(None);
    };
    check_digest(caller, Some(&digest))?;
    let answer = answer.unwrap_or_default();
    M::decode(&*answer)
        .map(Some)
        .map_err(|error| Error::corrupt("answers", &request.id, error))
}

/// The locks that a caller's request id asks for: two calls with one id follow each other.
#[must_use]
pub fn locks(caller: &Caller) -> Locks {
    match &caller.request {
        Some(request) => Locks::none().and(LockKey::of("request", &caller.shop, &request.id)),
        None => Locks::none(),
    }
}

/// The etag of a version of a resource, quoted as in RFC 9110. `name` is the full name.
#[must_use]
pub fn etag(name: &str, version: i64) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let [a, b, c, d, ..] = *digest else {
        unreachable!("SHA-256 has 32 bytes")
    };
    format!("\"{version}-{:08x}\"", u32::from_be_bytes([a, b, c, d]))
}

/// Checks the etag that a caller sent, if it sent one.
///
/// # Errors
/// ETAG_MISMATCH with the current one.
pub fn check_etag(sent: &str, name: &str, version: i64) -> Result<()> {
    if sent.is_empty() {
        return Ok(());
    }
    let current = etag(name, version);
    if sent == current {
        Ok(())
    } else {
        Err(Error::etag_mismatch(&current))
    }
}
