//! Reading groups: one, a page of them, and what is derived.

use std::collections::HashMap;
use std::sync::Arc;

use super::fields::{self, GroupRecord, SCHEMA};
use super::model::Group;
use super::sql::{self, GroupRow};
use super::{convert, id_of, sees_hidden};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::list::{self, Key, Order};
use crate::proto::pb;
use crate::shops;
use crate::store::{Conn, PageToken, RequestDigest, Statement, Store, StoreMeta};

/// Returns a group as its message, without the derived fields.
///
/// For a storefront a hidden, a deleted and an absent group are one and the same, in the work too: the
/// time of the answer tells nothing.
pub(super) async fn get(conn: &mut Conn, caller: &Caller, id: &str) -> Result<pb::Group> {
    let group = if sees_hidden(caller) {
        sql::get(conn, &caller.shop, id).await?
    } else {
        sql::get_visible(conn, &caller.shop, id).await?
    };
    let group = group.ok_or_else(|| Error::not_found("group"))?;
    Ok(convert::message(&group))
}

/// Fills in display names and numbers of members.
pub(super) async fn complete(
    conn: &mut Conn,
    shop: Arc<str>,
    language_code: String,
    mut groups: Vec<pb::Group>,
) -> Result<Vec<pb::Group>> {
    let languages = shops::settings(conn, &shop).await?.languages;
    let asked = Some(language_code).filter(|language| !language.is_empty());
    let languages: Vec<String> = asked.into_iter().chain(languages).collect();
    let ids: Vec<String> = groups
        .iter()
        .filter_map(|group| id_of(&group.name))
        .map(str::to_owned)
        .collect();
    let counts: HashMap<String, i64> = sql::member_counts(conn, &shop, &ids)
        .await?
        .into_iter()
        .collect();
    for group in &mut groups {
        let names = group.display_names.clone().into_iter().collect();
        let model = Group {
            display_names: names,
            ..Group::default()
        };
        let languages = languages.iter().map(String::as_str);
        group.display_name = model.display_name(languages).to_owned();
        let count = id_of(&group.name).and_then(|id| counts.get(id)).copied();
        group.member_count = count.unwrap_or_default().max(0);
    }
    Ok(groups)
}

/// A ListGroups, checked.
pub(super) struct List {
    meta: StoreMeta,
    shop: Arc<str>,
    now: i64,
    hidden_too: bool,
    filter: Filter,
    order: Order,
    size: usize,
    count: i32,
    after: Option<Vec<Key>>,
    digest: RequestDigest,
}

/// A page of groups, without what is derived.
pub(super) struct Page {
    pub(super) groups: Vec<pb::Group>,
    pub(super) next_page_token: String,
    pub(super) count: Option<pb::Count>,
}

impl List {
    pub(super) fn new(
        store: &Store,
        caller: &Caller,
        request: &pb::ListGroupsRequest,
    ) -> Result<Self> {
        let hidden_too = sees_hidden(caller);
        let digest = RequestDigest::new("ListGroups", &caller.shop)
            .field("filter", &request.filter)
            .field("order_by", &request.order_by)
            .field("hidden", [u8::from(hidden_too)]);
        Ok(Self {
            meta: store.meta().clone(),
            shop: Arc::clone(&caller.shop),
            now: store.clock().now(),
            hidden_too,
            filter: list::filter(&request.filter, &SCHEMA, &fields::visible)?,
            order: Order::parse(&request.order_by, &SCHEMA, &fields::visible)?,
            size: list::size(request.page_size)?,
            count: request.count,
            after: list::open(store.meta(), &digest, &request.page_token)?,
            digest,
        })
    }

    /// Begins a statement with what all pages of this list have in common.
    fn matching(&self, conn: &Conn, select: &'static str) -> Statement {
        let mut statement = Statement::new(conn.engine(), select);
        statement
            .push(" FROM groups WHERE shop_id = ")
            .bind(&*self.shop);
        if !self.hidden_too {
            statement.push(" AND state <> 2");
        }
        statement.push(" AND ").push_filter(&self.filter, self.now);
        statement
    }

    pub(super) async fn read(self, conn: &mut Conn) -> Result<Page> {
        let mut statement = self.matching(conn, "SELECT id, version, doc");
        if let Some(after) = &self.after {
            statement.push(" AND ");
            self.order.push_after(&mut statement, after)?;
        }
        self.order.push(&mut statement);
        let one_more = i64::try_from(self.size + 1).unwrap_or(i64::MAX);
        statement.push(" LIMIT ").push_number(one_more);
        let mut rows: Vec<GroupRow> = statement.fetch_all(conn).await?;
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let groups = rows
            .into_iter()
            .map(|row| Ok(convert::message(&row.model()?)))
            .collect::<Result<Vec<_>>>()?;
        let next_page_token = match groups.last() {
            Some(last) if more => {
                let place = self.order.place(&GroupRecord::from(last.clone()));
                PageToken::seal(&self.meta, &self.digest, &place)
            }
            _ => String::new(),
        };
        let count = list::count(conn, self.count, &self.matching(conn, "SELECT 1 AS one")).await?;
        Ok(Page {
            groups,
            next_page_token,
            count,
        })
    }
}
