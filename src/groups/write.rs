//! What creating, updating and deleting a group does within its transaction.

use tonic::Code;

use super::memberships::sql as memberships_sql;
use super::model::{Group, State, name};
use super::{convert, reprice, sql};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Change, Kind, Replay};
use crate::jobs::{self, JobKind, NewJob};
use crate::proto::pb::{self, ErrorReason};
use crate::store::{Conn, Tx};

pub(super) struct Create {
    pub(super) caller: Caller,
    pub(super) now: i64,
    pub(super) id: String,
    pub(super) group: Group,
}

pub(super) async fn create(tx: &mut Tx, create: &Create) -> Result<pb::Group> {
    let Create {
        caller,
        now,
        id,
        group,
    } = create;
    let now = *now;
    let shop = &*caller.shop;
    if let Some(replay) = feed::replay(tx, caller).await? {
        return answer_again(tx, shop, &replay).await;
    }
    // A deleted group keeps its name until its last member is out: else the work of taking them out
    // would meet members of the new one.
    let taken = sql::get(tx, shop, id).await?.is_some()
        || !memberships_sql::granted(tx, shop, id, i64::MAX, 1)
            .await?
            .is_empty();
    if taken {
        return Err(name_taken(id));
    }
    let version = sql::last_version(tx, shop, id).await? + 1;
    let group = Group {
        id: id.clone(),
        version,
        pricing_revision: version,
        create_time: now,
        update_time: now,
        ..group.clone()
    };
    sql::put(tx, shop, &group).await?;
    written(tx, caller, &group, now).await
}

fn name_taken(id: &str) -> Error {
    let text = "there is a group of this name";
    Error::new(Code::AlreadyExists, ErrorReason::NameTaken, text).with("name", name(id))
}

pub(super) struct Update {
    pub(super) caller: Caller,
    pub(super) now: i64,
    pub(super) id: String,
    pub(super) etag: String,
    pub(super) update: convert::Update,
}

pub(super) async fn update(tx: &mut Tx, update: &Update) -> Result<pb::Group> {
    let Update {
        caller,
        now,
        id,
        etag,
        update,
    } = update;
    let now = *now;
    let shop = &*caller.shop;
    if let Some(replay) = feed::replay(tx, caller).await? {
        return answer_again(tx, shop, &replay).await;
    }
    let before = existing(tx, shop, id).await?;
    feed::check_etag(etag, &before.name(), before.version)?;
    let mut group = update.apply(&before)?;
    if group.state == State::Disabled && !group.special.is_none() {
        return Err(special(&group, "a special group cannot be disabled"));
    }
    if group == before {
        let answer = convert::message(&before);
        feed::remember(tx, caller, now, id, &answer).await?;
        return Ok(answer);
    }
    group.version += 1;
    group.update_time = now;
    let repriced = group.effective_discount() != before.effective_discount();
    if repriced {
        group.pricing_revision = group.version;
    }
    sql::put(tx, shop, &group).await?;
    let answer = written(tx, caller, &group, now).await?;
    if repriced {
        reprice(tx, caller, id, now).await?;
    }
    Ok(answer)
}

pub(super) struct Delete {
    pub(super) caller: Caller,
    pub(super) now: i64,
    pub(super) id: String,
    pub(super) etag: String,
}

/// Deletes a group; gives the operation that takes its members out.
pub(super) async fn delete(tx: &mut Tx, delete: &Delete) -> Result<Option<String>> {
    let Delete {
        caller,
        now,
        id,
        etag,
    } = delete;
    let now = *now;
    let shop = &*caller.shop;
    if feed::replay(tx, caller).await?.is_some() {
        return jobs::latest(tx, shop, JobKind::DeleteGroup, &name(id)).await;
    }
    let group = existing(tx, shop, id).await?;
    feed::check_etag(etag, &group.name(), group.version)?;
    if !group.special.is_none() {
        return Err(special(&group, "a special group cannot be deleted"));
    }
    let version = group.version + 1;
    sql::delete(tx, shop, id).await?;
    sql::bury(tx, shop, id, version, now).await?;
    feed::append(
        tx,
        caller,
        now,
        Change::deleted(Kind::Group, id.as_str(), version),
    )
    .await?;
    let job = NewJob::now(JobKind::DeleteGroup, name(id), now);
    jobs::enqueue(tx, caller, now, job).await.map(Some)
}

fn special(group: &Group, text: &'static str) -> Error {
    Error::new(Code::FailedPrecondition, ErrorReason::GroupSpecial, text)
        .with("special", group.special.text())
}

/// The group, which has to be there.
pub(crate) async fn existing(conn: &mut Conn, shop: &str, id: &str) -> Result<Group> {
    sql::get(conn, shop, id)
        .await?
        .ok_or_else(|| Error::not_found("group"))
}

/// Appends a written group to the feed; its message is the answer.
async fn written(tx: &mut Tx, caller: &Caller, group: &Group, now: i64) -> Result<pb::Group> {
    let message = convert::message(group);
    let change = Change::upserted(Kind::Group, group.id.as_str(), group.version, &message);
    feed::append(tx, caller, now, change).await?;
    Ok(message)
}

/// The answer of the first time, or, where it is not kept any more, what there is now.
async fn answer_again(conn: &mut Conn, shop: &str, replay: &Replay) -> Result<pb::Group> {
    match replay.answer()? {
        Some(answer) => Ok(answer),
        None => Ok(convert::message(&existing(conn, shop, &replay.id).await?)),
    }
}
