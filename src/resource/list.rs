//! Lists: pages of a table, by filter, order and search.

use futures::FutureExt as _;
use prost::{Message, Name};

use super::examine::{Examination, Scan};
use super::order::{Key, Order};
use super::page::{self, Pauses};
use super::{Partition, Resource, Row, Table};
use crate::caller::Caller;
use crate::error::Result;
use crate::filter::Filter;
use crate::limits;
use crate::proto::pb::Count;
use crate::store::{Conn, PageToken, RequestDigest, SearchColumn, SearchTerms, Store, StoreMeta};

/// A page ends before its answer becomes larger than this.
pub const PAGE_BYTES_MAX: usize = limits::RESPONSE_BYTES_MAX * 3 / 4;

/// The fields that the requests of all lists have.
#[derive(Debug, Default)]
pub struct Query<'q> {
    /// The filter.
    pub filter: &'q str,
    /// The order; empty for that of names.
    pub order_by: &'q str,
    /// The most entries of the page; 0 for the default.
    pub page_size: i32,
    /// The token of the page; empty for the first.
    pub page_token: &'q str,
    /// Whether and how matches are counted: a [`CountMode`](crate::proto::pb::CountMode).
    pub count: i32,
}

/// A checked request of a list. Its token is checked when a page is read.
pub struct List<M: 'static> {
    table: &'static Table<M>,
    partitions: Vec<Partition>,
    filter: Filter,
    order: Order,
    size: usize,
    count: i32,
    token: String,
    digest: RequestDigest,
    meta: StoreMeta,
    now: i64,
    condition: &'static str,
    search: Option<(&'static SearchColumn, SearchTerms)>,
    without: &'static [&'static str],
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<M> {
    /// The resources.
    pub items: Vec<M>,
    /// The token of the next page; empty if this is the last.
    pub next_page_token: String,
    /// The number of matches, if requested.
    pub count: Option<Count>,
}

/// The rows of a page, before their resources are made.
pub struct Found {
    /// The rows, at most as many as the page has.
    pub rows: Vec<Row>,
    scan: Scan,
    place: Option<Vec<Key>>,
    /// Whether more rows follow.
    more: bool,
    /// Whether no row can match.
    nothing: bool,
    now: i64,
}

impl<M: Message + Name + Default> List<M> {
    /// Checks the request of a list. Its page tokens are bound to the RPC, the partitions, the filter and the order.
    ///
    /// # Errors
    /// INVALID_FILTER, INVALID_ORDER_BY, INVALID_FIELD.
    pub fn new(
        store: &Store,
        table: &'static Table<M>,
        caller: &Caller,
        rpc: &'static str,
        query: &Query<'_>,
    ) -> Result<Self> {
        let visible = table.visible_to(caller.roles);
        let filter = page::filter(query.filter, table.schema(), &visible)?;
        let digest = RequestDigest::new(rpc, "")
            .field("filter", query.filter)
            .field("order_by", query.order_by);
        let digest = if table.owned.is_some() {
            digest.field("owner", &*caller.identity())
        } else {
            digest
        };
        Ok(Self {
            table,
            partitions: vec![Partition::shop(&caller.shop)],
            filter: table.owned.narrowed(filter, caller),
            order: Order::parse(query.order_by, table.schema(), &visible)?,
            size: page::size(query.page_size)?,
            count: query.count,
            token: query.page_token.to_owned(),
            digest,
            meta: store.meta().clone(),
            now: store.clock().now(),
            condition: table.living,
            search: None,
            without: &[],
        })
    }

    /// Binds the page tokens to a further value.
    #[must_use]
    pub fn bound_to(self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let digest = self.digest.field(name, value);
        Self { digest, ..self }
    }

    /// Reads the rows of these partitions instead of those of the shop.
    #[must_use]
    pub fn of(self, partitions: Vec<Partition>) -> Self {
        Self { partitions, ..self }
    }

    /// The digest to which the page tokens are bound.
    fn digest(&self) -> RequestDigest {
        let rows = format!("{:?}", self.partitions);
        self.digest.clone().field("partitions", rows)
    }

    /// Replaces the condition on the rows that exist for callers. `without` names the fields whose indexes do not
    /// have all rows that may match.
    #[must_use]
    pub fn condition(self, condition: &'static str, without: &'static [&'static str]) -> Self {
        Self {
            condition,
            without,
            ..self
        }
    }

    /// Keeps only rows in which these words occur.
    #[must_use]
    pub fn searching(self, column: &'static SearchColumn, terms: Option<SearchTerms>) -> Self {
        let search = terms.map(|terms| (column, terms));
        Self { search, ..self }
    }

    /// Whether the order has a field.
    pub fn is_ordered_by(&self, path: &str) -> bool {
        self.order.has(path)
    }

    /// The value of `now` in the filter of a first page, in microseconds.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Reads a page and makes its resources from their documents.
    ///
    /// # Errors
    /// The database's; INVALID_PAGE_TOKEN.
    pub async fn read(&self, conn: &mut Conn) -> Result<Page<M>> {
        let mut found = self.find(conn, true).await?;
        let mut items: Vec<M> = Vec::with_capacity(found.rows.len());
        let mut bytes = 0;
        let mut pauses = Pauses::begin();
        for row in &mut found.rows {
            pauses.take().await;
            let doc = std::mem::take(&mut row.doc);
            let item = (self.table.read)(row.id.clone(), row.version, &doc)?;
            bytes += item.encoded_len();
            if bytes > PAGE_BYTES_MAX && !items.is_empty() {
                break;
            }
            items.push(item);
        }
        self.page(conn, found, items).await
    }

    /// Finds the rows of a page, with or without their documents.
    ///
    /// # Errors
    /// The database's; INVALID_PAGE_TOKEN.
    pub async fn find(&self, conn: &mut Conn, documents: bool) -> Result<Found> {
        let position: Option<(i64, Vec<Key>)> =
            page::open(&self.meta, &self.digest(), &self.token)?;
        let (now, place) = match position {
            Some((now, place)) => (now, Some(place)),
            None => (self.now, None),
        };
        let examination = self.examination(now, documents);
        let scan = examination.scan(conn).await?;
        let nothing = self
            .search
            .as_ref()
            .is_some_and(|(_, terms)| terms.find_nothing());
        let mut rows = if nothing {
            Vec::new()
        } else {
            // One row more than the page has shows whether another page follows.
            examination
                .rows(conn, &scan, place.as_deref(), self.size + 1)
                .await?
        };
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        Ok(Found {
            rows,
            scan,
            place,
            more,
            nothing,
            now,
        })
    }

    /// Makes the page from `items`, the resources of the first rows.
    ///
    /// # Errors
    /// The database's.
    pub async fn page(&self, conn: &mut Conn, found: Found, items: Vec<M>) -> Result<Page<M>> {
        let Found {
            rows,
            scan,
            place,
            more,
            nothing,
            now,
        } = found;
        let examination = self.examination(now, false);
        let last = if more || items.len() < rows.len() {
            let last = items.len().checked_sub(1);
            last.and_then(|last| rows.into_iter().nth(last))
        } else if nothing {
            None
        } else {
            examination.last(conn, &scan, place.as_deref()).await?
        };
        let next_page_token = last.map_or_else(String::new, |row| {
            PageToken::seal(&self.meta, &self.digest(), &(now, row.place()))
        });
        let matching = examination.matching(conn.engine(), &scan);
        let count = page::count(conn, self.count, &matching).await?;
        Ok(Page {
            items,
            next_page_token,
            count,
        })
    }

    fn examination(&self, now: i64, documents: bool) -> Examination<'_> {
        let search = self.search.as_ref();
        Examination {
            source: self.table.source(),
            documents,
            partitions: &self.partitions,
            filter: &self.filter,
            now,
            condition: self.condition,
            search: search.map(|(column, terms)| (*column, terms)),
            without: self.without,
            order: &self.order,
        }
    }
}

/// Reads a page of the resources that exist for callers.
///
/// # Errors
/// Those of [`List::new`] and [`List::read`].
pub async fn list<R: Resource>(
    store: &Store,
    caller: &Caller,
    rpc: &'static str,
    query: &Query<'_>,
) -> Result<Page<R::Message>> {
    let list = List::new(store, R::table(), caller, rpc, query)?;
    store
        .read(|conn| async move { list.read(conn).await }.boxed())
        .await
}
