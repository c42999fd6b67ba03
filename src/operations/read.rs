//! Reading operations: one, and a page of them.

use crate::access::Caller;
use crate::error::{Error, Result};
use crate::feed;
use crate::filter::{Field, Filter, Kind, Schema};
use crate::jobs::{JobKind, JobState, sql::JobRow};
use crate::limits;
use crate::list;
use crate::proto::pb;
use crate::store::{Conn, PageToken, RequestDigest, Statement, Store, StoreMeta};

/// What a filter of operations may name.
pub(super) static SCHEMA: Schema = Schema {
    fields: &[
        Field::new("kind", KIND, "j.kind"),
        Field::new("state", STATE, "j.state"),
        Field::new("subject", Kind::Text, "j.subject"),
        Field::new("create_time", Kind::Time, "j.create_time"),
    ],
};

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
    let error = row.error.filter(|_| state == JobState::Failed);
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
        error: error.unwrap_or_default(),
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

/// Begins a statement over the operations that a caller may see.
fn visible(conn: &Conn, caller: &Caller, select: &'static str) -> Statement {
    let mut statement = Statement::new(conn.engine(), select);
    statement
        .push(" FROM jobs j WHERE (j.shop_id = ")
        .bind(&*caller.shop);
    if caller.roles.has(pb::Role::Operator) {
        statement.push(" OR j.shop_id = ''");
    }
    statement.push(")");
    statement
}

const COLUMNS: &str = "SELECT j.id, j.kind, j.state, j.subject, j.progress, j.attempts, j.error, \
     j.key_id, j.actor, j.create_time, j.update_time, j.end_time";

/// Rows that one page examines.
const EXAMINED: i64 = limits::PAGE_ROWS_EXAMINED_MAX as i64;

/// One operation.
pub(super) async fn get(conn: &mut Conn, caller: &Caller, id: &str) -> Result<Operation> {
    let mut statement = visible(conn, caller, COLUMNS);
    statement.push(" AND j.id = ").bind(id).push(" LIMIT 1");
    let rows: Vec<JobRow> = statement.fetch_all(conn).await?;
    match rows.into_iter().next() {
        Some(row) => operation(row),
        None => Err(Error::not_found("operation")),
    }
}

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
            filter: list::filter(&request.filter, &SCHEMA, &|_| true)?,
            size: list::size(request.page_size)?,
            after: list::open(store.meta(), &digest, &request.page_token)?,
            digest,
        })
    }

    pub(super) async fn read(self, conn: &mut Conn) -> Result<pb::ListOperationsResponse> {
        let (mut rows, mut end) = self.examined(conn, &self.caller.shop).await?;
        if self.caller.roles.has(pb::Role::Operator) {
            // Each shop has an index of its own order, of which one statement would use neither.
            let (further, other_end) = self.examined(conn, "").await?;
            rows.extend(further);
            end = end.max(other_end);
            rows.sort_by(|one, other| place(other).cmp(&place(one)));
            let newer = |row: &JobRow| end.as_ref().is_none_or(|end| place(row) >= *end);
            rows.retain(newer);
        }
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let next = rows.last().filter(|_| more).map(place).or(end);
        let operations = rows
            .into_iter()
            .map(|row| Ok(operation(row)?.message))
            .collect::<Result<_>>()?;
        Ok(pb::ListOperationsResponse {
            operations,
            next_page_token: next
                .map(|place| PageToken::seal(&self.meta, &self.digest, &place))
                .unwrap_or_default(),
        })
    }

    /// The newest operations of a shop that match, of those that one page may examine; and the last of
    /// those where there may be further ones.
    async fn examined(&self, conn: &mut Conn, shop: &str) -> Result<(Vec<JobRow>, Option<Place>)> {
        let one_more = self.size + 1;
        let mut statement = Statement::new(conn.engine(), "SELECT * FROM (");
        statement.push(COLUMNS).push(", (");
        statement.push_filter(&self.filter, self.now);
        statement.push(") AS fits");
        self.push_from(&mut statement, shop);
        statement.push(" LIMIT ").push_number(EXAMINED);
        statement.push(") AS e WHERE e.fits LIMIT ");
        statement.push_number(i64::try_from(one_more).unwrap_or(i64::MAX));
        let rows: Vec<JobRow> = statement.fetch_all(conn).await?;
        if rows.len() == one_more || self.filter.is_everything() {
            return Ok((rows, None));
        }
        let mut last = Statement::new(conn.engine(), "SELECT j.create_time, j.id");
        self.push_from(&mut last, shop);
        // This passes over what was just examined.
        last.push(" LIMIT 1 OFFSET ").push_number(EXAMINED - 1);
        Ok((rows, last.fetch_all(conn).await?.pop()))
    }

    /// Adds from where rows are taken, and their order.
    fn push_from(&self, statement: &mut Statement, shop: &str) {
        statement.push(" FROM jobs j WHERE j.shop_id = ").bind(shop);
        if let Some((time, id)) = &self.after {
            statement
                .push(" AND (j.create_time, j.id) < (")
                .bind(*time)
                .push(", ")
                .bind(&**id);
            statement.push(")");
        }
        statement.push(" ORDER BY j.create_time DESC, j.id DESC");
    }
}

/// Where an operation stands in the list.
type Place = (i64, String);

fn place(row: &JobRow) -> Place {
    (row.create_time, row.id.clone())
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
