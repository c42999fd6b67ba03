//! The results of earlier calls with the same request id. The row of their first change holds them, or the
//! table `answers` where the answer is something else.

use bytes::Bytes;
use prost::Message;
use tonic::Code;

use super::{Change, Kind, Payload, append};
use crate::caller::{Caller, RequestId, identity};
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;
use crate::store::{Conn, LockKey, Locks, Tx};
use crate::{on, on_write};

/// The result of an earlier call with the same request id.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The kind of the changed resource.
    pub kind: Kind,
    /// The last segment of the resource's name.
    pub id: String,
    /// The version that the call made.
    pub version: i64,
    /// Whether the call deleted the resource.
    pub deleted: bool,
    /// The encoded resource of the answer. None if the resource was deleted, or if compaction has emptied the
    /// row; then the present state is the answer.
    pub body: Option<Bytes>,
}

impl Replay {
    /// The decoded answer. None if the present state is the answer.
    ///
    /// # Errors
    /// If the stored bytes are not such a message.
    pub fn answer<M: Message + Default>(&self) -> Result<Option<M>> {
        let decode = |body: &Bytes| {
            M::decode(body.clone()).map_err(|e| Error::corrupt("change_log", &self.id, e))
        };
        self.body.as_ref().map(decode).transpose()
    }
}

#[derive(sqlx_macros::FromRow)]
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

/// Finds the result of an earlier call with the caller's request id; None if there is no request id or it is
/// new. Every mutation calls this first.
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

/// As [`replay`], for a statement that has read the row together with other rows.
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

/// Whether the caller itself made the earlier call with its request id. A request id does not depend on its
/// sender, but the answer may show something that only the first caller may see.
///
/// # Errors
/// An error of the database.
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

/// The refusal of a request id that another request has used.
#[must_use]
pub fn request_id_reused() -> Error {
    Error::new(
        Code::InvalidArgument,
        ErrorReason::RequestIdReused,
        "the request id was used for another request; send each new request with a new id",
    )
}

/// Records the caller's request id for a call that changed nothing, so that a repeat gets the same answer
/// even if other calls come in between. `id` is the last segment of the name of the resource. Without a
/// request id nothing is recorded.
///
/// # Errors
/// An error of the database.
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

/// Stores an answer that is not the body of one change, in the transaction of its effect. `names` are the
/// resources in the answer, so that an erasure finds it. Without a request id nothing is stored.
///
/// # Errors
/// An error of the database.
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

/// Stores the answer of one part of a call that takes several transactions, in the transaction of the part.
/// After an interruption, a repeat finds the finished parts. `part` is the number of the part in the call.
/// Without a request id nothing is stored.
///
/// # Errors
/// An error of the database.
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

/// The key of the answer of a part. It equals no request id, because those contain no end of line.
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

/// The stored answer for the caller's request id.
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

/// The locks for a caller's request id: two calls with one id run one after the other.
#[must_use]
pub fn locks(caller: &Caller) -> Locks {
    match &caller.request {
        Some(request) => Locks::none().and(LockKey::of("request", &caller.shop, &request.id)),
        None => Locks::none(),
    }
}
