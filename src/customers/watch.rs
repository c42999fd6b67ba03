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
    store::Conn,
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
            let rows = list::selected(conn, &TABLE, &query, |statement| {
                statement.push(" AND c.delete_time IS NULL");
                list::push_ids(statement, ids);
            });
            return Ok(Rows::up_to(query.limit, shown(rows.await?)?));
        }
        Scope::Topic(_) => (Vec::new(), None),
    };
    let rows = shown(rows)?;
    Ok(Rows { rows, next })
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
