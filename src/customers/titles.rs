//! Titles: the forms of address of a shop, as Mr. or Ms.
//!
//! A customer keeps the name of a title that was deleted; it then reads as unknown.

mod sql;

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::Code;

use super::{
    convert::{title_id, title_name},
    model::{Gender, Title},
    tombstones,
};
use crate::{
    caller::Caller,
    error::{Error, Result},
    feed::{self, Change, Kind},
    format, ids, list, mask,
    proto::pb::{self, ErrorReason},
    store::{Conn, LockKey, Locks, PageToken, RequestDigest, Store, Tx},
};

const WRITABLE: &[&str] = &["display_names", "gender"];
const IGNORED: &[&str] = &["name", "create_time", "update_time", "etag"];

/// The titles that every shop begins with: id, gender and the names by language.
const DEFAULTS: [DefaultTitle; 4] = [
    ("mr", Gender::Male, &[("en", "Mr."), ("fr", "M.")]),
    ("ms", Gender::Female, &[("en", "Ms."), ("fr", "Mme")]),
    ("miss", Gender::Female, &[("en", "Miss"), ("fr", "Mlle")]),
    (
        "unknown",
        Gender::Neutral,
        &[("en", "Unknown"), ("fr", "Inconnu")],
    ),
];

type DefaultTitle = (
    &'static str,
    Gender,
    &'static [(&'static str, &'static str)],
);

/// Gives a new shop the titles that every shop begins with.
///
/// # Errors
/// The database's.
pub async fn insert_defaults(tx: &mut Tx, caller: &Caller, shop: &str, now: i64) -> Result<()> {
    let caller = Caller {
        shop: shop.into(),
        ..caller.clone()
    };
    for (id, gender, names) in DEFAULTS {
        let title = Title {
            id: id.to_owned(),
            version: 1,
            display_names: names
                .iter()
                .map(|(tag, name)| ((*tag).to_owned(), (*name).to_owned()))
                .collect(),
            gender,
            create_time: now,
            update_time: now,
            ..Title::default()
        };
        store(tx, &caller, &title, now).await?;
    }
    Ok(())
}

async fn store(tx: &mut Tx, caller: &Caller, title: &Title, now: i64) -> Result<()> {
    sql::put(tx, &caller.shop, title).await?;
    let change = Change::upserted(Kind::Title, &title.id, title.version, &message(title));
    feed::append(tx, caller, now, change).await
}

fn message(title: &Title) -> pb::Title {
    let name = title_name(&title.id);
    let etag = feed::etag(&name, title.version);
    pb::Title {
        name,
        display_names: title.display_names.clone().into_iter().collect(),
        gender: title.gender.number(),
        create_time: Some(feed::timestamp(title.create_time)),
        update_time: Some(feed::timestamp(title.update_time)),
        etag,
    }
}

fn apply(title: &mut Title, sent: &pb::Title, paths: &[&str]) -> Result<()> {
    let refused = |reason, text| Error::invalid_field("title.display_names", reason, text);
    if paths.contains(&"display_names") {
        title.display_names = format::by_language(&sent.display_names)
            .map_err(|twice| refused("DUPLICATE", format!("`{twice}` is named twice")))?;
    }
    if paths.contains(&"gender") {
        title.gender = Gender::of(sent.gender).unwrap_or_default();
    }
    if title.display_names.is_empty() {
        let text = "a name in at least one language is required";
        return Err(refused("REQUIRED", text.to_owned()));
    }
    Ok(())
}

fn not_found() -> Error {
    Error::not_found("title")
}

fn locks(caller: &Caller, id: &str) -> Locks {
    feed::locks(caller).and(LockKey::of("title", &caller.shop, id))
}

/// The answer to a repeated request.
async fn replayed(conn: &mut Conn, caller: &Caller, replay: &feed::Replay) -> Result<pb::Title> {
    if let Some(answer) = replay.answer()? {
        return Ok(answer);
    }
    let title = sql::get(conn, &caller.shop, &replay.id).await?;
    title.map(|title| message(&title)).ok_or_else(not_found)
}

/// CreateTitle.
pub(super) async fn create(
    store: &Store,
    caller: Caller,
    request: pb::CreateTitleRequest,
) -> Result<pb::Title> {
    let now = store.clock().now();
    let id = if request.title_id.is_empty() {
        ids::new_id()
    } else {
        request.title_id
    };
    let mut title = Title {
        id,
        create_time: now,
        update_time: now,
        ..Title::default()
    };
    apply(&mut title, &request.title.unwrap_or_default(), WRITABLE)?;
    let locks = locks(&caller, &title.id);
    let data = (caller, title, now);
    if request.validate_only {
        store
            .rehearse(locks, data, |tx, (caller, title, now)| {
                insert(tx, caller, title, *now).boxed()
            })
            .await
    } else {
        store
            .write_with(locks, data, |tx, (caller, title, now)| {
                insert(tx, caller, title, *now).boxed()
            })
            .await
    }
}

async fn insert(tx: &mut Tx, caller: &Caller, title: &Title, now: i64) -> Result<pb::Title> {
    if let Some(replay) = feed::replay(tx, caller).await? {
        return replayed(tx, caller, &replay).await;
    }
    if sql::get(tx, &caller.shop, &title.id).await?.is_some() {
        let text = "there is a title of this id";
        return Err(
            Error::new(Code::AlreadyExists, ErrorReason::NameTaken, text)
                .with("name", title_name(&title.id)),
        );
    }
    let last = tombstones::last_version(tx, &caller.shop, Kind::Title, &title.id).await?;
    let title = Title {
        version: last + 1,
        ..title.clone()
    };
    store_title(tx, caller, &title, now).await
}

async fn store_title(tx: &mut Tx, caller: &Caller, title: &Title, now: i64) -> Result<pb::Title> {
    store(tx, caller, title, now).await?;
    Ok(message(title))
}

/// GetTitle.
pub(super) async fn get(store: &Store, caller: &Caller, name: &str) -> Result<pb::Title> {
    let (shop, id) = (Arc::clone(&caller.shop), title_id(name).to_owned());
    let title = store
        .read(|conn| async move { sql::get(conn, &shop, &id).await }.boxed())
        .await?;
    title.map(|title| message(&title)).ok_or_else(not_found)
}

/// ListTitles.
pub(super) async fn list(
    store: &Store,
    caller: &Caller,
    request: pb::ListTitlesRequest,
) -> Result<pb::ListTitlesResponse> {
    let size = list::size(request.page_size)?;
    let digest = RequestDigest::new("ListTitles", &caller.shop);
    let after: Option<String> = list::open(store.meta(), &digest, &request.page_token)?;
    let after = after.unwrap_or_default();
    let limit = i64::try_from(size + 1).expect("a page is small");
    let shop = Arc::clone(&caller.shop);
    let mut titles = store
        .read(|conn| async move { sql::list(conn, &shop, &after, limit).await }.boxed())
        .await?;
    let is_cut = titles.len() > size;
    titles.truncate(size);
    let next_page_token = match titles.last() {
        Some(last) if is_cut => PageToken::seal(store.meta(), &digest, &last.id),
        _ => String::new(),
    };
    list::fits(pb::ListTitlesResponse {
        titles: titles.iter().map(message).collect(),
        next_page_token,
    })
}

/// UpdateTitle.
pub(super) async fn update(
    store: &Store,
    caller: Caller,
    request: pb::UpdateTitleRequest,
) -> Result<pb::Title> {
    let sent = request.title.unwrap_or_default();
    if sent.name.is_empty() {
        return Err(Error::invalid_field(
            "title.name",
            "REQUIRED",
            "a name is required",
        ));
    }
    let paths = mask::changed(
        request.update_mask.as_ref(),
        WRITABLE,
        IGNORED,
        |path| match path {
            "display_names" => !sent.display_names.is_empty(),
            _ => sent.gender != 0,
        },
    )?;
    let now = store.clock().now();
    let locks = locks(&caller, title_id(&sent.name));
    let update = Update {
        caller,
        sent,
        paths,
        now,
    };
    if request.validate_only {
        store
            .rehearse(locks, update, |tx, update| update.run(tx).boxed())
            .await
    } else {
        store
            .write_with(locks, update, |tx, update| update.run(tx).boxed())
            .await
    }
}

struct Update {
    caller: Caller,
    sent: pb::Title,
    paths: Vec<&'static str>,
    now: i64,
}

impl Update {
    async fn run(&self, tx: &mut Tx) -> Result<pb::Title> {
        let Self {
            caller, sent, now, ..
        } = self;
        if let Some(replay) = feed::replay(tx, caller).await? {
            return replayed(tx, caller, &replay).await;
        }
        let id = title_id(&sent.name);
        let before = sql::get(tx, &caller.shop, id)
            .await?
            .ok_or_else(not_found)?;
        feed::check_etag(&sent.etag, &sent.name, before.version)?;
        let mut after = before.clone();
        apply(&mut after, sent, &self.paths)?;
        if after == before {
            let answer = message(&before);
            feed::remember(tx, caller, *now, id, &answer).await?;
            return Ok(answer);
        }
        after.version += 1;
        after.update_time = *now;
        store_title(tx, caller, &after, *now).await
    }
}

/// DeleteTitle.
pub(super) async fn delete(
    store: &Store,
    caller: Caller,
    request: pb::DeleteTitleRequest,
) -> Result<()> {
    let now = store.clock().now();
    let locks = locks(&caller, title_id(&request.name));
    let data = (caller, request, now);
    store
        .write_with(locks, data, |tx, (caller, request, now)| {
            remove(tx, caller, &request.name, &request.etag, *now).boxed()
        })
        .await
}

async fn remove(tx: &mut Tx, caller: &Caller, name: &str, etag: &str, now: i64) -> Result<()> {
    if feed::replay(tx, caller).await?.is_some() {
        return Ok(());
    }
    let (shop, id) = (&*caller.shop, title_id(name));
    let title = sql::get(tx, shop, id).await?.ok_or_else(not_found)?;
    feed::check_etag(etag, name, title.version)?;
    let version = title.version + 1;
    sql::delete(tx, shop, id).await?;
    tombstones::bury(tx, shop, Kind::Title, id, version, now).await?;
    feed::append(tx, caller, now, Change::deleted(Kind::Title, id, version)).await
}
