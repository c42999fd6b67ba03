//! ListCarts.

use std::sync::Arc;

use futures::FutureExt as _;
use prost::Message as _;

use super::Service;
use crate::access::Caller;
use crate::carts::schema::{CartRecord, SCHEMA};
use crate::carts::sql;
use crate::carts::work::{self, Work};
use crate::error::Result;
use crate::filter::Filter;
use crate::limits::{self, PAGE_ROWS_EXAMINED_MAX};
use crate::list::{self, Key, Order};
use crate::proto::pb;
use crate::store::{Conn, PageToken, RequestDigest, Statement, StoreMeta};

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

impl List {
    async fn read(self, conn: &mut Conn) -> Result<pb::ListCartsResponse> {
        let mut ids = self.matching_ids(conn).await?;
        let more = ids.len() > self.size;
        ids.truncate(self.size);
        let (carts, whole) = self.page(conn, &ids).await?;
        let last = if more || !whole {
            carts.last().cloned()
        } else if self.filter.is_everything() {
            None
        } else {
            self.last_examined(conn).await?
        };
        let next_page_token = last.map(|cart| self.token_after(cart)).unwrap_or_default();
        let mut matching = Statement::new(conn.engine(), "SELECT 1 AS one FROM carts");
        matching
            .push(" WHERE shop_id = ")
            .bind(&*self.shop)
            .push(" AND ");
        matching.push_filter(&self.filter, self.now);
        let count = list::count(conn, self.count, &matching).await?;
        Ok(pb::ListCartsResponse {
            carts,
            next_page_token,
            count,
        })
    }

    fn token_after(&self, cart: pb::Cart) -> String {
        let place = self.order.place(&CartRecord::new(cart));
        PageToken::seal(&self.meta, &self.digest, &place)
    }

    /// Begins a statement over the rows after the last page, without documents: they are large, and
    /// most rows that a filter looks at do not match.
    fn after(&self, conn: &Conn, select: &'static str) -> Result<Statement> {
        let mut statement = Statement::new(conn.engine(), select);
        statement
            .push(" FROM carts WHERE shop_id = ")
            .bind(&*self.shop);
        if let Some(after) = &self.after {
            statement.push(" AND ");
            self.order.push_after(&mut statement, after)?;
        }
        Ok(statement)
    }

    /// The ids of the page's carts and of one more, of the rows that one page may examine.
    async fn matching_ids(&self, conn: &mut Conn) -> Result<Vec<String>> {
        let one_more = i64::try_from(self.size + 1).unwrap_or(i64::MAX);
        let mut statement;
        if self.filter.is_everything() {
            statement = self.after(conn, "SELECT id")?;
            self.order.push(&mut statement);
        } else {
            statement = Statement::new(
                conn.engine(),
                "SELECT id FROM (SELECT id, number, create_time, update_time, ",
            );
            statement.push_filter(&self.filter, self.now);
            statement
                .push(" AS fits FROM carts WHERE shop_id = ")
                .bind(&*self.shop);
            if let Some(after) = &self.after {
                statement.push(" AND ");
                self.order.push_after(&mut statement, after)?;
            }
            self.order.push(&mut statement);
            statement.push(" LIMIT ").push_number(EXAMINED);
            statement.push(") AS examined WHERE fits");
            self.order.push(&mut statement);
        }
        statement.push(" LIMIT ").push_number(one_more);
        let rows: Vec<(String,)> = statement.fetch_all(conn).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
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
        let found = sql::read_many(conn, &self.shop, ids).await?;
        let mut carts: Vec<Option<pb::Cart>> = vec![None; ids.len()];
        for priced in found {
            let place = ids.iter().position(|id| *id == priced.cart.id);
            let mut work = Work::of(priced);
            work::view(&mut work)?;
            if let Some(slot) = place.and_then(|place| carts.get_mut(place)) {
                *slot = Some(work.shown(self.now));
            }
        }
        Ok(carts.into_iter().flatten().collect())
    }

    /// The last row that the page examined, if there may be further ones.
    async fn last_examined(&self, conn: &mut Conn) -> Result<Option<pb::Cart>> {
        let mut statement = self.after(conn, "SELECT id")?;
        self.order.push(&mut statement);
        // The page's own bound, not a page's beginning: it never grows.
        statement.push(" LIMIT 1 OFFSET ").push_number(EXAMINED - 1);
        let rows: Vec<(String,)> = statement.fetch_all(conn).await?;
        let ids: Vec<String> = rows.into_iter().map(|(id,)| id).collect();
        Ok(self.load(conn, &ids).await?.pop())
    }
}

/// A page ends before its answer becomes larger than this.
const PAGE_BYTES_MAX: usize = limits::RESPONSE_BYTES_MAX * 3 / 4;
/// Carts that are read at once at least; the largest come to 8 MiB.
const CHUNK: usize = 32;
const EXAMINED: i64 = PAGE_ROWS_EXAMINED_MAX as i64;
