//! Stored resources: a row with a document, and columns for the fields of filters and orders.

use std::future::Future;

use prost::{Message, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Partition, Table};
use crate::caller::Caller;
use crate::error::{Error, Result, Violation};
use crate::store::{Bind, Conn, LockKey, Statement, Tx};

/// A resource that the kit reads and writes. An area adds its rules.
pub trait Resource:
    Clone + PartialEq + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its message in the contract.
    type Message: Message + Name + Default + Send + Sync;

    /// Its name in errors and in the fields of requests, for example `title`.
    const NOUN: &'static str;

    /// Its table.
    fn table() -> &'static Table<Self::Message>;

    /// Its id and its version. [`head!`](crate::head) implements this and `head_mut`.
    fn head(&self) -> (&str, i64);

    /// Its fields that the kit sets.
    fn head_mut(&mut self) -> Head<'_>;

    /// Makes the resource from a row.
    ///
    /// # Errors
    /// If the document is damaged.
    fn read(id: String, version: i64, doc: &str) -> Result<Self> {
        parse(id, version, doc)
    }

    /// Its message, without derived fields.
    fn message(&self) -> Self::Message;

    /// The etag in a message that a caller sent; empty for any version.
    fn etag_in(sent: &Self::Message) -> &str;

    /// Sets a field to the value that was sent, or else to its default.
    fn set(&mut self, sent: &Self::Message, path: &str, faults: &mut Faults);

    /// The columns that belong to no field, with their values.
    fn columns(&self) -> Vec<(&'static str, Bind)> {
        Vec::new()
    }

    /// The partition of its row, and its id there. For a resource that belongs to another, `id` has both ids.
    fn key<'i>(shop: &str, id: &'i str) -> (Partition, &'i str) {
        (Partition::shop(shop), id)
    }

    /// The lock of its row.
    fn lock(shop: &str, id: &str) -> LockKey {
        LockKey::of(Self::NOUN, shop, id)
    }

    /// Refuses a write if the resource belongs to another that must not change. The kit compares the etag after this.
    fn may_be_written(
        tx: &mut Tx,
        caller: &Caller,
        id: &str,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (tx, caller, id);
        std::future::ready(Ok(()))
    }

    /// Checks a new or changed resource by the rules that need the database, and sets fields that depend on it.
    /// `before` is None for a new resource.
    fn check(
        tx: &mut Tx,
        caller: &Caller,
        before: Option<&Self>,
        after: &mut Self,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (tx, caller, before, after);
        std::future::ready(Ok(()))
    }

    /// Refuses to delete a resource that must stay.
    ///
    /// # Errors
    /// The area's.
    fn may_be_deleted(&self) -> Result<()> {
        Ok(())
    }

    /// Runs the effects of a write: in its transaction, after the row and its change. `before` is None for a new
    /// resource, `after` for a deleted one.
    fn written(
        tx: &mut Tx,
        caller: &Caller,
        before: Option<&Self>,
        after: Option<&Self>,
        now: i64,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (tx, caller, before, after, now);
        std::future::ready(Ok(()))
    }
}

/// The fields of a resource that the kit sets.
pub struct Head<'r> {
    /// The last part of its name.
    pub id: &'r mut String,
    /// Grows by one with each change.
    pub version: &'r mut i64,
    /// When it was created, in microseconds.
    pub create_time: &'r mut i64,
    /// When it last changed, in microseconds.
    pub update_time: &'r mut i64,
}

/// Implements `head` and `head_mut` for a [`Resource`] that has the fields of [`Head`] under these names.
#[macro_export]
macro_rules! head {
    () => {
        fn head(&self) -> (&str, i64) {
            (&self.id, self.version)
        }

        fn head_mut(&mut self) -> $crate::resource::Head<'_> {
            $crate::resource::Head {
                id: &mut self.id,
                version: &mut self.version,
                create_time: &mut self.create_time,
                update_time: &mut self.update_time,
            }
        }
    };
}

/// The violations in the fields of a request.
#[derive(Debug)]
pub struct Faults {
    noun: &'static str,
    violations: Vec<Violation>,
}

impl Faults {
    pub(super) fn none(noun: &'static str) -> Self {
        let violations = Vec::new();
        Self { noun, violations }
    }

    /// Adds a violation.
    pub fn refuse(&mut self, path: &str, reason: &'static str, text: impl Into<String>) {
        let path = format!("{}.{path}", self.noun);
        self.violations.push(Violation::new(path, reason, text));
    }

    pub(super) fn into_result(self) -> Result<()> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(Error::invalid(self.violations))
        }
    }
}

/// The full name of a resource.
pub fn name_of<R: Resource>(id: &str) -> String {
    format!("{}/{id}", R::table().collection)
}

/// The error if there is no such resource, or the caller does not see it.
pub fn not_found<R: Resource>() -> Error {
    Error::not_found(R::NOUN)
}

/// Makes the resource from a row.
///
/// # Errors
/// If the document is damaged.
pub fn parse<R: Resource>(id: String, version: i64, doc: &str) -> Result<R> {
    let mut resource: R = serde_json::from_str(doc)
        .map_err(|error| Error::corrupt(R::table().collection, &id, error))?;
    let head = resource.head_mut();
    *head.id = id;
    *head.version = version;
    Ok(resource)
}

/// Reads a resource of a shop; None if there is none with this id.
///
/// # Errors
/// The database's.
pub async fn load<R: Resource>(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<R>> {
    let (partition, id) = R::key(shop, id);
    let row = R::table().row(conn, &[partition], id).await?;
    row.map(|row| R::read(row.id, row.version, &row.doc))
        .transpose()
}

/// Inserts or updates the row of a resource. `message` is its message.
///
/// # Errors
/// The database's.
pub async fn put<R: Resource>(
    tx: &mut Tx,
    shop: &str,
    resource: &R,
    message: &R::Message,
) -> Result<()> {
    let table = R::table();
    let doc = serde_json::to_string(resource).map_err(Error::internal)?;
    let (id, version) = resource.head();
    let (partition, id) = R::key(shop, id);
    let mut columns = partition.of("id", id).into_columns();
    let key = columns.len();
    columns.extend([("version", version.into()), ("doc", doc.into())]);
    columns.extend(std::iter::zip(
        table.columns().iter().copied(),
        table.values(message),
    ));
    columns.extend(resource.columns());
    let mut statement = Statement::new(tx.engine(), "INSERT INTO ");
    statement.push(table.rows);
    for (place, (column, _)) in columns.iter().enumerate() {
        statement
            .push(if place == 0 { " (" } else { ", " })
            .push(column);
    }
    statement.push(") VALUES ");
    for (place, (_, value)) in columns.iter().enumerate() {
        statement
            .push(if place == 0 { "(" } else { ", " })
            .bind(value.clone());
    }
    statement.push(") ON CONFLICT ");
    for (place, (column, _)) in columns.iter().take(key).enumerate() {
        statement
            .push(if place == 0 { "(" } else { ", " })
            .push(column);
    }
    statement.push(") DO UPDATE SET ");
    for (place, (column, _)) in columns.iter().skip(key).enumerate() {
        statement
            .push(if place == 0 { "" } else { ", " })
            .push(column);
        statement.push(" = excluded.").push(column);
    }
    statement.execute(tx).await
}

/// Removes a row.
///
/// # Errors
/// The database's.
pub async fn remove<R: Resource>(tx: &mut Tx, shop: &str, id: &str) -> Result<()> {
    let (rows, (partition, id)) = (R::table().rows, R::key(shop, id));
    let mut statement = Statement::new(tx.engine(), "DELETE FROM ");
    statement.push(rows).push(" WHERE ");
    partition.of("id", id).push(rows, &mut statement);
    statement.execute(tx).await
}
