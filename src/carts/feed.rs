//! Carts as the feed watches them.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prost::Message as _;

use super::convert;
use super::model::COLLECTION;
use super::schema::{CartRecord, SCHEMA, TABLE};
use super::sql;
use crate::error::Result;
use crate::feed::{Decoded, Kind, PageQuery, Resource, Row, Rows, Scope};
use crate::filter::Filter;
use crate::list;
use crate::store::{Conn, Statement};

/// The resource of WatchCart and WatchCarts.
pub(super) struct Carts;

/// The one of its kind.
pub(super) static CARTS: Carts = Carts;

impl Resource for Carts {
    fn kind(&self) -> Kind {
        Kind::Cart
    }

    fn collection(&self) -> &'static str {
        COLLECTION
    }

    fn decode(&self, body: &[u8]) -> Result<Arc<dyn Decoded>> {
        Ok(Arc::new(CartRecord::decode(body)?))
    }

    fn page<'c>(&self, conn: &'c mut Conn, query: PageQuery) -> BoxFuture<'c, Result<Rows>> {
        page(conn, query).boxed()
    }
}

/// Rows as they are stored, also where their prices are stale: what a snapshot shows of a version must
/// be what the log holds of it.
async fn page(conn: &mut Conn, query: PageQuery) -> Result<Rows> {
    let rows = match &query.scope {
        Scope::All => {
            let everything = Filter::everything(&SCHEMA);
            let filter = query.filter.as_deref().unwrap_or(&everything);
            let (rows, next) = list::by_name(conn, &TABLE, "", &query, filter).await?;
            let rows = shown(rows)?;
            return Ok(Rows { rows, next });
        }
        Scope::Ids(ids) => {
            let by_id = |statement: &mut Statement| list::push_ids(statement, ids);
            list::selected(conn, &TABLE, &query, by_id).await?
        }
        Scope::Topic(topic) => {
            let (owner, slot) = topic.rsplit_once('/').unwrap_or_default();
            list::selected(conn, &TABLE, &query, |statement| {
                statement.push(" AND c.state = 1 AND c.owner = ");
                statement.bind(owner).push(" AND c.slot = ").bind(slot);
            })
            .await?
        }
    };
    Ok(Rows::up_to(query.limit, shown(rows)?))
}

fn shown(rows: Vec<(String, i64, String)>) -> Result<Vec<Row>> {
    rows.into_iter()
        .map(|(id, version, doc)| {
            let cart = sql::parse(id, version, &doc)?;
            let body = Bytes::from(convert::message(&cart).encode_to_vec());
            Ok(Row {
                id: cart.id,
                version,
                body,
            })
        })
        .collect()
}
