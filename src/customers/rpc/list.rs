//! ListCustomers.
//!
//! A page goes through the rows in their order, a chunk at a time, and looks at each whether it
//! matches. What it examines is bounded; where a search or the filter leads to few rows by an index,
//! only those are gone through.

use std::{borrow::Cow, sync::Arc};

use futures::FutureExt as _;
use prost::Message as _;
use sqlx::FromRow;

use super::Service;
use crate::{
    access::Caller,
    customers::{
        convert,
        derived::Derived,
        fields::{FIELDS, LAST_NAME_KEY, visible_to},
        model::Customer,
        sql,
    },
    error::Result,
    filter::{self, Filter, Record, Value},
    limits,
    list::{self, Key, Order},
    proto::pb,
    shops,
    store::{Bind, Conn, Engine, PageToken, RequestDigest, SearchColumn, SearchTerms, Statement},
};

const SEARCH: SearchColumn = SearchColumn {
    text: "c.search_text",
    id: "c.search_id",
    fts: "customers_search",
};

/// How much larger each further chunk of a page is.
const GROWTH: usize = 4;
/// A page ends before its answer becomes larger than this.
const PAGE_BYTES_MAX: usize = limits::RESPONSE_BYTES_MAX * 3 / 4;

/// A row that is examined; only those that match have their document.
#[derive(FromRow)]
struct ExaminedRow {
    id: String,
    version: i64,
    email: String,
    last_name: String,
    last_name_key: String,
    create_time: i64,
    update_time: i64,
    doc: Option<String>,
}

/// Only what orders may name.
impl Record for ExaminedRow {
    fn value(&self, field: usize) -> Value<'_> {
        match FIELDS.fields[field].path {
            "name" => Value::Text(Cow::Borrowed(&self.id)),
            "email" => Value::Text(Cow::Borrowed(&self.email)),
            "last_name" => Value::Text(Cow::Borrowed(&self.last_name)),
            LAST_NAME_KEY => Value::Text(Cow::Borrowed(&self.last_name_key)),
            "create_time" => Value::Int(self.create_time),
            "update_time" => Value::Int(self.update_time),
            _ => Value::Absent,
        }
    }
}

/// A list, checked.
struct List {
    shop: Arc<str>,
    filter: Filter,
    terms: Option<SearchTerms>,
    show_deleted: bool,
    order: Order,
    count: i32,
    size: usize,
    /// What `now` is in the filter: the same for all pages.
    now: i64,
}

/// By what the rows are found that are gone through.
enum Path {
    /// All, in their order.
    Order,
    /// What the index of the search has.
    Search,
}

/// A page before it is made an answer.
struct Page {
    customers: Vec<Customer>,
    /// Where the next page begins; none on the last.
    next: Option<Vec<Key>>,
}

impl Service {
    pub(super) async fn list(
        &self,
        caller: Caller,
        request: pb::ListCustomersRequest,
    ) -> Result<pb::ListCustomersResponse> {
        let meta = self.store.meta();
        let digest = RequestDigest::new("ListCustomers", &caller.shop)
            .field("filter", &request.filter)
            .field("order_by", &request.order_by)
            .field("query", &request.query)
            .field("show_deleted", [u8::from(request.show_deleted)]);
        let position: Option<(i64, Vec<Key>)> = list::open(meta, &digest, &request.page_token)?;
        let visible = visible_to(caller.roles);
        let today = self.store.clock().now();
        let (now, place) = match position {
            Some((now, place)) => (now, Some(place)),
            None => (today, None),
        };
        let list = List {
            filter: list::filter(&request.filter, &FIELDS, &visible)?,
            terms: SearchTerms::of(&request.query),
            show_deleted: request.show_deleted,
            order: Order::parse(&request.order_by, &FIELDS, &visible)?,
            count: request.count,
            size: list::size(request.page_size)?,
            shop: Arc::clone(&caller.shop),
            now,
        };
        let (page, count, derived) = self
            .store
            .read(|conn| {
                async move {
                    let path = list.path(conn).await?;
                    let count = list.count(conn, &path).await?;
                    let page = list.page(conn, &path, place).await?;
                    let derived = list.derived(conn, &page).await?;
                    Ok((page, count, derived))
                }
                .boxed()
            })
            .await?;
        let customers = page
            .customers
            .iter()
            .zip(derived)
            .map(|(customer, derived)| {
                let mut customer = convert::message(customer);
                derived.fill(&mut customer, today);
                customer
            });
        Ok(pb::ListCustomersResponse {
            customers: customers.collect(),
            next_page_token: match page.next {
                Some(place) => PageToken::seal(meta, &digest, &(now, place)),
                None => String::new(),
            },
            count,
        })
    }
}

impl List {
    /// A search leads to its rows if there are not too many of them to be examined.
    async fn path(&self, conn: &mut Conn) -> Result<Path> {
        let Some(terms) = self.terms.as_ref().filter(|terms| terms.are_indexed()) else {
            return Ok(Path::Order);
        };
        let mut probe = Statement::new(
            conn.engine(),
            "SELECT COUNT(*) FROM (SELECT 1 FROM customers c WHERE c.shop_id = ",
        );
        probe.bind(&*self.shop).push(" AND ");
        terms.push(&SEARCH, &mut probe);
        let most = i64::try_from(limits::PAGE_ROWS_EXAMINED_MAX).expect("the limit is small");
        probe
            .push(" LIMIT ")
            .push_number(most + 1)
            .push(") AS found");
        let rows: Vec<(i64,)> = probe.fetch_all(conn).await?;
        let few = rows.first().is_some_and(|(found,)| *found <= most);
        Ok(if few { Path::Search } else { Path::Order })
    }

    async fn count(&self, conn: &mut Conn, path: &Path) -> Result<Option<pb::Count>> {
        let mut statement = self.select("SELECT 1 AS one", conn.engine(), path);
        statement.push(" AND ");
        self.push_matches(&mut statement, path);
        list::count(conn, self.count, &statement).await
    }

    /// The next page after a place.
    async fn page(
        &self,
        conn: &mut Conn,
        path: &Path,
        mut place: Option<Vec<Key>>,
    ) -> Result<Page> {
        let mut customers = Vec::new();
        let mut bytes = 0;
        let mut left = limits::PAGE_ROWS_EXAMINED_MAX;
        // One more than the page, so that a list that all rows match knows its last page.
        let mut chunk = self.size + 1;
        loop {
            let limit = chunk.min(left);
            let rows = self.examine(conn, path, place.as_deref(), limit).await?;
            let is_last = rows.len() < limit;
            left -= rows.len();
            for row in rows {
                let next = self.order.place(&row);
                if let Some(doc) = &row.doc {
                    let customer = sql::model(row.id, row.version, doc)?;
                    bytes += convert::message(&customer).encoded_len();
                    let is_full = customers.len() == self.size || bytes > PAGE_BYTES_MAX;
                    if is_full && !customers.is_empty() {
                        return Ok(Page {
                            customers,
                            next: place,
                        });
                    }
                    customers.push(customer);
                }
                place = Some(next);
            }
            if is_last {
                return Ok(Page {
                    customers,
                    next: None,
                });
            }
            if left == 0 || customers.len() == self.size {
                return Ok(Page {
                    customers,
                    next: place,
                });
            }
            chunk *= GROWTH;
        }
    }

    async fn examine(
        &self,
        conn: &mut Conn,
        path: &Path,
        place: Option<&[Key]>,
        limit: usize,
    ) -> Result<Vec<ExaminedRow>> {
        let engine = conn.engine();
        let mut statement = Statement::new(
            engine,
            "SELECT c.id, c.version, c.email, c.last_name, c.last_name_key, c.create_time,
             c.update_time, CASE WHEN ",
        );
        self.push_matches(&mut statement, path);
        statement.push(" THEN c.doc END AS doc");
        self.push_from(&mut statement, path);
        if let Some(place) = place {
            statement.push(" AND ");
            self.order.push_after(&mut statement, place)?;
        }
        self.order.push(&mut statement);
        let limit = i64::try_from(limit).expect("a page is small");
        statement.push(" LIMIT ").push_number(limit);
        Ok(statement.fetch_all(conn).await?)
    }

    fn select(&self, select: &'static str, engine: Engine, path: &Path) -> Statement {
        let mut statement = Statement::new(engine, select);
        self.push_from(&mut statement, path);
        statement
    }

    /// Adds from where rows are taken: those that an index leads to, if one does.
    fn push_from(&self, statement: &mut Statement, path: &Path) {
        statement
            .push(" FROM customers c WHERE c.shop_id = ")
            .bind(&*self.shop);
        for (path, condition) in [
            ("name", " AND c.id = "),
            ("email", " AND c.email = "),
            ("number", " AND c.number = "),
        ] {
            if let Some(filter::Bind::Text(value)) = self.filter.equality(path) {
                statement.push(condition).bind(value);
            }
        }
        if let Some((system, id)) = self.filter.entry("external_ids") {
            statement.push(" AND c.id IN (SELECT x.customer_id FROM customer_external_ids x");
            statement.push(" WHERE x.shop_id = ").bind(&*self.shop);
            statement.push(" AND x.system = ").bind(system);
            statement
                .push(" AND x.external_id = ")
                .bind(Bind::Text(id))
                .push(")");
        }
        if let (Path::Search, Some(terms)) = (path, &self.terms) {
            statement.push(" AND ");
            terms.push(&SEARCH, statement);
        }
    }

    /// Adds whether a row matches.
    fn push_matches(&self, statement: &mut Statement, path: &Path) {
        statement.push_filter(&self.filter, self.now);
        if !self.show_deleted {
            statement.push(" AND c.delete_time IS NULL");
        }
        if let (Path::Order, Some(terms)) = (path, &self.terms) {
            statement.push(" AND ");
            terms.push_examining(&SEARCH, statement);
        }
    }

    async fn derived(&self, conn: &mut Conn, page: &Page) -> Result<Vec<Derived>> {
        if page.customers.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = page
            .customers
            .iter()
            .map(|customer| customer.id.clone())
            .collect();
        let visits = sql::last_visits(conn, &self.shop, &ids).await?;
        let zone = shops::settings(conn, &self.shop).await?.zone();
        Ok(ids
            .iter()
            .map(|id| Derived::of(visits.get(id).copied(), zone.clone()))
            .collect())
    }
}
