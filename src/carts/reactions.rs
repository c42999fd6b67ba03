//! Reactions of carts to their customers: a customer who registers adopts the visitor's carts, and the open
//! carts of a changed or deleted customer are updated or deleted.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::edit::Cause;
use super::model::Owner;
use super::sql::{self, CartQuery, Key, Query};
use super::targets::{Visitors, lock};
use super::work::{Act, Work};
use crate::caller::Caller;
use crate::customers::{self, Customer, Registration};
use crate::error::Result;
use crate::jobs::{self, JobKind, NewJob};
use crate::proto::pb::cart_cause;
use crate::store::{Engine, Event, Reaction, StoreMeta, Tx};

/// The most open carts of one visitor that a customer adopts. Further ones stay the visitor's until they
/// expire.
const ADOPTED_MAX: i64 = 16;

/// Gives a visitor's open carts to the customer who registers.
pub(super) struct Adopt(Visitors);

impl Adopt {
    pub(super) fn new(meta: &StoreMeta) -> Self {
        Self(Visitors::new(meta))
    }
}

impl Reaction<Registration> for Adopt {
    fn hold<'t>(
        &'t self,
        tx: &'t mut Tx,
        event: Event<'t, Registration>,
    ) -> BoxFuture<'t, Result<Vec<String>>> {
        async move {
            let visitor = event.after.map_or("", |new| new.visitor.as_str());
            if visitor.is_empty() {
                return Ok(Vec::new());
            }
            let shop = &*event.caller.shop;
            let visitor = self.0.owner(shop, visitor).key();
            let open = sql::open_of(tx, shop, &visitor, ADOPTED_MAX).await?;
            let ids: Vec<String> = open.into_iter().map(|(id, _)| id).collect();
            tx.require_all(ids.iter().map(|id| lock(shop, id)))?;
            Ok(ids)
        }
        .boxed()
    }

    fn react<'t>(
        &'t self,
        tx: &'t mut Tx,
        event: Event<'t, Registration>,
        held: &'t [String],
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            let Some(Registration { customer, .. }) = event.after else {
                return Ok(());
            };
            for cart in held {
                adopt(tx, event.caller, cart, customer, event.now).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Gives a cart to a customer whose row is new in the same transaction. A cart that staff holds or that is
/// wholly frozen stays the visitor's: it must not make the registration fail.
async fn adopt(tx: &mut Tx, caller: &Caller, id: &str, customer: &str, now: i64) -> Result<()> {
    let query = Query {
        caller,
        key: Key::Id(id),
        customer: Some(customer),
    };
    let mut found = sql::read(tx, query).await?;
    let Some(cart) = found.cart.take() else {
        return Ok(());
    };
    let mut work = Work::new(cart, found);
    if work.admit(caller, now, Act::Edit).is_err() {
        return Ok(());
    }
    work.cart.owner = Owner::Customer(customer.to_owned());
    work.causes.push(Cause::of_cart(cart_cause::Kind::Assigned));
    work.settle()?;
    work.save(tx, caller, now).await.map(drop)
}

/// Enqueues the update of a customer's open carts, or their deletion with the customer.
pub(super) struct FollowCustomer;

impl Reaction<Customer> for FollowCustomer {
    fn react<'t>(
        &'t self,
        tx: &'t mut Tx,
        event: Event<'t, Customer>,
        _held: &'t [String],
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            let Event { caller, now, .. } = event;
            let (Some(before), Some(after)) = (event.before, event.after) else {
                return Ok(());
            };
            let kind = if after.is_deleted() {
                if before.is_deleted() {
                    return Ok(());
                }
                JobKind::DeleteCustomerCarts
            } else if matters(before, after) && may_be_open(tx, &caller.shop, &after.id).await? {
                JobKind::RefreshCustomer
            } else {
                return Ok(());
            };
            let job = NewJob::now(kind, customers::name(&after.id), now);
            jobs::enqueue(tx, caller, now, job).await.map(drop)
        }
        .boxed()
    }
}

/// Whether the prices of the customer's carts, or their customer summary, may have changed.
fn matters(before: &Customer, after: &Customer) -> bool {
    before.default_group != after.default_group
        || before.tax_exempt != after.tax_exempt
        || before.is_deleted() != after.is_deleted()
        || before.summary() != after.summary()
}

/// Whether a customer may have an open cart. Always true on PostgreSQL, where a cart may be created at the
/// same time as this transaction.
async fn may_be_open(tx: &mut Tx, shop: &str, customer: &str) -> Result<bool> {
    Ok(match tx.engine() {
        Engine::Postgres => true,
        Engine::Sqlite => {
            let one = sql::matching(tx, shop, CartQuery::OpenOf, customer, "", 1).await?;
            !one.is_empty()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customers::Consent;

    #[test]
    fn carts_are_refreshed_only_for_what_they_show_or_are_priced_by() {
        let before = Customer {
            groups: vec!["customer".to_owned()],
            default_group: "customer".to_owned(),
            ..Customer::default()
        };
        let change = |f: fn(&mut Customer)| {
            let mut after = before.clone();
            f(&mut after);
            matters(&before, &after)
        };

        assert!(change(|after| after.last_name = "Lovelace".to_owned()));
        assert!(change(|after| after.tax_exempt = true));
        assert!(change(|after| after.groups.push("vip".to_owned())));
        assert!(!change(|after| after.phone = "1".to_owned()));
        assert!(!change(|after| after.newsletter = Some(Consent::default())));
    }
}
