//! AddMembers, RemoveMembers and ListMembers.
//!
//! A call works on its customers in several transactions, each of which holds the locks of a few. A customer
//! is changed completely or not at all. With a request id each transaction stores the outcomes of its
//! customers, and the resolved members are stored before the first. So a repeat after an interruption
//! continues where the call ended, and gives the answer of the first call. The answer is stored with the last
//! transaction.

mod jobs;
mod leave;
mod one;
mod repeat;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::FutureExt as _;

use crate::caller::{Caller, Roles};
use crate::customers;
use crate::error::{Error, Result, Violation};
use crate::feed;
use crate::format;
use crate::groups::memberships::sql::{self as memberships_sql, GrantRow};
use crate::groups::memberships::{Grant, Source};
use crate::groups::{self, Group};
use crate::proto::pb::{self, member_result::Outcome};
use crate::resource::existing;
use crate::resource::page;
use crate::store::{Conn, Locks, RequestDigest, Store, Tx};

/// The customers of one transaction. Each costs a handful of statements, and on SQLite all other writes wait
/// meanwhile.
const BATCH: usize = 8;

pub use jobs::{DeleteGroup, ExpireMemberships};

/// The part of GroupService for members.
pub struct Members;

#[tonic::async_trait]
impl groups::Members for Members {
    async fn add(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::AddMembersRequest,
    ) -> Result<Vec<pb::MemberResult>> {
        add(store, caller, request).await
    }

    async fn remove(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::RemoveMembersRequest,
    ) -> Result<Vec<pb::MemberResult>> {
        remove(store, caller, request).await
    }

    async fn list(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::ListMembersRequest,
    ) -> Result<pb::ListMembersResponse> {
        list(store, caller, request).await
    }
}

/// The work on each customer.
#[derive(Clone)]
enum Work {
    Add { grant: Grant, make_default: bool },
    Remove { include_rules: bool },
}

async fn add(
    store: &Store,
    caller: &Caller,
    request: pb::AddMembersRequest,
) -> Result<Vec<pb::MemberResult>> {
    let mut violations = Vec::new();
    let source = match pb::MembershipSource::try_from(request.source) {
        Ok(pb::MembershipSource::Unspecified) if is_ingest(caller) => Source::Import,
        Ok(pb::MembershipSource::Unspecified | pb::MembershipSource::Staff) => Source::Staff,
        Ok(pb::MembershipSource::Request) => Source::Request,
        Ok(pb::MembershipSource::Import) => Source::Import,
        Ok(pb::MembershipSource::Order) => Source::Order,
        Ok(pb::MembershipSource::Rule) | Err(_) => {
            let text = "grants of rules are made by the service";
            violations.push(Violation::new("source", "INVALID", text));
            Source::Rule
        }
    };
    let expire_time = request.expire_time.as_ref().map(feed::micros);
    if expire_time.is_some_and(|end| end <= store.clock().now()) {
        violations.push(Violation::new(
            "expire_time",
            "IN_THE_PAST",
            "must be in the future",
        ));
    }
    if request.members.is_empty() {
        violations.push(Violation::new(
            "members",
            "REQUIRED",
            "at least one member is required",
        ));
    }
    if !violations.is_empty() {
        return Err(Error::invalid(violations));
    }
    let actor = caller.actor.as_deref().map(str::to_owned);
    let grant = Grant {
        source,
        reason: request.reason,
        actor,
        expire_time,
    };
    let work = Work::Add {
        grant,
        make_default: request.make_default,
    };
    run(
        store,
        caller,
        groups::required_id(&request.group)?,
        request.members,
        work,
    )
    .await
}

async fn remove(
    store: &Store,
    caller: &Caller,
    request: pb::RemoveMembersRequest,
) -> Result<Vec<pb::MemberResult>> {
    if request.members.is_empty() {
        let text = "at least one member is required";
        return Err(Error::invalid_field("members", "REQUIRED", text));
    }
    let work = Work::Remove {
        include_rules: request.include_rules,
    };
    run(
        store,
        caller,
        groups::required_id(&request.group)?,
        request.members,
        work,
    )
    .await
}

/// Whether the key belongs to another system, and not also to staff.
fn is_ingest(caller: &Caller) -> bool {
    caller.roles.has(pb::Role::Ingest) && !caller.roles.intersects(Roles::STAFF)
}

/// The share of one transaction.
struct Batch {
    caller: Caller,
    group: String,
    customers: Vec<String>,
    work: Work,
    now: i64,
    /// The number of the share, from 1.
    part: usize,
    /// The sent entries and the outcomes of earlier customers, if this is the last share.
    last: Option<(Vec<Entry>, HashMap<String, Outcome>)>,
}

/// One entry of `members`.
#[derive(Clone)]
struct Entry {
    sent: String,
    customer: Option<String>,
}

/// The result of a transaction.
enum Done {
    Share(Vec<(String, Outcome)>),
    Answer(Vec<pb::MemberResult>),
}

async fn run(
    store: &Store,
    caller: &Caller,
    group: String,
    members: Vec<String>,
    work: Work,
) -> Result<Vec<pb::MemberResult>> {
    let entries = {
        let (caller, group) = (caller.clone(), group.clone());
        store.read(move |conn| {
            async move {
                if let Some(answer) = answered(conn, &caller).await? {
                    return Ok(Err(answer));
                }
                // Before any share: the id may be that of another call.
                feed::replay(conn, &caller).await?;
                existing::<Group>(conn, &caller.shop, &group).await?;
                let begun = repeat::begun(conn, &caller).await?;
                match begun {
                    Some(entries) => Ok(Ok(entries)),
                    None => resolve(conn, &caller.shop, members).await.map(Ok),
                }
            }
            .boxed()
        })
    };
    let mut entries = match entries.await? {
        Ok(entries) => entries,
        Err(answer) => return Ok(answer),
    };
    if entries.len() > BATCH && caller.request.is_some() {
        entries = repeat::begin(store, caller, &group, &entries).await?;
    }
    let customers: BTreeMap<&str, ()> = entries
        .iter()
        .filter_map(|entry| Some((entry.customer.as_deref()?, ())))
        .collect();
    let customers: Vec<String> = customers.into_keys().map(str::to_owned).collect();
    let mut shares: Vec<Vec<String>> = customers.chunks(BATCH).map(<[String]>::to_vec).collect();
    let last = shares.pop().unwrap_or_default();
    let mut outcomes = HashMap::new();
    let share = |part, customers, last| Batch {
        caller: caller.clone(),
        group: group.clone(),
        customers,
        work: work.clone(),
        now: store.clock().now(),
        part,
        last,
    };
    let part_of_last = shares.len() + 1;
    for (customers, part) in shares.into_iter().zip(1..) {
        let batch = share(part, customers, None);
        let locks = batch.locks();
        match store
            .write_with(locks, batch, |tx, batch| perform(tx, batch).boxed())
            .await?
        {
            Done::Share(share) => outcomes.extend(share),
            Done::Answer(answer) => return Ok(answer),
        }
    }
    let batch = share(part_of_last, last, Some((entries, outcomes)));
    let locks = batch.locks();
    match store
        .write_with(locks, batch, |tx, batch| perform(tx, batch).boxed())
        .await?
    {
        Done::Answer(answer) => Ok(answer),
        Done::Share(_) => Err(Error::internal("the last share came without an answer")),
    }
}

impl Batch {
    fn locks(&self) -> Locks {
        // Two calls with one request id must not do the same share twice.
        let mut locks = feed::locks(&self.caller);
        for customer in &self.customers {
            locks.insert(customers::lock(&self.caller.shop, customer));
        }
        locks
    }
}

async fn perform(tx: &mut Tx, batch: &Batch) -> Result<Done> {
    if let Some(answer) = answered(tx, &batch.caller).await? {
        return Ok(Done::Answer(answer));
    }
    if let Some(done) = repeat::done_before(tx, batch).await? {
        return Ok(Done::Share(done));
    }
    let group: Group = existing(tx, &batch.caller.shop, &batch.group).await?;
    if batch.last.is_some() {
        claim(tx, &batch.caller, &group, batch.now).await?;
    }
    // The request id stands for the answer, and for none of the customers' changes.
    let caller = Caller {
        request: None,
        ..batch.caller.clone()
    };
    let mut outcomes = Vec::with_capacity(batch.customers.len());
    for customer in &batch.customers {
        let outcome = match &batch.work {
            Work::Add {
                grant,
                make_default,
            } => {
                one::add(
                    tx,
                    &caller,
                    &group,
                    customer,
                    grant,
                    *make_default,
                    batch.now,
                )
                .await?
            }
            Work::Remove { include_rules } => {
                one::remove(tx, &caller, &group, customer, *include_rules, batch.now).await?
            }
        };
        outcomes.push((customer.clone(), outcome));
    }
    let Some((entries, before)) = &batch.last else {
        repeat::keep(tx, batch, &outcomes).await?;
        return Ok(Done::Share(outcomes));
    };
    let mut all = before.clone();
    all.extend(outcomes);
    let results = results(entries, all);
    let names = repeat::names(&results);
    let answer = pb::AddMembersResponse { results };
    feed::answer(tx, &batch.caller, batch.now, &answer, &names).await?;
    Ok(Done::Answer(answer.results))
}

/// Records the request id in the log, where the calls of every area look for it.
async fn claim(tx: &mut Tx, caller: &Caller, group: &Group, now: i64) -> Result<()> {
    if caller.request.is_none() || feed::replay(tx, caller).await?.is_some() {
        return Ok(());
    }
    feed::remember(tx, caller, now, &group.id, &()).await
}

/// The results in the order of the entries. A customer that is named twice was changed by the first entry.
fn results(entries: &[Entry], mut outcomes: HashMap<String, Outcome>) -> Vec<pb::MemberResult> {
    entries
        .iter()
        .map(|Entry { sent, customer }| {
            let outcome = match customer {
                None => Outcome::NotFound,
                Some(id) => {
                    let known = outcomes.get(id).copied().unwrap_or(Outcome::NotFound);
                    if known == Outcome::Changed {
                        outcomes.insert(id.clone(), Outcome::Unchanged);
                    }
                    known
                }
            };
            let found = customer.as_ref().filter(|_| outcome != Outcome::NotFound);
            pb::MemberResult {
                member: sent.clone(),
                customer: found.map(|id| customers::name(id)).unwrap_or_default(),
                outcome: outcome.into(),
            }
        })
        .collect()
}

/// The answer that was given before. The answers of both calls have the same form, and their requests have
/// different digests.
async fn answered(conn: &mut Conn, caller: &Caller) -> Result<Option<Vec<pb::MemberResult>>> {
    let answer: Option<pb::AddMembersResponse> = feed::answered(conn, caller).await?;
    Ok(answer.map(|answer| answer.results))
}

/// Resolves the entries to customers.
async fn resolve(conn: &mut Conn, shop: &str, members: Vec<String>) -> Result<Vec<Entry>> {
    let claims: Vec<String> = members
        .iter()
        .filter(|member| member.contains('@'))
        .filter_map(|member| format::email_claim(member))
        .collect();
    let found: HashMap<String, String> = if claims.is_empty() {
        HashMap::new()
    } else {
        customers::ids_by_email(conn, shop, &claims)
            .await?
            .into_iter()
            .collect()
    };
    Ok(members
        .into_iter()
        .map(|sent| {
            let customer = if sent.contains('@') {
                format::email_claim(&sent).and_then(|claim| found.get(&claim).cloned())
            } else {
                Some(customers::id_of(&sent).to_owned())
            };
            Entry { sent, customer }
        })
        .collect())
}

async fn list(
    store: &Store,
    caller: &Caller,
    request: pb::ListMembersRequest,
) -> Result<pb::ListMembersResponse> {
    let shop = Arc::clone(&caller.shop);
    let group = groups::required_id(&request.group)?;
    let size = page::size(request.page_size)?;
    let digest = RequestDigest::new("ListMembers", &shop).field("group", &group);
    let after: Option<String> = page::open(store.meta(), &digest, &request.page_token)?;
    let meta = store.meta().clone();
    let (members, next_page_token) = store
        .snapshot(|conn| {
            async move {
                let group: Group = existing(conn, &shop, &group).await?;
                let (limit, after) = (page::more(size), after.unwrap_or_default());
                let mut ids =
                    memberships_sql::members(conn, &shop, &group.id, &after, limit).await?;
                let next = page::cut(&meta, &digest, &mut ids, size, String::clone);
                Ok((read(conn, &shop, &group, &ids).await?, next))
            }
            .boxed()
        })
        .await?;
    Ok(pb::ListMembersResponse {
        members,
        next_page_token,
    })
}

async fn read(
    conn: &mut Conn,
    shop: &str,
    group: &Group,
    ids: &[String],
) -> Result<Vec<pb::Member>> {
    let mut grants: HashMap<String, Vec<pb::MembershipGrant>> = HashMap::new();
    for grant in memberships_sql::of_members(conn, shop, &group.id, ids).await? {
        grants
            .entry(grant.customer_id.clone())
            .or_default()
            .push(grant_message(grant));
    }
    let customers = customers::load_many(conn, shop, ids).await?;
    Ok(customers
        .into_iter()
        .map(|customer| pb::Member {
            default_group: customer.default_group == group.id,
            grants: grants.remove(&customer.id).unwrap_or_default(),
            customer: Some(customers::message(&customer)),
        })
        .collect())
}

fn grant_message(grant: GrantRow) -> pb::MembershipGrant {
    pb::MembershipGrant {
        source: i32::try_from(grant.source).unwrap_or_default(),
        reason: grant.reason,
        actor: grant.actor.unwrap_or_default(),
        start_time: Some(feed::timestamp(grant.start_time)),
        expire_time: grant.expire_time.map(feed::timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sent: &str, customer: Option<&str>) -> Entry {
        Entry {
            sent: sent.to_owned(),
            customer: customer.map(str::to_owned),
        }
    }

    #[test]
    fn a_customer_named_twice_is_changed_once() {
        let entries = [
            entry("customers/ada", Some("ada")),
            entry("nobody@example.test", None),
            entry("ada@example.test", Some("ada")),
            entry("customers/gone", Some("gone")),
        ];
        let outcomes = [("ada", Outcome::Changed), ("gone", Outcome::NotFound)];
        let outcomes = outcomes
            .map(|(id, outcome)| (id.to_owned(), outcome))
            .into();

        let results = results(&entries, outcomes);

        let seen: Vec<(&str, Outcome)> = results
            .iter()
            .map(|result| (&*result.customer, result.outcome()))
            .collect();
        assert_eq!(
            seen,
            [
                ("customers/ada", Outcome::Changed),
                ("", Outcome::NotFound),
                ("customers/ada", Outcome::Unchanged),
                ("", Outcome::NotFound),
            ]
        );
    }
}
