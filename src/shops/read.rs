//! Reading shops: one, and a page of them.

use std::sync::LazyLock;

use futures::FutureExt as _;
use serde::Deserialize;

use super::convert;
use super::model::Shop;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;
use crate::resource::{Column, List, Partition, Query, Table};
use crate::store::{Conn, Store};

/// The table. Callers choose neither the order nor a filter.
static TABLE: LazyLock<Table<pb::Shop>> = LazyLock::new(|| {
    let read = |id, _, doc: &str| Ok(convert::shop(&shop(id, doc)?));
    let fields = [Column::name("shops", |shop: &pb::Shop| &shop.name)];
    Table::new(super::KIND, "shops", read, fields).made_of(&[
        "version",
        "doc",
        "create_time",
        "update_time",
    ])
});

#[derive(Deserialize)]
struct Row {
    version: i64,
    doc: String,
    create_time: i64,
    update_time: i64,
}

fn shop(id: String, doc: &str) -> Result<Shop> {
    let corrupt = |error| Error::corrupt("shops", &id, error);
    let row: Row = serde_json::from_str(doc).map_err(corrupt)?;
    let doc = serde_json::from_str(&row.doc).map_err(corrupt)?;
    Ok(Shop {
        id,
        version: row.version,
        doc,
        create_time: row.create_time,
        update_time: row.update_time,
    })
}

/// Reads a shop; None if there is none with this id.
pub async fn get(conn: &mut Conn, id: &str) -> Result<Option<Shop>> {
    let row = TABLE.row(conn, &[Partition::all()], id).await?;
    row.map(|row| shop(row.id, &row.doc)).transpose()
}

/// ListShops: all shops for operators, for others their own.
pub async fn list(
    store: &Store,
    caller: &Caller,
    request: &pb::ListShopsRequest,
) -> Result<pb::ListShopsResponse> {
    let query = Query {
        page_size: request.page_size,
        page_token: &request.page_token,
        ..Query::default()
    };
    let among = match caller.is_operator() {
        true => Partition::all(),
        false => Partition::all().of("id", &*caller.shop),
    };
    let list = List::new(store, &TABLE, caller, "ListShops", &query)?.of(vec![among]);
    let page = store
        .read(|conn| async move { list.read(conn).await }.boxed())
        .await?;
    Ok(pb::ListShopsResponse {
        shops: page.items,
        next_page_token: page.next_page_token,
    })
}
