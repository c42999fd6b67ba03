//! ListCarts.

use std::sync::Arc;

use futures::FutureExt as _;
use prost::Message as _;

use super::Service;
use crate::caller::Caller;
use crate::carts::schema::TABLE;
use crate::carts::sql;
use crate::carts::work::{self, Work};
use crate::error::Result;
use crate::proto::pb;
use crate::resource::{List, PAGE_BYTES_MAX, Pauses, Query};
use crate::store::Conn;

/// The least number of carts that are read at once; the largest total 8 MiB.
const CHUNK: usize = 32;

impl Service {
    pub(super) async fn list(
        &self,
        caller: &Caller,
        request: pb::ListCartsRequest,
    ) -> Result<pb::ListCartsResponse> {
        let query = Query {
            filter: &request.filter,
            order_by: &request.order_by,
            page_size: request.page_size,
            page_token: &request.page_token,
            count: request.count,
        };
        let list = List::new(&self.store, &TABLE, caller, "ListCarts", &query)?;
        let shop = Arc::clone(&caller.shop);
        let page = self.store.snapshot(|conn| {
            async move {
                // Documents are large, and most rows that a filter examines do not match.
                let found = list.find(conn, false).await?;
                let ids: Vec<String> = found.rows.iter().map(|row| row.id.clone()).collect();
                let carts = page(conn, &shop, &ids, list.now()).await?;
                list.page(conn, found, carts).await
            }
            .boxed()
        });
        let page = page.await?;
        Ok(pb::ListCartsResponse {
            carts: page.items,
            next_page_token: page.next_page_token,
            count: page.count,
        })
    }
}

/// The first of these carts. The page ends before its answer would become too large, and each read is bounded
/// as well.
async fn page(conn: &mut Conn, shop: &str, ids: &[String], now: i64) -> Result<Vec<pb::Cart>> {
    let mut carts: Vec<pb::Cart> = Vec::new();
    let (mut bytes, mut read) = (0_usize, 0);
    while read < ids.len() {
        // As many as may still fit, by the average size so far.
        let usual = bytes.checked_div(carts.len()).unwrap_or_default();
        let left = PAGE_BYTES_MAX.saturating_sub(bytes).checked_div(usual);
        let end = (read + left.unwrap_or_default().max(CHUNK)).min(ids.len());
        for cart in load(conn, shop, &ids[read..end], now).await? {
            bytes += cart.encoded_len();
            if bytes > PAGE_BYTES_MAX && !carts.is_empty() {
                return Ok(carts);
            }
            carts.push(cart);
        }
        read = end;
    }
    Ok(carts)
}

/// The carts with these ids, in their order, priced.
async fn load(conn: &mut Conn, shop: &str, ids: &[String], now: i64) -> Result<Vec<pb::Cart>> {
    let mut pauses = Pauses::begin();
    let found = sql::read_page(conn, shop, ids, &mut pauses).await?;
    let mut carts: Vec<Option<pb::Cart>> = vec![None; ids.len()];
    for priced in found {
        pauses.take().await;
        let place = ids.iter().position(|id| *id == priced.cart.id);
        let mut work = Work::of(priced);
        work::view(&mut work)?;
        if let Some(slot) = place.and_then(|place| carts.get_mut(place)) {
            *slot = Some(work.shown(now));
        }
    }
    Ok(carts.into_iter().flatten().collect())
}
