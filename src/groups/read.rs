//! Reads groups: one, or a page of them, with their derived fields.

use std::collections::HashMap;
use std::sync::Arc;

use super::fields::TABLE;
use super::model::Group;
use super::{id_of, sees_hidden, sql};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;
use crate::resource::{self, List, Query, Resource as _};
use crate::shops;
use crate::store::{Conn, Store};

/// Returns a group as its message, without the derived fields.
///
/// A storefront gets the same answer for a hidden, a deleted and an absent group. The work is the same, too,
/// so that the time of the answer reveals nothing.
pub(super) async fn get(conn: &mut Conn, caller: &Caller, id: &str) -> Result<pb::Group> {
    let group = if sees_hidden(caller) {
        resource::load::<Group>(conn, &caller.shop, id).await?
    } else {
        sql::get_visible(conn, &caller.shop, id).await?
    };
    let group = group.ok_or_else(|| Error::not_found("group"))?;
    Ok(group.message())
}

/// Fills in display names and member counts.
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

/// The list of a ListGroups call.
///
/// # Errors
/// INVALID_FILTER, INVALID_ORDER_BY, INVALID_FIELD.
pub(super) fn list(
    store: &Store,
    caller: &Caller,
    request: &pb::ListGroupsRequest,
) -> Result<List<pb::Group>> {
    let query = Query {
        filter: &request.filter,
        order_by: &request.order_by,
        page_size: request.page_size,
        page_token: &request.page_token,
        count: request.count,
    };
    let hidden_too = sees_hidden(caller);
    let list = List::new(store, &TABLE, caller, "ListGroups", &query)?
        .bound_to("hidden", [u8::from(hidden_too)]);
    Ok(if hidden_too {
        list
    } else {
        list.condition("c.state <> 2", &[])
    })
}
