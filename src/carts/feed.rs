//! Carts as the feed watches them.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prost::Message as _;

use super::convert;
use super::model::COLLECTION;
use super::schema::CartRecord;
use super::sql;
use crate::error::Result;
use crate::feed::{Decoded, Kind, PageQuery, Resource, Row, Scope};
use crate::store::{Bind, Conn, Statement, dialect};

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

    fn page<'c>(&self, conn: &'c mut Conn, query: PageQuery) -> BoxFuture<'c, Result<Vec<Row>>> {
        page(conn, query).boxed()
    }
}

/// Rows as they are stored, also where their prices are stale: what a snapshot shows of a version must
/// be what the log holds of it.
async fn page(conn: &mut Conn, query: PageQuery) -> Result<Vec<Row>> {
    let engine = conn.engine();
    let mut statement = Statement::new(
        engine,
        "SELECT id, version, doc FROM carts WHERE shop_id = ",
    );
    statement.bind(&*query.shop);
    match query.scope {
        Scope::All => {}
        Scope::Ids(ids) => {
            let ids = statement.keep(Bind::Texts(ids));
            statement
                .push(" AND ")
                .push_piece(&dialect::any_of(engine, "id", &ids));
        }
        Scope::Topic(topic) => {
            let (owner, slot) = topic.rsplit_once('/').unwrap_or_default();
            statement.push(" AND state = 1 AND owner = ").bind(owner);
            statement.push(" AND slot = ").bind(slot);
        }
    }
    if let Some(filter) = &query.filter {
        statement.push(" AND ").push_filter(filter, query.now);
    }
    if let Some(after) = query.after {
        statement.push(" AND id > ").bind(after);
    }
    statement
        .push(" ORDER BY id LIMIT ")
        .push_number(query.limit);
    let rows: Vec<(String, i64, String)> = statement.fetch_all(conn).await?;
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
