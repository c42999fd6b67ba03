//! The progress of a call about many members, stored with its request id beside its answer: the resolved
//! members and the outcome of each share. A repeat after an interruption continues where the call ended.

use futures::FutureExt as _;

use super::{Batch, Entry, claim};
use crate::caller::Caller;
use crate::customers;
use crate::error::Result;
use crate::feed;
use crate::groups::Group;
use crate::proto::pb::{self, member_result::Outcome};
use crate::resource::existing;
use crate::store::{Conn, Store, Tx};

/// The part of a call that holds the resolved members. The parts of the shares follow it.
const MEMBERS_PART: usize = 0;

/// Returns the resolved members, if an earlier call with the request id stored them.
pub(super) async fn begun(conn: &mut Conn, caller: &Caller) -> Result<Option<Vec<Entry>>> {
    let begun = feed::answered_part(conn, caller, MEMBERS_PART).await?;
    Ok(begun.map(of_stored))
}

fn of_stored(stored: pb::AddMembersResponse) -> Vec<Entry> {
    stored.results.into_iter().map(Entry::of).collect()
}

/// Stores the resolved members before the first of several shares, so that a repeat has the same shares.
/// Returns the members that an earlier call stored, if there was one.
pub(super) async fn begin(
    store: &Store,
    caller: &Caller,
    group: &str,
    entries: &[Entry],
) -> Result<Vec<Entry>> {
    let members = pb::AddMembersResponse {
        results: entries.iter().map(Entry::result).collect(),
    };
    let data = (
        caller.clone(),
        group.to_owned(),
        members,
        store.clock().now(),
    );
    let begun = store
        .write_with(feed::locks(caller), data, |tx, data| {
            async move {
                let (caller, group, members, now) = data;
                let begun = feed::answered_part(tx, caller, MEMBERS_PART).await?;
                if let Some(begun) = begun {
                    return Ok(begun);
                }
                let group: Group = existing(tx, &caller.shop, group).await?;
                claim(tx, caller, &group, *now).await?;
                let names = names(&members.results);
                feed::answer_part(tx, caller, MEMBERS_PART, *now, members, &names).await?;
                Ok(members.clone())
            }
            .boxed()
        })
        .await?;
    Ok(of_stored(begun))
}

pub(super) fn names(results: &[pb::MemberResult]) -> Vec<String> {
    let names = results.iter().map(|result| result.customer.clone());
    names.filter(|name| !name.is_empty()).collect()
}

/// Returns the outcomes of a share that an earlier call completed; None if there are none.
pub(super) async fn done_before(
    tx: &mut Tx,
    batch: &Batch,
) -> Result<Option<Vec<(String, Outcome)>>> {
    if batch.last.is_some() {
        return Ok(None);
    }
    let done = feed::answered_part(tx, &batch.caller, batch.part).await?;
    let done = done.map(|done: pb::AddMembersResponse| done.results);
    Ok(done.map(|done| {
        let done = done.iter().map(|result| {
            let customer = customers::id_of(&result.customer).to_owned();
            (customer, result.outcome())
        });
        done.collect()
    }))
}

/// Stores the outcomes of the customers of a share.
pub(super) async fn keep(tx: &mut Tx, batch: &Batch, outcomes: &[(String, Outcome)]) -> Result<()> {
    let results = outcomes.iter().map(|(customer, outcome)| pb::MemberResult {
        member: String::new(),
        customer: customers::name(customer),
        outcome: (*outcome).into(),
    });
    let done = pb::AddMembersResponse {
        results: results.collect(),
    };
    let names = names(&done.results);
    let Batch {
        caller, part, now, ..
    } = batch;
    feed::answer_part(tx, caller, *part, *now, &done, &names).await
}

impl Entry {
    /// The form in which it is stored before anything is done.
    fn result(&self) -> pb::MemberResult {
        let customer = self.customer.as_ref();
        pb::MemberResult {
            member: self.sent.clone(),
            customer: customer.map(|id| customers::name(id)).unwrap_or_default(),
            outcome: Outcome::Unspecified.into(),
        }
    }

    /// Reads the stored form.
    fn of(stored: pb::MemberResult) -> Self {
        let customer = customers::id_of(&stored.customer);
        Self {
            customer: (!customer.is_empty()).then(|| customer.to_owned()),
            sent: stored.member,
        }
    }
}
