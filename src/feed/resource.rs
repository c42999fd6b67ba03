//! What an area provides so that its resources can be watched.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::log::Kind;
use crate::error::Result;
use crate::filter::{Filter, Record};
use crate::store::Conn;

/// A kind of resource that can be watched.
pub trait Resource: Send + Sync + 'static {
    /// Its number in the change log.
    fn kind(&self) -> Kind;

    /// The first part of its names, as `carts`.
    fn collection(&self) -> &'static str;

    /// Whether its resources have an audience, and a change says which one it takes a resource from.
    fn is_owned(&self) -> bool {
        false
    }

    /// The resource for filters, from its encoded message.
    ///
    /// # Errors
    /// When the bytes are not such a message.
    fn decode(&'static self, body: &[u8]) -> Result<Arc<dyn Decoded>>;

    /// A page of a snapshot: rows in the order of their ids.
    fn page<'c>(&'static self, conn: &'c mut Conn, query: PageQuery)
    -> BoxFuture<'c, Result<Rows>>;
}

/// A decoded resource.
pub trait Decoded: Record + Send + Sync {
    /// Under what else than its id it is watched, as its owner.
    fn topics(&self) -> Vec<String> {
        Vec::new()
    }

    /// Who sees it, as [`Caller::is_among`](crate::caller::Caller::is_among) reads that; None if it has no audience.
    fn audience(&self) -> Option<&str> {
        None
    }
}

/// What a stream is about.
#[derive(Clone, Debug)]
pub enum Scope {
    /// All of the shop.
    All,
    /// These ids.
    Ids(Vec<String>),
    /// What has this topic.
    Topic(String),
}

/// Which rows a page of a snapshot holds.
#[derive(Clone, Debug)]
pub struct PageQuery {
    /// The shop.
    pub shop: Arc<str>,
    /// What the stream is about.
    pub scope: Scope,
    /// Which of it.
    pub filter: Option<Arc<Filter>>,
    /// What `now` is in the filter, in microseconds.
    pub now: i64,
    /// After which id; from the first if None.
    pub after: Option<String>,
    /// How many at the most.
    pub limit: i64,
}

/// A page of a snapshot. Reading it examines a bounded number of rows, so a page that is not the last may
/// hold few rows or none.
#[derive(Debug)]
pub struct Rows {
    /// The rows, in the order of their ids.
    pub rows: Vec<Row>,
    /// After which id the next page begins; None if this is the last.
    pub next: Option<String>,
}

impl Rows {
    /// The rows of a page that ends at the limit only.
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
    /// The last part of the resource's name.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// The encoded resource, without derived fields.
    pub body: Bytes,
}
