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

    fn page<'c>(&self, conn: &'c mut Conn, query: PageQuery) -> BoxFuture<'c, Result<Rows>> {
        page(conn, query).boxed()
    }
}

/// Rows as they are stored, also where their prices are stale: what a snapshot shows of a version must
/// be what the log holds of it.
async fn page(conn: &mut Conn, query: PageQuery) -> Result<Rows> {
    if !matches!(query.scope, Scope::All) {
        let rows = chosen(conn, &query).await?;
        return Ok(Rows::up_to(query.limit, shown(rows)?));
    }
    let everything = Filter::everything(&SCHEMA);
    let filter = query.filter.as_deref().unwrap_or(&everything);
    let (rows, next) = list::by_name(conn, &TABLE, "", &query, filter).await?;
    let rows = shown(rows)?;
    Ok(Rows { rows, next })
}

/// The carts of these ids, or of a topic.
async fn chosen(conn: &mut Conn, query: &PageQuery) -> Result<Vec<(String, i64, String)>> {
    let engine = conn.engine();
    let select = "SELECT c.id, c.version, c.doc FROM carts c WHERE c.shop_id = ";
    let mut statement = Statement::new(engine, select);
    statement.bind(&*query.shop);
    match &query.scope {
        Scope::All => {}
        Scope::Ids(ids) => {
            let ids = statement.keep(Bind::Texts(ids.clone()));
            statement
                .push(" AND ")
                .push_piece(&dialect::any_of(engine, "c.id", &ids));
        }
        Scope::Topic(topic) => {
            let (owner, slot) = topic.rsplit_once('/').unwrap_or_default();
            statement
                .push(" AND c.state = 1 AND c.owner = ")
                .bind(owner);
            statement.push(" AND c.slot = ").bind(slot);
        }
    }
    if let Some(filter) = &query.filter {
        statement.push(" AND ").push_filter(filter, query.now);
    }
    if let Some(after) = &query.after {
        statement.push(" AND c.id > ").bind(&**after);
    }
    statement
        .push(" ORDER BY c.id LIMIT ")
        .push_number(query.limit);
    Ok(statement.fetch_all(conn).await?)
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
