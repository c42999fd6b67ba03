//! ListCarts.

use std::sync::Arc;

use futures::FutureExt as _;
use prost::Message as _;
use sqlx::FromRow;

use super::Service;
use crate::caller::Caller;
use crate::carts::schema::{SCHEMA, TABLE};
use crate::carts::sql;
use crate::carts::work::{self, Work};
use crate::error::Result;
use crate::filter::{Filter, Record, Value};
use crate::limits;
use crate::list::{self, Examination, Key, Order, Pauses};
use crate::proto::pb;
use crate::store::{Conn, PageToken, RequestDigest, StoreMeta};

impl Service {
    pub(super) async fn list(
        &self,
        caller: &Caller,
        request: pb::ListCartsRequest,
    ) -> Result<pb::ListCartsResponse> {
        let digest = RequestDigest::new("ListCarts", &caller.shop)
            .field("filter", &request.filter)
            .field("order_by", &request.order_by);
        let meta = self.store.meta();
        let list = List {
            shop: Arc::clone(&caller.shop),
            now: self.store.clock().now(),
            filter: list::filter(&request.filter, &SCHEMA, &|_| true)?,
            order: Order::parse(&request.order_by, &SCHEMA, &|_| true)?,
            size: list::size(request.page_size)?,
            count: request.count,
            after: list::open(meta, &digest, &request.page_token)?,
            digest,
            meta: meta.clone(),
        };
        self.store.snapshot(|conn| list.read(conn).boxed()).await
    }
}

/// A ListCarts, checked.
struct List {
    meta: StoreMeta,
    shop: Arc<str>,
    now: i64,
    filter: Filter,
    order: Order,
    size: usize,
    count: i32,
    after: Option<Vec<Key>>,
    digest: RequestDigest,
}

/// The columns that are read of a matching row, and of the last row that was examined.
const COLUMNS: &[(&str, &str)] = &[
    ("c.id", "id"),
    ("c.number", "number"),
    ("c.create_time", "create_time"),
    ("c.update_time", "update_time"),
];

/// A row without its document: those are large, and most rows that a filter looks at do not match.
#[derive(FromRow)]
struct ExaminedRow {
    id: String,
    number: String,
    create_time: i64,
    update_time: i64,
}

/// Only what orders may name.
impl Record for ExaminedRow {
    fn value(&self, field: usize) -> Value<'_> {
        match SCHEMA.fields[field].path {
            "name" => Value::text(&self.id),
            "number" => Value::text(&self.number),
            "create_time" => Value::Int(self.create_time),
            "update_time" => Value::Int(self.update_time),
            _ => Value::Absent,
        }
    }
}

impl List {
    async fn read(self, conn: &mut Conn) -> Result<pb::ListCartsResponse> {
        let examination = Examination {
            table: &TABLE,
            columns: COLUMNS,
            documents: false,
            shop: &self.shop,
            filter: &self.filter,
            now: self.now,
            condition: "",
            search: None,
            without: &[],
            order: &self.order,
        };
        let way = examination.way(conn).await?;
        let after = self.after.as_deref();
        // One more than the page has, so that it knows whether it is the last.
        let limit = self.size + 1;
        let mut rows: Vec<ExaminedRow> = examination.rows(conn, &way, after, limit).await?;
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        let (carts, whole) = self.page(conn, &ids).await?;
        let last = if more || !whole {
            // The page may have ended before the last of the rows.
            let last = carts.len().checked_sub(1);
            last.and_then(|last| rows.into_iter().nth(last))
        } else {
            examination.last(conn, &way, after).await?
        };
        let next_page_token = last.map(|row| self.token_after(&row));
        let matching = examination.matching(conn.engine(), &way);
        let count = list::count(conn, self.count, &matching).await?;
        Ok(pb::ListCartsResponse {
            carts,
            next_page_token: next_page_token.unwrap_or_default(),
            count,
        })
    }

    fn token_after(&self, row: &ExaminedRow) -> String {
        PageToken::seal(&self.meta, &self.digest, &self.order.place(row))
    }

    /// The carts of a page, and whether they are all: the page ends before its answer would become too
    /// large, and what is read at once is bounded as well.
    async fn page(&self, conn: &mut Conn, ids: &[String]) -> Result<(Vec<pb::Cart>, bool)> {
        let mut carts: Vec<pb::Cart> = Vec::new();
        let (mut bytes, mut read) = (0_usize, 0);
        while read < ids.len() {
            // As many as may still fit, by the size of those that are there.
            let usual = bytes.checked_div(carts.len()).unwrap_or_default();
            let left = PAGE_BYTES_MAX.saturating_sub(bytes).checked_div(usual);
            let end = (read + left.unwrap_or_default().max(CHUNK)).min(ids.len());
            for cart in self.load(conn, &ids[read..end]).await? {
                bytes += cart.encoded_len();
                if bytes > PAGE_BYTES_MAX && !carts.is_empty() {
                    return Ok((carts, false));
                }
                carts.push(cart);
            }
            read = end;
        }
        Ok((carts, true))
    }

    /// The carts with these ids in their order, priced.
    async fn load(&self, conn: &mut Conn, ids: &[String]) -> Result<Vec<pb::Cart>> {
        let mut pauses = Pauses::begin();
        let found = sql::read_page(conn, &self.shop, ids, &mut pauses).await?;
        let mut carts: Vec<Option<pb::Cart>> = vec![None; ids.len()];
        for priced in found {
            pauses.take().await;
            let place = ids.iter().position(|id| *id == priced.cart.id);
            let mut work = Work::of(priced);
            work::view(&mut work)?;
            if let Some(slot) = place.and_then(|place| carts.get_mut(place)) {
                *slot = Some(work.shown(self.now));
            }
        }
        Ok(carts.into_iter().flatten().collect())
    }
}

/// A page ends before its answer becomes larger than this.
const PAGE_BYTES_MAX: usize = limits::RESPONSE_BYTES_MAX * 3 / 4;
/// Carts that are read at once at least; the largest come to 8 MiB.
const CHUNK: usize = 32;
