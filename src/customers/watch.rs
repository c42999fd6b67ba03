//! Customers as the feed watches them.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use prost::Message as _;

use super::{
    convert::{self, COLLECTION},
    fields::{CustomerRecord, FIELDS, TABLE},
    sql,
};
use crate::{
    error::{Error, Result},
    feed::{Decoded, Kind, PageQuery, Resource, Row, Rows, Scope},
    filter::Filter,
    list,
    proto::pb,
    store::{Bind, Conn, Statement, dialect},
};

/// The resource of WatchCustomers.
pub(super) struct Customers;

impl Decoded for CustomerRecord {}

impl Resource for Customers {
    fn kind(&self) -> Kind {
        Kind::Customer
    }

    fn collection(&self) -> &'static str {
        COLLECTION
    }

    fn decode(&self, body: &[u8]) -> Result<Arc<dyn Decoded>> {
        let customer = pb::Customer::decode(body)
            .map_err(|error| Error::corrupt("change_log", COLLECTION, error))?;
        Ok(Arc::new(CustomerRecord::new(customer)))
    }

    fn page<'c>(&self, conn: &'c mut Conn, query: PageQuery) -> BoxFuture<'c, Result<Rows>> {
        page(conn, query).boxed()
    }
}

async fn page(conn: &mut Conn, query: PageQuery) -> Result<Rows> {
    let (rows, next) = match &query.scope {
        Scope::All => {
            let everything = Filter::everything(&FIELDS);
            let filter = query.filter.as_deref().unwrap_or(&everything);
            list::by_name(conn, &TABLE, "c.delete_time IS NULL", &query, filter).await?
        }
        Scope::Ids(ids) => {
            let rows = named(conn, &query, ids).await?;
            return Ok(Rows::up_to(query.limit, shown(rows)?));
        }
        Scope::Topic(_) => (Vec::new(), None),
    };
    let rows = shown(rows)?;
    Ok(Rows { rows, next })
}

/// The customers of these ids.
async fn named(
    conn: &mut Conn,
    query: &PageQuery,
    ids: &[String],
) -> Result<Vec<(String, i64, String)>> {
    let engine = conn.engine();
    let select = "SELECT c.id, c.version, c.doc FROM customers c
        WHERE c.delete_time IS NULL AND c.shop_id = ";
    let mut statement = Statement::new(engine, select);
    statement.bind(&*query.shop);
    let ids = statement.keep(Bind::Texts(ids.to_vec()));
    statement
        .push(" AND ")
        .push_piece(&dialect::any_of(engine, "c.id", &ids));
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
            let customer = sql::model(id, version, &doc)?;
            let body = Bytes::from(convert::message(&customer).encode_to_vec());
            Ok(Row {
                id: customer.id,
                version,
                body,
            })
        })
        .collect()
}
