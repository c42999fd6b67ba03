//! DeleteCustomer and UndeleteCustomer.

use futures::FutureExt as _;
use tonic::Code;

use super::{Service, not_found, replayed};
use crate::{
    caller::Caller,
    customers::{convert, sql, write},
    error::{Error, Result},
    feed,
    groups::memberships,
    proto::pb::{self, ErrorReason, delete_customer_request::ReRegistration},
    shops,
    store::{Locks, Tx},
};

/// A customer to be deleted or undeleted.
struct Work {
    caller: Caller,
    id: String,
    etag: String,
    re_registration: ReRegistration,
    now: i64,
}

impl Work {
    fn locks(&self) -> Locks {
        feed::locks(&self.caller).and(write::lock(&self.caller.shop, &self.id))
    }
}

impl Service {
    pub(super) async fn delete(
        &self,
        caller: Caller,
        request: pb::DeleteCustomerRequest,
    ) -> Result<()> {
        let re_registration = request.re_registration();
        let id = convert::id_of(&request.name).to_owned();
        let now = self.store.clock().now();
        let work = Work {
            caller,
            id,
            etag: request.etag,
            re_registration,
            now,
        };
        self.store
            .write_with(work.locks(), work, |tx, work| delete(tx, work).boxed())
            .await
    }

    pub(super) async fn undelete(
        &self,
        caller: Caller,
        request: pb::UndeleteCustomerRequest,
    ) -> Result<pb::Customer> {
        let id = convert::id_of(&request.name).to_owned();
        let now = self.store.clock().now();
        let re_registration = ReRegistration::Unspecified;
        let work = Work {
            caller: caller.clone(),
            id,
            etag: request.etag,
            re_registration,
            now,
        };
        let write = self
            .store
            .write_with(work.locks(), work, |tx, work| undelete(tx, work).boxed());
        self.finish(&caller, write.await?).await
    }
}

async fn delete(tx: &mut Tx, work: &Work) -> Result<()> {
    let Work {
        caller, id, now, ..
    } = work;
    let shop = &*caller.shop;
    if feed::replay(tx, caller).await?.is_some() {
        return Ok(());
    }
    let before = sql::get(tx, shop, id).await?.ok_or_else(not_found)?;
    feed::check_etag(&work.etag, &convert::name(id), before.version)?;
    let mut after = before.clone();
    let frees = match work.re_registration {
        ReRegistration::Allow => Some(true),
        ReRegistration::Forbid => Some(false),
        // A second deletion that does not say otherwise leaves it as it was.
        ReRegistration::Unspecified if before.is_deleted() => None,
        ReRegistration::Unspecified => {
            let settings = shops::settings(tx, shop).await?;
            Some(settings.re_registration == shops::ReRegistration::Allow)
        }
    };
    match frees {
        Some(true) => after.email_claim = None,
        Some(false) => after.email_claim = convert::claim(&after),
        None => {}
    }
    if after.email_claim.is_some() && before.email_claim.is_none() {
        tx.require_all(write::unique_locks(shop, Some(&before), &after))?;
        write::check_unique(tx, caller, Some(&before), &after, write::Number::Chosen).await?;
    }
    if before.is_deleted() && after == before {
        return feed::remember(tx, caller, *now, id, &()).await;
    }
    if !before.is_deleted() {
        after.delete_time = Some(*now);
        memberships::withdraw(tx, shop, id).await?;
    }
    write::store(tx, caller, None, &before, &mut after, *now).await
}

async fn undelete(tx: &mut Tx, work: &Work) -> Result<pb::Customer> {
    let Work {
        caller, id, now, ..
    } = work;
    let shop = &*caller.shop;
    if let Some(replay) = feed::replay(tx, caller).await? {
        return replayed(tx, caller, &replay).await;
    }
    let before = sql::get(tx, shop, id).await?.ok_or_else(not_found)?;
    feed::check_etag(&work.etag, &convert::name(id), before.version)?;
    if !before.is_deleted() {
        let text = "the customer is not deleted";
        let reason = ErrorReason::CustomerNotDeleted;
        return Err(Error::new(Code::FailedPrecondition, reason, text));
    }
    let mut after = before.clone();
    after.delete_time = None;
    after.email_claim = convert::claim(&after);
    tx.require_all(write::unique_locks(shop, Some(&before), &after))?;
    write::check_unique(tx, caller, Some(&before), &after, write::Number::Chosen).await?;
    after.groups = memberships::restore(tx, shop, id, caller, *now).await?;
    if !after.groups.contains(&after.default_group) {
        after.default_group = memberships::default_of(tx, shop, &after.groups).await?;
    }
    write::store(tx, caller, None, &before, &mut after, *now).await?;
    Ok(convert::message(&after))
}
