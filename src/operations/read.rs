//! Reading operations: one, and a page of them.
//!
//! A page examines a bounded number of rows, newest first, whatever the filter leaves of them; its token says
//! how far it got.

use std::sync::Arc;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed;
use crate::filter::{Field, Filter, Kind, Schema};
use crate::jobs::{JobKind, JobState, sql::JobRow};
use crate::limits;
use crate::proto::pb;
use crate::resource::page;
use crate::store::{Conn, PageToken, RequestDigest, Statement, Store, StoreMeta};

/// Rows that a page examines in each of its scopes.
const EXAMINED_MAX: i64 = limits::PAGE_ROWS_EXAMINED_MAX as i64;

/// What a filter of operations may name.
pub(super) static SCHEMA: Schema = Schema {
    fields: &[
        Field::new("kind", KIND, "j.kind"),
        Field::new("state", STATE, "j.state"),
        Field::new("subject", Kind::Text, "j.subject"),
        Field::new("create_time", Kind::Time, "j.create_time"),
    ],
};

/// Refuses a filter that ListOperations refuses. It takes no orders, so each is refused.
///
/// # Errors
/// INVALID_FILTER, INVALID_ORDER_BY.
pub fn check(filter: &str, order_by: &str) -> Result<()> {
    page::filter(filter, &SCHEMA, &|_| true)?;
    page::order(order_by, &SCHEMA, &|_| true).map(drop)
}

const KIND: Kind = Kind::Enum(&[
    ("REPRICE_CARTS", JobKind::RepriceCarts.number()),
    ("REFRESH_CUSTOMER", JobKind::RefreshCustomer.number()),
    ("DELETE_GROUP", JobKind::DeleteGroup.number()),
    (
        "DELETE_CUSTOMER_CARTS",
        JobKind::DeleteCustomerCarts.number(),
    ),
    ("EXPIRE_MEMBERSHIPS", JobKind::ExpireMemberships.number()),
    ("PURGE", JobKind::Purge.number()),
    ("COMPACT", JobKind::Compact.number()),
    ("ABANDON_CARTS", JobKind::AbandonCarts.number()),
    ("REINDEX_CUSTOMERS", JobKind::ReindexCustomers.number()),
]);

const STATE: Kind = Kind::Enum(&[
    ("PENDING", JobState::Pending.number()),
    ("RUNNING", JobState::Running.number()),
    ("DONE", JobState::Done.number()),
    ("FAILED", JobState::Failed.number()),
    ("CANCELLED", JobState::Cancelled.number()),
]);

/// An operation and what of its job decides about it.
pub(super) struct Operation {
    pub(super) kind: JobKind,
    pub(super) state: JobState,
    pub(super) message: pb::Operation,
}

fn operation(row: JobRow) -> Result<Operation> {
    let unknown = |what: &str| Error::corrupt("jobs", &row.id, what);
    let kind = JobKind::of(row.kind).ok_or_else(|| unknown("unknown kind"))?;
    let state = JobState::of(row.state).ok_or_else(|| unknown("unknown state"))?;
    let actor = match (row.actor, row.key_id.as_str()) {
        (Some(actor), _) => actor,
        (None, "system") => "system".to_owned(),
        (None, key) => format!("apiKeys/{key}"),
    };
    let message = pb::Operation {
        name: super::name(&row.id),
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
    };
    Ok(Operation {
        kind,
        state,
        message,
    })
}

/// The shops whose operations a caller may see: its own, and, for operators, the whole store.
fn scopes(caller: &Caller) -> Vec<Arc<str>> {
    let mut scopes = vec![Arc::clone(&caller.shop)];
    if caller.roles.has(pb::Role::Operator) {
        scopes.push(Arc::from(""));
    }
    scopes
}

const COLUMNS: &str = "SELECT j.id, j.kind, j.state, j.subject, j.progress, j.attempts, j.error, \
     j.skipped, j.key_id, j.actor, j.create_time, j.update_time, j.end_time FROM jobs j \
     WHERE j.shop_id = ";

/// One operation.
pub(super) async fn get(conn: &mut Conn, caller: &Caller, id: &str) -> Result<Operation> {
    for scope in scopes(caller) {
        let mut statement = Statement::new(conn.engine(), COLUMNS);
        statement
            .bind(&*scope)
            .push(" AND j.id = ")
            .bind(id)
            .push(" LIMIT 1");
        let rows: Vec<JobRow> = statement.fetch_all(conn).await?;
        if let Some(row) = rows.into_iter().next() {
            return operation(row);
        }
    }
    Err(Error::not_found("operation"))
}

/// The place of an operation in the order of the list.
type Place = (i64, String);

/// A ListOperations, checked.
pub(super) struct List {
    meta: StoreMeta,
    caller: Caller,
    now: i64,
    filter: Filter,
    size: usize,
    after: Option<Place>,
    digest: RequestDigest,
}

impl List {
    pub(super) fn new(
        store: &Store,
        caller: &Caller,
        request: &pb::ListOperationsRequest,
    ) -> Result<Self> {
        let operator = caller.roles.has(pb::Role::Operator);
        let digest = RequestDigest::new("ListOperations", &caller.shop)
            .field("filter", &request.filter)
            .field("operator", [u8::from(operator)]);
        Ok(Self {
            meta: store.meta().clone(),
            caller: caller.clone(),
            now: store.clock().now(),
            filter: page::filter(&request.filter, &SCHEMA, &|_| true)?,
            size: page::size(request.page_size)?,
            after: page::open(store.meta(), &digest, &request.page_token)?,
            digest,
        })
    }

    pub(super) async fn read(self, conn: &mut Conn) -> Result<pb::ListOperationsResponse> {
        let scopes = scopes(&self.caller);
        let mut end = None;
        for scope in &scopes {
            // The newest of the ends: up to there the rows of all scopes were examined.
            end = end.max(self.end(conn, scope).await?);
        }
        let mut rows = Vec::new();
        for scope in &scopes {
            rows.append(&mut self.rows(conn, scope, end.as_ref()).await?);
        }
        rows.sort_unstable_by(|a, b| (b.create_time, &b.id).cmp(&(a.create_time, &a.id)));
        let next = if rows.len() > self.size {
            rows.truncate(self.size);
            rows.last().map(|last| (last.create_time, last.id.clone()))
        } else {
            end
        };
        let next_page_token = match next {
            Some(next) => PageToken::seal(&self.meta, &self.digest, &next),
            None => String::new(),
        };
        let operations = rows
            .into_iter()
            .map(|row| Ok(operation(row)?.message))
            .collect::<Result<_>>()?;
        Ok(pb::ListOperationsResponse {
            operations,
            next_page_token,
        })
    }

    /// The last row that this page may examine in a scope; None where fewer are left.
    async fn end(&self, conn: &mut Conn, scope: &str) -> Result<Option<Place>> {
        let mut statement = Statement::new(
            conn.engine(),
            "SELECT j.create_time, j.id FROM jobs j WHERE j.shop_id = ",
        );
        statement.bind(scope);
        self.push_after(&mut statement);
        statement
            .push(" ORDER BY j.create_time DESC, j.id DESC LIMIT 1 OFFSET ")
            .push_number(EXAMINED_MAX - 1);
        let rows: Vec<Place> = statement.fetch_all(conn).await?;
        Ok(rows.into_iter().next())
    }

    /// The operations of a scope that belong to the page, and one more.
    async fn rows(&self, conn: &mut Conn, scope: &str, end: Option<&Place>) -> Result<Vec<JobRow>> {
        let mut statement = Statement::new(conn.engine(), COLUMNS);
        statement.bind(scope);
        self.push_after(&mut statement);
        if let Some((time, id)) = end {
            statement
                .push(" AND (j.create_time, j.id) >= (")
                .bind(*time)
                .push(", ")
                .bind(id.as_str())
                .push(")");
        }
        statement.push(" AND ").push_filter(&self.filter, self.now);
        let one_more = i64::try_from(self.size + 1).unwrap_or(i64::MAX);
        statement
            .push(" ORDER BY j.create_time DESC, j.id DESC LIMIT ")
            .push_number(one_more);
        Ok(statement.fetch_all(conn).await?)
    }

    fn push_after(&self, statement: &mut Statement) {
        if let Some((time, id)) = &self.after {
            statement
                .push(" AND (j.create_time, j.id) < (")
                .bind(*time)
                .push(", ")
                .bind(id.as_str())
                .push(")");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_every_kind_and_state_as_the_contract_does() {
        for kind in JobKind::ALL {
            let filter = format!("kind = {}", super::super::kind_text(kind));
            assert!(
                Filter::parse(&filter, &SCHEMA, &|_| true).is_ok(),
                "{filter}"
            );
        }
        for state in (1..).map_while(JobState::of) {
            let filter = format!("state = {}", super::super::state_text(state));
            assert!(
                Filter::parse(&filter, &SCHEMA, &|_| true).is_ok(),
                "{filter}"
            );
        }
    }
}
