//! Reading API keys as they are managed: one, and a page of them.

use std::sync::LazyLock;

use futures::FutureExt as _;
use serde::Deserialize;

use super::convert;
use super::model::ApiKey;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;
use crate::resource::{Column, List, Partition, Query, Table};
use crate::store::{Bind, Conn, Store};

type Field = Column<pb::ApiKey>;

/// The table. Callers choose no filter and no order.
static TABLE: LazyLock<Table<pb::ApiKey>> = LazyLock::new(|| {
    let read = |id, _, doc: &str| message(id, doc);
    let fields = [
        Field::name("apiKeys", |key| &key.name),
        Field::time("expire_time", |key| key.expire_time.as_ref()),
        Field::time("revoke_time", |key| key.revoke_time.as_ref()),
    ];
    Table::new(super::KIND, "apiKeys", read, fields)
        .stored_in("api_keys")
        .made_of(&[
            "shop_id",
            "doc",
            "expire_time",
            "revoke_time",
            "create_time",
        ])
});

/// Keys that open something.
const LIVE: &str = "NOT revoke_time:* AND (NOT expire_time:* OR expire_time > now)";

#[derive(Deserialize)]
struct Row {
    shop_id: Option<String>,
    doc: String,
    expire_time: Option<i64>,
    revoke_time: Option<i64>,
    create_time: i64,
}

fn message(id: String, doc: &str) -> Result<pb::ApiKey> {
    let corrupt = |error| Error::corrupt("api_keys", &id, error);
    let row: Row = serde_json::from_str(doc).map_err(corrupt)?;
    let doc = serde_json::from_str(&row.doc).map_err(corrupt)?;
    Ok(convert::api_key(&ApiKey {
        id,
        shop: row.shop_id,
        doc,
        expire_time: row.expire_time,
        revoke_time: row.revoke_time,
        create_time: row.create_time,
    }))
}

/// A key that the caller may revoke: one of its shop, or, for operators, any.
pub async fn get(conn: &mut Conn, caller: &Caller, id: &str) -> Result<pb::ApiKey> {
    let among = if caller.is_operator() {
        Partition::all()
    } else {
        Partition::shop(&caller.shop)
    };
    let found = TABLE.find(conn, &[among], id).await?;
    found.ok_or_else(|| Error::not_found("apiKey"))
}

/// ListApiKeys: the keys of the caller's shop, and, for operators, those that are bound to no shop.
pub async fn list(
    store: &Store,
    caller: Caller,
    request: pb::ListApiKeysRequest,
) -> Result<pb::ListApiKeysResponse> {
    let query = Query {
        filter: if request.show_revoked { "" } else { LIVE },
        order_by: "name desc", // Ids grow with time: the newest first.
        page_size: request.page_size,
        page_token: &request.page_token,
        ..Query::default()
    };
    let mut among = vec![Partition::shop(&caller.shop)];
    if caller.is_operator() {
        among.push(Partition::all().of("shop_id", Bind::NoText));
    }
    let list = List::new(store, &TABLE, &caller, "ListApiKeys", &query)?.of(among);
    let page = store
        .read(|conn| async move { list.read(conn).await }.boxed())
        .await?;
    Ok(pb::ListApiKeysResponse {
        api_keys: page.items,
        next_page_token: page.next_page_token,
    })
}
