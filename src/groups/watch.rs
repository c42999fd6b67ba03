//! Groups as the feed watches them.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prost::Message as _;

use super::convert;
use super::fields::GroupRecord;
use super::model::COLLECTION;
use super::sql::GroupRow;
use crate::error::Result;
use crate::feed::{Decoded, Kind, PageQuery, Resource, Row, Rows, Scope};
use crate::store::{Bind, Conn, Statement, dialect};

/// The resource of WatchGroups.
pub(super) struct Groups;

impl Resource for Groups {
    fn kind(&self) -> Kind {
        Kind::Group
    }

    fn collection(&self) -> &'static str {
        COLLECTION
    }

    fn decode(&self, body: &[u8]) -> Result<Arc<dyn Decoded>> {
        GroupRecord::decode(body)
    }

    fn page<'c>(&self, conn: &'c mut Conn, query: PageQuery) -> BoxFuture<'c, Result<Rows>> {
        page(conn, query).boxed()
    }
}

async fn page(conn: &mut Conn, query: PageQuery) -> Result<Rows> {
    let (engine, limit) = (conn.engine(), query.limit);
    let mut statement = Statement::new(
        engine,
        "SELECT id, version, doc FROM groups WHERE shop_id = ",
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
        Scope::Topic(_) => return Ok(Rows::up_to(limit, Vec::new())),
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
    let rows: Vec<GroupRow> = statement.fetch_all(conn).await?;
    let rows: Result<Vec<Row>> = rows
        .into_iter()
        .map(|row| {
            let group = row.model()?;
            let body = Bytes::from(convert::message(&group).encode_to_vec());
            Ok(Row {
                id: group.id,
                version: group.version,
                body,
            })
        })
        .collect();
    Ok(Rows::up_to(limit, rows?))
}
