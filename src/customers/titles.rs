//! Titles: the forms of address of a shop, for example Mr. or Ms.
//!
//! A customer keeps the name of a deleted title, which then does not resolve.

use std::sync::LazyLock;

use futures::{FutureExt as _, future::BoxFuture};

use super::{
    convert::title_name,
    model::{Gender, Title},
};
use crate::{
    caller::Caller,
    error::Result,
    feed, format, head,
    proto::pb,
    resource::{self, Column, Faults, Resource, Table, parse},
    shops::Shop,
    store::{Event, Reaction, Tx},
};

type Field = Column<pb::Title>;

static TABLE: LazyLock<Table<pb::Title>> = LazyLock::new(|| {
    let read = |id, version, doc: &str| Ok(parse::<Title>(id, version, doc)?.message());
    Table::new(
        crate::customers::TITLE,
        "titles",
        read,
        [
            Field::name("titles", |title| &title.name),
            Field::time("create_time", |title| title.create_time.as_ref()),
            Field::time("update_time", |title| title.update_time.as_ref()),
        ],
    )
});

impl Resource for Title {
    type Message = pb::Title;

    const NOUN: &'static str = "title";

    head!();

    fn table() -> &'static Table<pb::Title> {
        &TABLE
    }

    fn message(&self) -> pb::Title {
        let name = title_name(&self.id);
        let etag = feed::etag(&name, self.version);
        pb::Title {
            name,
            display_names: self.display_names.clone().into_iter().collect(),
            gender: self.gender.number(),
            create_time: Some(feed::timestamp(self.create_time)),
            update_time: Some(feed::timestamp(self.update_time)),
            etag,
        }
    }

    fn etag_in(sent: &pb::Title) -> &str {
        &sent.etag
    }

    fn set(&mut self, sent: &pb::Title, path: &str, faults: &mut Faults) {
        match path {
            "display_names" if sent.display_names.is_empty() => {
                let text = "a name in at least one language is required";
                faults.refuse(path, "REQUIRED", text);
            }
            "display_names" => match format::by_language(&sent.display_names) {
                Ok(names) => self.display_names = names,
                Err(twice) => {
                    faults.refuse(path, "DUPLICATE", format!("`{twice}` is named twice"));
                }
            },
            _ => self.gender = Gender::of(sent.gender).unwrap_or_default(),
        }
    }
}

/// The titles of every new shop: id, gender and the names by language.
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

/// Inserts the titles of a new shop.
pub(super) struct DefaultTitles;

impl Reaction<Shop> for DefaultTitles {
    fn react<'t>(
        &'t self,
        tx: &'t mut Tx,
        event: Event<'t, Shop>,
        _held: &'t [String],
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            match (event.before, event.after) {
                (None, Some(shop)) => insert_defaults(tx, event.caller, &shop.id, event.now).await,
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

async fn insert_defaults(tx: &mut Tx, caller: &Caller, shop: &str, now: i64) -> Result<()> {
    let caller = Caller {
        shop: shop.into(),
        ..caller.clone()
    };
    for (id, gender, names) in DEFAULTS {
        let names = names.iter();
        let title = Title {
            id: id.to_owned(),
            version: 1,
            display_names: names
                .map(|(tag, name)| ((*tag).to_owned(), (*name).to_owned()))
                .collect(),
            gender,
            create_time: now,
            update_time: now,
            ..Title::default()
        };
        resource::insert_row(tx, &caller, &title, now).await?;
    }
    Ok(())
}
