//! ListCustomers.
//!
//! A page begins with the index that leads to the fewest rows, goes through them in their order and looks
//! at each whether it matches. What it examines is bounded.

use std::{borrow::Cow, sync::Arc};

use futures::FutureExt as _;
use prost::Message as _;
use sqlx::FromRow;

use super::Service;
use crate::{
    caller::Caller,
    customers::{
        convert,
        derived::Derived,
        fields::{FIELDS, LAST_NAME_KEY, OF_THE_LIVING, SEARCH, TABLE, visible_to},
        sql,
    },
    error::Result,
    filter::{Filter, Record, Value},
    limits,
    list::{self, Examination, Key, Order, Pauses, Way},
    proto::pb,
    shops,
    store::{Conn, PageToken, RequestDigest, SearchTerms},
};

/// A page ends before its answer becomes larger than this.
const PAGE_BYTES_MAX: usize = limits::RESPONSE_BYTES_MAX * 3 / 4;

/// A row that matches, or the last that was examined; that has no document.
#[derive(FromRow)]
struct ExaminedRow {
    id: String,
    version: i64,
    email: String,
    last_name: String,
    last_name_key: String,
    create_time: i64,
    update_time: i64,
    doc: String,
}

/// The columns that are read of a row.
const COLUMNS: &[(&str, &str)] = &[
    ("c.id", "id"),
    ("c.version", "version"),
    ("c.email", "email"),
    ("c.last_name", "last_name"),
    ("c.last_name_key", "last_name_key"),
    ("c.create_time", "create_time"),
    ("c.update_time", "update_time"),
];

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

/// A page before it is made an answer.
struct Page {
    customers: Vec<pb::Customer>,
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
        let visible = visible_to(caller.roles);
        let order = Order::parse(&request.order_by, &FIELDS, &visible)?;
        let mut digest = RequestDigest::new("ListCustomers", &caller.shop)
            .field("filter", &request.filter)
            .field("order_by", &request.order_by)
            .field("query", &request.query)
            .field("show_deleted", [u8::from(request.show_deleted)]);
        if order.has(LAST_NAME_KEY) {
            // A place in the order of one language is none in that of another.
            digest = digest.field("language", self.language(&caller.shop).await?);
        }
        let position: Option<(i64, Vec<Key>)> = list::open(meta, &digest, &request.page_token)?;
        let today = self.store.clock().now();
        let (now, place) = match position {
            Some((now, place)) => (now, Some(place)),
            None => (today, None),
        };
        let list = List {
            filter: list::filter(&request.filter, &FIELDS, &visible)?,
            terms: SearchTerms::of(&request.query),
            show_deleted: request.show_deleted,
            order,
            count: request.count,
            size: list::size(request.page_size)?,
            shop: Arc::clone(&caller.shop),
            now,
        };
        let (mut page, count, derived) = self
            .store
            .snapshot(|conn| {
                async move {
                    let examination = list.examination();
                    let way = examination.way(conn).await?;
                    let matching = examination.matching(conn.engine(), &way);
                    let count = list::count(conn, list.count, &matching).await?;
                    let page = list.page(conn, &examination, &way, place).await?;
                    let derived = list.derived(conn, &page).await?;
                    Ok((page, count, derived))
                }
                .boxed()
            })
            .await?;
        for (customer, derived) in page.customers.iter_mut().zip(derived) {
            derived.fill(customer, today);
        }
        Ok(pb::ListCustomersResponse {
            customers: page.customers,
            next_page_token: match page.next {
                Some(place) => PageToken::seal(meta, &digest, &(now, place)),
                None => String::new(),
            },
            count,
        })
    }
}

impl Service {
    /// The language in whose order the last names of a shop lie.
    async fn language(&self, shop: &Arc<str>) -> Result<String> {
        let shop = Arc::clone(shop);
        let read = self
            .store
            .read(|conn| async move { shops::settings(conn, &shop).await }.boxed());
        Ok(read.await?.language().to_owned())
    }
}

impl List {
    fn examination(&self) -> Examination<'_> {
        Examination {
            table: &TABLE,
            columns: COLUMNS,
            documents: true,
            shop: &self.shop,
            filter: &self.filter,
            now: self.now,
            condition: if self.show_deleted {
                ""
            } else {
                "c.delete_time IS NULL"
            },
            search: self.terms.as_ref().map(|terms| (&SEARCH, terms)),
            without: if self.show_deleted {
                OF_THE_LIVING
            } else {
                &[]
            },
            order: &self.order,
        }
    }

    /// The next page after a place.
    async fn page(
        &self,
        conn: &mut Conn,
        examination: &Examination<'_>,
        way: &Way,
        place: Option<Vec<Key>>,
    ) -> Result<Page> {
        if self.terms.as_ref().is_some_and(SearchTerms::find_nothing) {
            return Ok(Page {
                customers: Vec::new(),
                next: None,
            });
        }
        // One more than the page has, so that it knows whether it is the last.
        let limit = self.size + 1;
        let rows: Vec<ExaminedRow> = examination.rows(conn, way, place.as_deref(), limit).await?;
        let mut customers = Vec::new();
        let (mut bytes, mut next) = (0, None);
        let mut pauses = Pauses::begin();
        for row in rows {
            pauses.take().await;
            let after = self.order.place(&row);
            let customer = convert::message(&sql::model(row.id, row.version, &row.doc)?);
            bytes += customer.encoded_len();
            let is_full = customers.len() == self.size || bytes > PAGE_BYTES_MAX;
            if is_full && !customers.is_empty() {
                return Ok(Page { customers, next });
            }
            customers.push(customer);
            next = Some(after);
        }
        let last: Option<ExaminedRow> = examination.last(conn, way, place.as_deref()).await?;
        Ok(Page {
            customers,
            next: last.map(|row| self.order.place(&row)),
        })
    }

    async fn derived(&self, conn: &mut Conn, page: &Page) -> Result<Vec<Derived>> {
        if page.customers.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = page
            .customers
            .iter()
            .map(|customer| convert::id_of(&customer.name).to_owned())
            .collect();
        let visits = sql::last_visits(conn, &self.shop, &ids).await?;
        let zone = shops::settings(conn, &self.shop).await?.zone();
        Ok(ids
            .iter()
            .map(|id| Derived::of(visits.get(id).copied(), zone.clone()))
            .collect())
    }
}
