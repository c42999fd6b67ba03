//! The interface through which an area makes its resources watchable.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::log::Kind;
use crate::error::Result;
use crate::filter::{Filter, Record};
use crate::store::Conn;

/// A kind of resource that can be watched.
pub trait Resource: Send + Sync + 'static {
    /// The kind's number in the change log.
    fn kind(&self) -> Kind;

    /// The first segment of the resources' names, for example `carts`.
    fn collection(&self) -> &'static str;

    /// Whether the resources have an audience. Their changes then say which audience the resource leaves.
    fn is_owned(&self) -> bool {
        false
    }

    /// Decodes the resource for filters.
    ///
    /// # Errors
    /// If the bytes are not such a message.
    fn decode(&'static self, body: &[u8]) -> Result<Arc<dyn Decoded>>;

    /// Reads a page of a snapshot: rows in the order of their ids.
    fn page<'c>(&'static self, conn: &'c mut Conn, query: PageQuery)
    -> BoxFuture<'c, Result<Rows>>;
}

/// A decoded resource.
pub trait Decoded: Record + Send + Sync {
    /// The topics under which it is watched beside its id, for example its owner.
    fn topics(&self) -> Vec<String> {
        Vec::new()
    }

    /// The audience, in the form that [`Caller::is_among`](crate::caller::Caller::is_among) reads; None if
    /// everybody sees the resource.
    fn audience(&self) -> Option<&str> {
        None
    }
}

/// The resources that a stream watches.
#[derive(Clone, Debug)]
pub enum Scope {
    /// All resources of the shop.
    All,
    /// These ids.
    Ids(Vec<String>),
    /// The resources with this topic.
    Topic(String),
}

/// The query for a page of a snapshot.
#[derive(Clone, Debug)]
pub struct PageQuery {
    /// The id of the shop.
    pub shop: Arc<str>,
    /// The resources that the stream watches.
    pub scope: Scope,
    /// The filter of the stream.
    pub filter: Option<Arc<Filter>>,
    /// The value of `now` in the filter, in microseconds.
    pub now: i64,
    /// The id after which the page begins; None for the first page.
    pub after: Option<String>,
    /// The most rows.
    pub limit: i64,
}

/// A page of a snapshot. Reading it examines a bounded number of rows, so a page that is not the last may
/// hold few rows or none.
#[derive(Debug)]
pub struct Rows {
    /// The rows, in the order of their ids.
    pub rows: Vec<Row>,
    /// The id after which the next page begins; None if this is the last.
    pub next: Option<String>,
}

impl Rows {
    /// A page that holds fewer rows than the limit only at the end.
    #[must_use]
    pub fn up_to(limit: i64, rows: Vec<Row>) -> Self {
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit;
        let last = rows.last().filter(|_| is_full);
        let next = last.map(|row| row.id.clone());
        Self { rows, next }
    }
}

/// A row of a snapshot.
#[derive(Debug)]
pub struct Row {
    /// The last segment of the resource's name.
    pub id: String,
    /// The version of the resource.
    pub version: i64,
    /// The encoded resource, without derived fields.
    pub body: Bytes,
}
