//! Creating, updating and deleting resources.
//!
//! Every write has the same steps: the answer to a repeated request, the resource as it is, its etag, the fields that
//! change, the rules of the area, the row, the change in the log, and the effects in the area.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use prost_types::FieldMask;
use tonic::Code;

use super::stored::{self, Faults, Resource, name_of, not_found};
use super::tombstone;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Change, Replay};
use crate::proto::pb::ErrorReason;
use crate::store::{Conn, Locks, Store, Tx};
use crate::{ids, mask};

/// Creates a resource. If `id` is empty, it gets a new one.
///
/// # Errors
/// NAME_TAKEN, INVALID_FIELD, the area's.
pub async fn create<R: Resource>(
    store: &Store,
    caller: Caller,
    id: String,
    sent: Option<R::Message>,
    validate_only: bool,
) -> Result<R::Message> {
    let mut new = R::default();
    *new.head_mut().id = if id.is_empty() { ids::new_id() } else { id };
    create_from(store, caller, new, sent, validate_only).await
}

/// Creates a resource from `new`, which has its id and the values that no field of the message has.
///
/// # Errors
/// As [`create`].
pub async fn create_from<R: Resource>(
    store: &Store,
    caller: Caller,
    mut new: R,
    sent: Option<R::Message>,
    validate_only: bool,
) -> Result<R::Message> {
    let now = store.clock().now();
    let sent = sent.unwrap_or_default();
    let mut faults = Faults::none(R::NOUN);
    for path in mask::writable::<R::Message>() {
        new.set(&sent, path, &mut faults);
    }
    faults.into_result()?;
    let head = new.head_mut();
    (*head.create_time, *head.update_time) = (now, now);
    let locks = locks::<R>(&caller, new.head().0);
    write(
        store,
        validate_only,
        locks,
        (caller, new, now),
        |tx, (caller, new, now)| insert(tx, caller, new.clone(), *now).boxed(),
    )
    .await
}

/// Updates the fields of a resource that a mask names, or, without one, those that were sent.
///
/// # Errors
/// NOT_FOUND, ETAG_MISMATCH, INVALID_FIELD, the area's.
pub async fn update<R: Resource>(
    store: &Store,
    caller: Caller,
    sent: Option<R::Message>,
    update_mask: Option<&FieldMask>,
    validate_only: bool,
) -> Result<R::Message> {
    let now = store.clock().now();
    let sent = sent.unwrap_or_default();
    let (name, etag) = (R::table().name_in(&sent), R::etag_in(&sent));
    if name.is_empty() {
        let path = format!("{}.name", R::NOUN);
        return Err(Error::invalid_field(path, "REQUIRED", "a name is required"));
    }
    let id = R::table().id_of(name).to_owned();
    let locks = locks::<R>(&caller, &id);
    let update = Update::<R> {
        paths: mask::of(update_mask, &sent)?,
        etag: etag.to_owned(),
        caller,
        id,
        sent,
        now,
    };
    write(store, validate_only, locks, update, |tx, update| {
        update.run(tx).boxed()
    })
    .await
}

/// Deletes a resource.
///
/// # Errors
/// NOT_FOUND, ETAG_MISMATCH, the area's.
pub async fn delete<R: Resource>(
    store: &Store,
    caller: Caller,
    name: &str,
    etag: String,
) -> Result<()> {
    let now = store.clock().now();
    let id = R::table().id_of(name).to_owned();
    let locks = locks::<R>(&caller, &id);
    let work = (caller, id, etag, now);
    store
        .write_with(locks, work, |tx, (caller, id, etag, now)| {
            delete_row::<R>(tx, caller, id, etag, *now).boxed()
        })
        .await
        .map(drop)
}

/// Runs the write, or a dry run of it.
async fn write<T, D, F>(
    store: &Store,
    validate_only: bool,
    locks: Locks,
    data: D,
    f: F,
) -> Result<T>
where
    T: Send + 'static,
    D: Send + Sync + 'static,
    F: for<'t> Fn(&'t mut Tx, &'t D) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    if validate_only {
        store.dry_run(locks, data, f).await
    } else {
        store.write_with(locks, data, f).await
    }
}

/// The locks of a write of one resource.
pub fn locks<R: Resource>(caller: &Caller, id: &str) -> Locks {
    feed::locks(caller).and(R::lock(&caller.shop, id))
}

struct Update<R: Resource> {
    caller: Caller,
    id: String,
    etag: String,
    sent: R::Message,
    paths: Vec<&'static str>,
    now: i64,
}

impl<R: Resource> Update<R> {
    async fn run(&self, tx: &mut Tx) -> Result<R::Message> {
        let Self {
            caller, id, now, ..
        } = self;
        if let Some(replay) = feed::replay(tx, caller).await? {
            return answer_again::<R>(tx, caller, &replay).await;
        }
        let before = seen::<R>(tx, caller, id).await?;
        R::may_be_written(tx, caller, id).await?;
        feed::check_etag(&self.etag, &name_of::<R>(id), before.head().1)?;
        let mut after = before.clone();
        let mut faults = Faults::none(R::NOUN);
        for path in &self.paths {
            after.set(&self.sent, path, &mut faults);
        }
        faults.into_result()?;
        R::check(tx, caller, Some(&before), &mut after).await?;
        change(tx, caller, &before, after, *now).await
    }
}

async fn insert<R: Resource>(
    tx: &mut Tx,
    caller: &Caller,
    mut new: R,
    now: i64,
) -> Result<R::Message> {
    if let Some(replay) = feed::replay(tx, caller).await? {
        return answer_again::<R>(tx, caller, &replay).await;
    }
    let (id, shop) = (new.head().0.to_owned(), &*caller.shop);
    R::may_be_written(tx, caller, &id).await?;
    if stored::load::<R>(tx, shop, &id).await?.is_some() {
        return Err(name_taken::<R>(&id));
    }
    let last = tombstone::last_version(tx, shop, R::table().kind, &id).await?;
    *new.head_mut().version = last + 1;
    R::check(tx, caller, None, &mut new).await?;
    insert_row(tx, caller, &new, now).await
}

/// Writes the row of a new resource and its change. `new` has its version.
///
/// # Errors
/// The database's, and the area's.
pub async fn insert_row<R: Resource>(
    tx: &mut Tx,
    caller: &Caller,
    new: &R,
    now: i64,
) -> Result<R::Message> {
    let answer = append(tx, caller, None, new, now).await?;
    R::written(tx, caller, None, Some(new), now).await?;
    Ok(answer)
}

/// Writes a changed resource as its next version. Without a change there is no new version.
///
/// # Errors
/// The database's, and the area's.
pub async fn change<R: Resource>(
    tx: &mut Tx,
    caller: &Caller,
    before: &R,
    mut after: R,
    now: i64,
) -> Result<R::Message> {
    if after == *before {
        let answer = before.message();
        feed::remember(tx, caller, now, before.head().0, &answer).await?;
        return Ok(answer);
    }
    let head = after.head_mut();
    *head.version = before.head().1 + 1;
    *head.update_time = now;
    let answer = append(tx, caller, Some(before), &after, now).await?;
    R::written(tx, caller, Some(before), Some(&after), now).await?;
    Ok(answer)
}

async fn append<R: Resource>(
    tx: &mut Tx,
    caller: &Caller,
    before: Option<&R>,
    resource: &R,
    now: i64,
) -> Result<R::Message> {
    let (id, version) = resource.head();
    let message = resource.message();
    stored::put(tx, &caller.shop, resource, &message).await?;
    let change = Change::upserted(R::table().kind, id, version, &message);
    let left = before.and_then(|before| left(before, Some(&message)));
    feed::append(tx, caller, now, change.leaving(left)).await?;
    Ok(message)
}

/// The audience that loses sight of a resource by a change.
fn left<R: Resource>(before: &R, after: Option<&R::Message>) -> Option<String> {
    let owned = &R::table().owned;
    match owned.is_some() {
        true => owned.left(&before.message(), after),
        false => None,
    }
}

/// Deletes a resource, unless an earlier call with the request id did. Returns whether this call deleted it.
///
/// # Errors
/// NOT_FOUND, ETAG_MISMATCH, the area's.
pub async fn delete_row<R: Resource>(
    tx: &mut Tx,
    caller: &Caller,
    id: &str,
    etag: &str,
    now: i64,
) -> Result<bool> {
    if feed::replay(tx, caller).await?.is_some() {
        require_own_request::<R>(tx, caller).await?;
        return Ok(false);
    }
    let before = seen::<R>(tx, caller, id).await?;
    R::may_be_written(tx, caller, id).await?;
    feed::check_etag(etag, &name_of::<R>(id), before.head().1)?;
    before.may_be_deleted()?;
    let (kind, version) = (R::table().kind, before.head().1 + 1);
    stored::remove::<R>(tx, &caller.shop, id).await?;
    tombstone::put(tx, &caller.shop, kind, id, version, now).await?;
    let change = Change::deleted(kind, id, version).leaving(left(&before, None));
    feed::append(tx, caller, now, change).await?;
    R::written(tx, caller, Some(&before), None, now).await?;
    Ok(true)
}

/// Reads the resource with this id.
///
/// # Errors
/// NOT_FOUND.
pub async fn existing<R: Resource>(conn: &mut Conn, shop: &str, id: &str) -> Result<R> {
    let found = stored::load(conn, shop, id).await?;
    found.ok_or_else(not_found::<R>)
}

/// Reads the resource with this id, if the caller sees it.
async fn seen<R: Resource>(conn: &mut Conn, caller: &Caller, id: &str) -> Result<R> {
    let found: R = existing(conn, &caller.shop, id).await?;
    let owned = &R::table().owned;
    if !owned.is_some() || owned.shows(caller, &found.message()) {
        Ok(found)
    } else {
        Err(not_found::<R>())
    }
}

/// The error for a name that is in use.
pub fn name_taken<R: Resource>(id: &str) -> Error {
    let text = format!("another {} has this id", R::NOUN);
    Error::new(Code::AlreadyExists, ErrorReason::NameTaken, text).with("name", name_of::<R>(id))
}

/// Returns the answer of the first call or, if it is no longer kept, the present resource.
async fn answer_again<R: Resource>(
    conn: &mut Conn,
    caller: &Caller,
    replay: &Replay,
) -> Result<R::Message> {
    require_own_request::<R>(conn, caller).await?;
    match replay.answer()? {
        Some(answer) => Ok(answer),
        None => Ok(seen::<R>(conn, caller, &replay.id).await?.message()),
    }
}

/// If resources have owners, refuses a request id that another caller used for an equal request, because the answer
/// may show a resource that this caller does not see.
async fn require_own_request<R: Resource>(conn: &mut Conn, caller: &Caller) -> Result<()> {
    if R::table().owned.is_some() && !feed::is_repeated_by_its_caller(conn, caller).await? {
        return Err(feed::request_id_reused());
    }
    Ok(())
}
