//! The table of a resource: one row for each field that filters and orders may name.

use std::sync::OnceLock;

use prost::{Message, Name};
use prost_reflect::{FieldDescriptor, MessageDescriptor};

use super::column::{Column, Get, columns_of};
use super::leads::{Lead, Source};
use super::owned::Owned;
use super::page;
use crate::caller::{Caller, Roles};
use crate::contract::TABLES;
use crate::error::{Error, Result};
use crate::feed::{Decoded, Kind as LogKind, micros};
use crate::filter::{Kind, Record, Schema, Value};
use crate::proto::POOL;
use crate::store::{Bind, Statement};

/// A stored resource whose message is `M`: its rows, and its fields.
pub struct Table<M: 'static> {
    /// Its number in the change log.
    pub kind: LogKind,
    /// The first part of its names.
    pub collection: &'static str,
    /// Its table in the database; by default, the name of the collection.
    pub rows: &'static str,
    /// The columns that form the document of a row; empty if rows have a document and a version.
    pub(super) parts: &'static [&'static str],
    /// Makes the message of a row from its id, version and document.
    pub read: fn(String, i64, &str) -> Result<M>,
    /// An SQL condition of the rows that exist for callers, on the alias `c`; empty for all.
    pub living: &'static str,
    /// The topics by which a resource is watched, for example the owner of a cart.
    pub topics: Option<Topics<M>>,
    /// The owners of its resources.
    pub(super) owned: Owned<M>,
    getters: Vec<Get<M>>,
    /// The columns of the fields, except that of the name, in the order of their values.
    columns: Vec<&'static str>,
    /// Derived fields, each with the field of the message from which it is derived.
    made: Vec<(&'static str, &'static str)>,
    schema: Schema,
    pub(super) leads: Vec<Lead>,
}

/// Lets a resource be watched by other values than its name.
pub struct Topics<M> {
    /// The topics of a resource.
    pub of: fn(&M) -> Vec<String>,
    /// Adds the condition that a row has a topic. It begins with ` AND `.
    pub push: fn(&mut Statement, &str),
}

impl<M> Table<M> {
    /// The fields, for filters and orders.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

impl<M: Message + Name + Default> Table<M> {
    /// Makes the table of a collection. Its rows are in the table of the database with that name, with the columns
    /// `shop_id`, `id`, `version` and `doc`.
    ///
    /// # Panics
    /// If the contract has no such field.
    pub fn new(
        kind: LogKind,
        collection: &'static str,
        read: fn(String, i64, &str) -> Result<M>,
        columns: impl IntoIterator<Item = Column<M>>,
    ) -> Self {
        let name = M::full_name();
        let message = POOL
            .get_message_by_name(&name)
            .expect("a message of the contract");
        let mut fields = Vec::new();
        let mut leads = Vec::new();
        let mut getters = Vec::new();
        let mut made = Vec::new();
        let mut packed = 0..;
        for Column {
            mut field,
            mut get,
            leads: led,
            made_of,
            without,
        } in columns
        {
            let path = field.path;
            leads.extend(led.into_iter().map(|(index, condition)| Lead {
                path,
                index,
                condition,
            }));
            made.extend(made_of.map(|source| (path, source)));
            let described = field_at(&message, made_of.or(field.sorts).unwrap_or(path));
            if let Kind::Enum(values) = &mut field.kind {
                *values = values_of(&described, without);
            }
            if let Get::Packed(_, place) = &mut get {
                *place = packed.next().unwrap_or_default();
            }
            fields.push(field);
            getters.push(get);
        }
        Self {
            kind,
            collection,
            rows: collection,
            parts: &[],
            read,
            living: "",
            topics: None,
            owned: Owned::NO,
            columns: columns_of(&fields, &getters),
            getters,
            made,
            // A table is made once and lives as long as the program.
            schema: Schema {
                fields: fields.leak(),
            },
            leads,
        }
    }

    /// Lets only rows that meet a condition exist for callers.
    #[must_use]
    pub fn living(self, condition: &'static str) -> Self {
        Self {
            living: condition,
            ..self
        }
    }

    /// Sets another name for the table in the database.
    #[must_use]
    pub fn stored_in(self, rows: &'static str) -> Self {
        Self { rows, ..self }
    }

    /// Sets the columns that form the document, for rows whose own is not complete. `read` gets them as a JSON
    /// object, and 0 for the version. Such resources cannot be watched.
    #[must_use]
    pub fn made_of(self, parts: &'static [&'static str]) -> Self {
        Self { parts, ..self }
    }

    /// Hides a resource that is not shared from all callers but its owner. The table must have the fields `owner` and
    /// `shared`.
    #[must_use]
    pub fn owned(self, owner: fn(&M) -> &str, shared: fn(&M) -> bool) -> Self {
        let owned = Owned::by(owner, shared);
        Self { owned, ..self }
    }

    /// Lets resources also be watched by topics.
    #[must_use]
    pub fn with_topics(self, of: fn(&M) -> Vec<String>, push: fn(&mut Statement, &str)) -> Self {
        Self {
            topics: Some(Topics { of, push }),
            ..self
        }
    }

    /// Checks a filter and an order as a list of this caller does.
    ///
    /// # Errors
    /// INVALID_FILTER, INVALID_ORDER_BY.
    pub fn check(&'static self, caller: &Caller, filter: &str, order_by: &str) -> Result<()> {
        let visible = self.visible_to(caller.roles);
        page::filter(filter, self.schema(), &visible)?;
        page::order(order_by, self.schema(), &visible).map(drop)
    }

    /// The name in a message that a caller sent.
    pub(super) fn name_in<'m>(&self, sent: &'m M) -> &'m str {
        match self.getters.get(self.schema.index("name")) {
            Some(Get::Text(get)) => get(sent),
            _ => "",
        }
    }

    /// The columns of the fields in the database, except that of the name.
    pub fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// The values of the [`columns`](Self::columns) of a resource, in their order.
    pub fn values(&self, message: &M) -> Vec<Bind> {
        let mut values = Vec::with_capacity(self.columns.len());
        for (field, get) in self.schema.fields.iter().zip(&self.getters) {
            if field.path != "name" {
                get.push(field, message, &mut values);
            }
        }
        values
    }

    /// Removes the collection from a name. The access layer has checked the names of requests.
    pub(super) fn id_of<'n>(&self, name: &'n str) -> &'n str {
        name.split_once('/').map_or(name, |(_, id)| id)
    }

    /// Its table in the database, and the indexes.
    pub(super) fn source(&'static self) -> Source {
        Source {
            table: self.rows,
            parts: self.parts,
            leads: &self.leads,
        }
    }

    /// The resource as filters see it.
    pub fn seen(&'static self, message: M) -> Seen<M> {
        let getters = self.getters.iter();
        let packed = getters.filter(|get| matches!(get, Get::Packed(..))).count();
        Seen {
            table: self,
            message,
            packed: std::iter::repeat_with(OnceLock::new).take(packed).collect(),
        }
    }

    /// The resource as filters see it, from its bytes in the change log.
    ///
    /// # Errors
    /// If the bytes are no such message.
    pub fn decode(&'static self, body: &[u8]) -> Result<Seen<M>> {
        let message = M::decode(body)
            .map_err(|error| Error::corrupt("change_log", self.collection, error))?;
        Ok(self.seen(message))
    }

    /// Returns whether these roles see a field. Other fields do not exist for them.
    pub fn visible_to(&self, roles: Roles) -> impl Fn(&str) -> bool + use<M> {
        let message = TABLES.find(M::NAME);
        let made = self.made.clone();
        move |path| {
            let source = made.iter().find(|(field, _)| *field == path);
            let path = source.map_or(path, |(_, source)| source);
            message.is_some_and(|message| TABLES.may_read(message, path, roles))
        }
    }
}

/// The field at a path of a message.
///
/// # Panics
/// If there is none.
fn field_at(message: &MessageDescriptor, path: &str) -> FieldDescriptor {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let field = message.get_field_by_name(first);
    let field = field.unwrap_or_else(|| panic!("{} has no {first}", message.full_name()));
    match field.kind().as_message() {
        Some(nested) if !rest.is_empty() => field_at(nested, rest),
        _ => field,
    }
}

/// Returns the values of an enum as filters name them: without its prefix, without the unspecified value, and without
/// values that no stored resource has.
///
/// # Panics
/// If the field is no enum.
fn values_of(field: &FieldDescriptor, without: &[&str]) -> &'static [(&'static str, i64)] {
    let kind = field.kind();
    let of = kind.as_enum().expect("an enum of the contract");
    let none = of.default_value();
    let prefix = none.name().strip_suffix("UNSPECIFIED").unwrap_or_default();
    let values = of.values().filter(|value| value.number() != none.number());
    let values = values.map(|value| {
        let name = value.name().strip_prefix(prefix).unwrap_or(value.name());
        (&*name.to_owned().leak(), i64::from(value.number()))
    });
    let values = values.filter(|(name, _)| !without.contains(name));
    values.collect::<Vec<_>>().leak()
}

/// A resource as filters see it. It packs a list or a map once, when the first filter reads it.
pub struct Seen<M: 'static> {
    table: &'static Table<M>,
    message: M,
    packed: Box<[OnceLock<String>]>,
}

impl<M> Record for Seen<M> {
    fn value(&self, field: usize) -> Value<'_> {
        let message = &self.message;
        match &self.table.getters[field] {
            Get::Text(get) => Value::text(get(message)),
            Get::Number(get) => get(message).map_or(Value::Absent, Value::Int),
            Get::Flag(get) => Value::Bool(get(message)),
            Get::Time(get) => get(message).map_or(Value::Absent, |time| Value::Int(micros(time))),
            Get::Money(get) => get(message).map_or(Value::Absent, |money| Value::Money {
                micros: money.micros,
                currency: money.currency_code.as_str().into(),
            }),
            Get::Names(get) => Value::List(get(message)),
            Get::Packed(get, place) => {
                let packed = self.packed[*place].get_or_init(|| get(message));
                Value::Packed(packed.as_str().into())
            }
            Get::Nothing => Value::Absent,
        }
    }
}

impl<M: Send + Sync> Decoded for Seen<M> {
    fn topics(&self) -> Vec<String> {
        let topics = self.table.topics.as_ref();
        topics.map_or_else(Vec::new, |topics| (topics.of)(&self.message))
    }

    fn audience(&self) -> Option<&str> {
        self.table.owned.audience(&self.message)
    }
}
