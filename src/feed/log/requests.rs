//! What earlier calls with the same request id did: in the row of their first change, or, where the answer
//! is something else, beside the log.

use bytes::Bytes;
use prost::Message;
use tonic::Code;

use super::{Change, Kind, Payload, append};
use crate::caller::{Caller, RequestId, identity};
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;
use crate::store::{Conn, LockKey, Locks, Tx};
use crate::{on, on_write};

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
    let body = match payload {
        Some(payload) => {
            Payload::decode(&*payload)
                .map_err(|error| Error::corrupt("change_log", &id, error))?
                .resource
        }
        None => None,
    };
    Ok(Replay {
        kind: Kind::new(kind),
        id,
        version,
        deleted,
        body,
    })
}

const REQUESTER: &str = "SELECT key_id, actor
    FROM change_log WHERE shop_id = $1 AND request_id = $2 AND commit_time > $3";

/// Whether the caller itself made the earlier call with its request id. Equal requests have one id whoever sends them,
/// but the answer may show something that only the first caller may see.
///
/// # Errors
/// The database's.
pub async fn is_repeated_by_its_caller(conn: &mut Conn, caller: &Caller) -> Result<bool> {
    let Some(request) = &caller.request else {
        return Ok(false);
    };
    let requester: Option<(String, Option<String>)> = on!(conn, |e| sqlx::query_as(REQUESTER)
        .bind(&*caller.shop)
        .bind(&*request.id)
        .bind(caller.remembered_since())
        .fetch_optional(e)
        .await)?;
    Ok(requester
        .is_some_and(|(key_id, actor)| identity(&key_id, actor.as_deref()) == caller.identity()))
}

fn check_digest(caller: &Caller, stored: Option<&[u8]>) -> Result<()> {
    let sent = caller.request.as_ref().map(|request| &request.digest[..]);
    if stored.is_some() && stored == sent {
        return Ok(());
    }
    Err(request_id_reused())
}

/// The request id was used for another request.
#[must_use]
pub fn request_id_reused() -> Error {
    Error::new(
        Code::InvalidArgument,
        ErrorReason::RequestIdReused,
        "the request id was used for another request",
    )
}

/// Records the caller's request id where the call changed nothing, so that a repeat is answered as this
/// one, whatever happened in between. `id` is the last part of the name of the resource that the call was
/// about. Without a request id nothing is recorded.
///
/// # Errors
/// The database's.
pub async fn remember(
    tx: &mut Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    answer: &impl Message,
) -> Result<()> {
    if caller.request.is_none() || tx.has_logged() {
        return Ok(());
    }
    append(
        tx,
        caller,
        now,
        Change::upserted(Kind::REQUEST, id, 0, answer),
    )
    .await
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
    match &caller.request {
        Some(request) => store_answer(tx, caller, request, &request.id, now, answer, names).await,
        None => Ok(()),
    }
}

/// Stores the answer of one part of a call that works in several transactions, in that of the part's
/// effect, so that a repeat after the call was interrupted finds what was done. `part` is the number of
/// the part in the call. Without a request id nothing is stored.
///
/// # Errors
/// The database's.
pub async fn answer_part(
    tx: &mut Tx,
    caller: &Caller,
    part: usize,
    now: i64,
    answer: &impl Message,
    names: &[String],
) -> Result<()> {
    match &caller.request {
        Some(request) => {
            let key = part_key(&request.id, part);
            store_answer(tx, caller, request, &key, now, answer, names).await
        }
        None => Ok(()),
    }
}

/// Under what the answer of a part is stored. No request id has such a form, as the end of a line is no
/// character of one.
fn part_key(id: &str, part: usize) -> String {
    format!("{id}\n{part}")
}

async fn store_answer(
    tx: &mut Tx,
    caller: &Caller,
    request: &RequestId,
    key: &str,
    now: i64,
    answer: &impl Message,
    names: &[String],
) -> Result<()> {
    on_write!(tx, |e| sqlx::query(STORE_ANSWER)
        .bind(&*caller.shop)
        .bind(key)
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
    match &caller.request {
        Some(request) => find_answer(conn, caller, &request.id).await,
        None => Ok(None),
    }
}

/// The answer that [`answer_part`] stored for a part of a call with the caller's request id.
///
/// # Errors
/// REQUEST_ID_REUSED if the earlier call was another request.
pub async fn answered_part<M: Message + Default>(
    conn: &mut Conn,
    caller: &Caller,
    part: usize,
) -> Result<Option<M>> {
    match &caller.request {
        Some(request) => find_answer(conn, caller, &part_key(&request.id, part)).await,
        None => Ok(None),
    }
}

async fn find_answer<M: Message + Default>(
    conn: &mut Conn,
    caller: &Caller,
    key: &str,
) -> Result<Option<M>> {
    let row: Option<(Vec<u8>, Option<Vec<u8>>)> = on!(conn, |e| sqlx::query_as(FIND_ANSWER)
        .bind(&*caller.shop)
        .bind(key)
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
        .map_err(|error| Error::corrupt("answers", key, error))
}

/// The locks that a caller's request id asks for: two calls with one id follow each other.
#[must_use]
pub fn locks(caller: &Caller) -> Locks {
    match &caller.request {
        Some(request) => Locks::none().and(LockKey::of("request", &caller.shop, &request.id)),
        None => Locks::none(),
    }
}
