//! Customers as the feed watches them.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use prost::Message as _;

use super::{
    convert::{self, COLLECTION},
    fields::CustomerRecord,
    sql,
};
use crate::{
    error::{Error, Result},
    feed::{Decoded, Kind, PageQuery, Resource, Row, Scope},
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

    fn page<'c>(&self, conn: &'c mut Conn, query: PageQuery) -> BoxFuture<'c, Result<Vec<Row>>> {
        page(conn, query).boxed()
    }
}

async fn page(conn: &mut Conn, query: PageQuery) -> Result<Vec<Row>> {
    let engine = conn.engine();
    let select = "SELECT c.id, c.version, c.doc FROM customers c
        WHERE c.delete_time IS NULL AND c.shop_id = ";
    let mut statement = Statement::new(engine, select);
    statement.bind(&*query.shop);
    match query.scope {
        Scope::All => {}
        Scope::Ids(ids) => {
            let ids = statement.keep(Bind::Texts(ids));
            statement
                .push(" AND ")
                .push_piece(&dialect::any_of(engine, "c.id", &ids));
        }
        Scope::Topic(_) => return Ok(Vec::new()),
    }
    if let Some(filter) = &query.filter {
        statement.push(" AND ").push_filter(filter, query.now);
    }
    if let Some(after) = query.after {
        statement.push(" AND c.id > ").bind(after);
    }
    statement
        .push(" ORDER BY c.id LIMIT ")
        .push_number(query.limit);
    let rows: Vec<(String, i64, String)> = statement.fetch_all(conn).await?;
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
