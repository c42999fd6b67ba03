//! Reading operations: one, and a page of them.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed;
use crate::filter::Schema;
use crate::jobs::{JobKind, JobState};
use crate::proto::pb;
use crate::resource::{Column, List, Partition, Query, Table, page};
use crate::store::{Conn, Store};

type Field = Column<pb::Operation>;

/// The table. Lists show the newest first; callers do not choose the order.
static TABLE: LazyLock<Table<pb::Operation>> = LazyLock::new(|| {
    let read = |id, _, doc: &str| message(id, doc);
    let fields = [
        Field::name(super::COLLECTION, |operation| &operation.name),
        Field::one_of("kind", |operation| Some(operation.kind.into())),
        Field::one_of("state", |operation| Some(operation.state.into())),
        Field::text("subject", |operation| &operation.subject),
        Field::time("create_time", |operation| operation.create_time.as_ref()).sortable(),
    ];
    Table::new(super::KIND, super::COLLECTION, read, fields)
        .stored_in("jobs")
        .made_of(&[
            "kind",
            "state",
            "subject",
            "progress",
            "attempts",
            "error",
            "skipped",
            "key_id",
            "actor",
            "create_time",
            "update_time",
            "end_time",
        ])
});

const NEWEST_FIRST: &str = "create_time desc, name desc";

/// Checks a filter as ListOperations does. Each order is refused, because ListOperations has none.
///
/// # Errors
/// INVALID_FILTER, INVALID_ORDER_BY.
pub fn check(filter: &str, order_by: &str) -> Result<()> {
    page::filter(filter, TABLE.schema(), &|_| true)?;
    page::order(order_by, &Schema { fields: &[] }, &|_| true).map(drop)
}

/// The columns of a job that its operation shows.
#[derive(Deserialize)]
struct Row {
    kind: i64,
    state: i64,
    subject: String,
    progress: i64,
    attempts: i64,
    error: Option<String>,
    skipped: i64,
    key_id: String,
    actor: Option<String>,
    create_time: i64,
    update_time: i64,
    end_time: Option<i64>,
}

fn message(id: String, doc: &str) -> Result<pb::Operation> {
    let row: Row = serde_json::from_str(doc).map_err(|error| Error::corrupt("jobs", &id, error))?;
    let unknown = |what: &str| Error::corrupt("jobs", &id, what);
    let kind = JobKind::of(row.kind).ok_or_else(|| unknown("unknown kind"))?;
    let state = JobState::of(row.state).ok_or_else(|| unknown("unknown state"))?;
    let actor = match (row.actor, row.key_id.as_str()) {
        (Some(actor), _) => actor,
        (None, "system") => "system".to_owned(),
        (None, key) => format!("apiKeys/{key}"),
    };
    Ok(pb::Operation {
        name: super::name(&id),
        kind: kind.message().into(),
        state: state.message().into(),
        subject: row.subject,
        progress: row.progress,
        attempts: i32::try_from(row.attempts).unwrap_or(i32::MAX),
        error: row.error.unwrap_or_default(),
        skipped: row.skipped,
        actor,
        create_time: Some(feed::timestamp(row.create_time)),
        update_time: Some(feed::timestamp(row.update_time)),
        end_time: row.end_time.map(feed::timestamp),
    })
}

/// The operations that a caller may see: those of its shop, and, for operators, those of the whole store.
fn visible_to(caller: &Caller) -> Vec<Partition> {
    let mut partitions = vec![Partition::shop(&caller.shop)];
    if caller.is_operator() {
        partitions.push(Partition::shop(""));
    }
    partitions
}

/// Reads an operation.
pub(super) async fn get(conn: &mut Conn, caller: &Caller, id: &str) -> Result<pb::Operation> {
    let found = TABLE.find(conn, &visible_to(caller), id).await?;
    found.ok_or_else(|| Error::not_found("operation"))
}

/// Checks a request of ListOperations.
pub(super) fn list(
    store: &Store,
    caller: &Caller,
    request: &pb::ListOperationsRequest,
) -> Result<List<pb::Operation>> {
    let query = Query {
        filter: &request.filter,
        order_by: NEWEST_FIRST,
        page_size: request.page_size,
        page_token: &request.page_token,
        ..Query::default()
    };
    let list = List::new(store, &TABLE, caller, "ListOperations", &query)?;
    Ok(list.of(visible_to(caller)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_every_kind_and_state_as_the_contract_does() {
        let kinds = JobKind::ALL.map(|kind| (kind.number(), kind.message().as_str_name()));
        let states = (1..).map_while(JobState::of);
        let states = states.map(|state| (state.number(), state.message().as_str_name()));
        for (number, name) in kinds.into_iter().chain(states) {
            let (field, value) = name.split_once('_').unwrap();
            let field = field.to_lowercase();

            let filter = page::filter(&format!("{field} = {value}"), TABLE.schema(), &|_| true);

            let asked = filter.unwrap().equality(&field);
            assert_eq!(asked, Some(crate::filter::Bind::Int(number)), "{name}");
        }
    }
}
