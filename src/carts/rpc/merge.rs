//! MergeCarts, and the merge that AssignCart shares with it.

use std::sync::Arc;

use futures::FutureExt as _;
use prost::Message;
use tonic::Code;

use super::Service;
use super::write::route_to;
use crate::caller::{Caller, Roles};
use crate::carts::edit::Cause;
use crate::carts::merging::{Policy, merge};
use crate::carts::model::{Owner, State};
use crate::carts::outcomes;
use crate::carts::targets::Hints;
use crate::carts::work::{self, Act, Lookup, Route, Work};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feed::{self, Replay};
use crate::proto::pb::assign_cart_request::IfOpenCartExists;
use crate::proto::pb::{self, ErrorReason, cart_cause};
use crate::shops;
use crate::store::{Conn, Tx};

struct Merge {
    caller: Arc<Caller>,
    source: Route,
    target: Route,
    policy: Option<Policy>,
    source_etag: String,
    target_etag: String,
    clock: Clock,
    hints: Hints,
}

impl Service {
    pub(super) async fn merge(
        &self,
        caller: Arc<Caller>,
        request: pb::MergeCartsRequest,
    ) -> Result<pb::MergeCartsResponse> {
        let policy = outcomes::policy(request.policy());
        let shop = Arc::clone(&caller.shop);
        let route = |target, at| {
            let target = self.visitors.target(&shop, target, at)?;
            Ok::<_, Error>(route_to(target))
        };
        let source = route(request.source, "source")?;
        let target = route(request.target, "target")?;
        let locks = source.locks(&caller).with(&target.locks(&caller));
        let merge = Merge {
            caller: Arc::clone(&caller),
            source,
            target,
            policy,
            source_etag: request.source_etag,
            target_etag: request.target_etag,
            clock: self.store.clock().clone(),
            hints: self.hints.clone(),
        };
        let merged = self
            .store
            .write_with(locks, merge, |tx, merge| once(tx, merge).boxed())
            .await?;
        if let Some(cart) = &merged.cart {
            self.note_visit(&caller, cart);
        }
        Ok(merged)
    }
}

async fn once(tx: &mut Tx, call: &Merge) -> Result<pb::MergeCartsResponse> {
    let caller = &*call.caller;
    let now = call.clock.now();
    let mut source = match work::find(tx, caller, &call.source, None, now).await? {
        Lookup::Replay(replay) => {
            let of_cart = |cart| pb::MergeCartsResponse {
                cart: Some(cart),
                ..Default::default()
            };
            return replayed(tx, caller, &replay, of_cart).await;
        }
        Lookup::Work(work) => work,
        Lookup::StaleHint => return Err(Error::not_found("cart")),
    };
    let mut target = match work::find(tx, caller, &call.target, None, now).await? {
        Lookup::Work(work) => work,
        Lookup::Replay(_) | Lookup::StaleHint => return Err(Error::not_found("cart")),
    };
    if source.cart.id == target.cart.id {
        return Err(same_cart());
    }
    if source.cart.merged_into == target.cart.id {
        let answer = repeated(&source, &mut target)?;
        return remember(tx, caller, now, [&source, &target], answer).await;
    }
    require_may_move(caller, &source.cart.owner, &target.cart.owner)?;
    admit_at(&mut source, caller, now, "source", &call.source_etag)?;
    admit_at(&mut target, caller, now, "target", &call.target_etag)?;
    let policy = match call.policy {
        Some(policy) => policy,
        None => shop_policy(tx, caller).await?,
    };
    let merged = merge_into(tx, caller, now, &mut source, &mut target, policy).await?;
    leave_slot(&source, caller, &call.hints);
    let names = names(&[&source, &target]);
    feed::answer(tx, caller, now, &merged, &names).await?;
    Ok(merged)
}

/// The merge policy of the shop's settings. If those do not merge, quantities are added.
async fn shop_policy(conn: &mut Conn, caller: &Caller) -> Result<Policy> {
    let otherwise = shop_choice(conn, caller).await?;
    Ok(outcomes::policy_of(otherwise).unwrap_or(Policy::Sum))
}

/// The setting of the shop for an owner with an open cart in the slot.
pub(super) async fn shop_choice(conn: &mut Conn, caller: &Caller) -> Result<IfOpenCartExists> {
    let settings = shops::settings(conn, &caller.shop).await?;
    Ok(IfOpenCartExists::try_from(settings.if_open_cart_exists).unwrap_or_default())
}

/// Merges an open cart into another, and writes both. The caller has the locks of both and has checked their
/// versions.
///
/// # Errors
/// CURRENCY_MISMATCH, AMOUNT_TOO_LARGE, CART_TOO_LARGE, or an error of the database.
pub(super) async fn merge_into(
    tx: &mut Tx,
    caller: &Caller,
    now: i64,
    source: &mut Work,
    target: &mut Work,
    policy: Policy,
) -> Result<pb::MergeCartsResponse> {
    require_compatible(source, target)?;
    let merged = merge(&source.cart, &mut target.cart, policy);
    let cause = Cause::of_cart(cart_cause::Kind::MergedFrom).with_cart(&source.cart.id);
    target.causes.push(cause);
    target.causes.extend(merged.causes);
    target.settle()?;
    let cause = Cause::of_cart(cart_cause::Kind::Merged).with_cart(&target.cart.id);
    source.causes.push(cause);
    source.cart.state = State::Merged;
    source.cart.merged_into.clone_from(&target.cart.id);
    source.cart.merge = Some(merged.outcomes);
    let written = write_both(tx, caller, now, target, source).await?;
    let (cart, gone) = written.ok_or_else(added)?;
    Ok(response(source, cart, gone))
}

/// Writes two carts, of which the second is in the store, and appends their changes in this order: the first
/// carries the request id. None, and nothing written, if the first is new and its number is in use.
///
/// # Errors
/// AMOUNT_TOO_LARGE, CART_TOO_LARGE, or an error of the database.
pub(super) async fn write_both(
    tx: &mut Tx,
    caller: &Caller,
    now: i64,
    first: &mut Work,
    second: &mut Work,
) -> Result<Option<(pb::Cart, pb::Cart)>> {
    let Some(first) = first.save(tx, caller, now).await? else {
        return Ok(None);
    };
    let second = second.save(tx, caller, now).await?.ok_or_else(added)?;
    Ok(Some((first, second)))
}

fn added() -> Error {
    Error::internal("an old cart was added")
}

/// Refuses two carts between which no line can move.
///
/// # Errors
/// CURRENCY_MISMATCH.
pub(super) fn require_compatible(source: &Work, target: &Work) -> Result<()> {
    if source.cart.currency == target.cart.currency {
        return Ok(());
    }
    Err(Error::new(
        Code::InvalidArgument,
        ErrorReason::CurrencyMismatch,
        format!("the target's currency is {}", target.cart.currency),
    )
    .with("currency_code", target.cart.currency.clone())
    .with("field", "target"))
}

/// Refuses to give a customer's cart or its lines to another owner, unless staff does it. A storefront acts
/// for shoppers, who sign in with the cart that they filled as visitors.
///
/// # Errors
/// ROLE_NOT_ALLOWED.
pub(super) fn require_may_move(caller: &Caller, from: &Owner, to: &Owner) -> Result<()> {
    let is_staff = caller.roles.intersects(Roles::STAFF);
    if is_staff || from.customer().is_none() || from == to {
        return Ok(());
    }
    let text = "the cart belongs to another customer; only staff may give it away";
    let reason = ErrorReason::RoleNotAllowed;
    let error = Error::new(Code::PermissionDenied, reason, text);
    Err(error.with("allowed", Roles::STAFF.names()))
}

/// Admits one of two carts that are to give or take lines, and checks its etag.
///
/// # Errors
/// CART_NOT_OPEN, CART_LOCKED, CART_FROZEN or ETAG_MISMATCH. Each names which cart of the two it concerns.
pub(super) fn admit_at(
    work: &mut Work,
    caller: &Caller,
    now: i64,
    field: &'static str,
    etag: &str,
) -> Result<()> {
    let admitted = work.admit(caller, now, Act::Merge);
    let checked = admitted.and_then(|()| work.check_etag(etag));
    checked.map_err(|error| error.with("field", field))
}

/// The refusal of a cart as both source and target.
pub(super) fn same_cart() -> Error {
    Error::invalid_field("target", "CONFLICT", "must not be the source itself")
}

/// The answer to a merge of two carts that were merged before.
pub(super) fn repeated(source: &Work, target: &mut Work) -> Result<pb::MergeCartsResponse> {
    work::view(target)?;
    Ok(response(source, target.answer(), source.answer()))
}

/// Records the request id of a call whose carts had been merged before.
pub(super) async fn remember<A: Message>(
    tx: &mut Tx,
    caller: &Caller,
    now: i64,
    [source, target]: [&Work; 2],
    answer: A,
) -> Result<A> {
    feed::answer(tx, caller, now, &answer, &names(&[source, target])).await?;
    feed::remember(tx, caller, now, &target.cart.id, &target.answer()).await?;
    Ok(answer)
}

fn response(source: &Work, cart: pb::Cart, gone: pb::Cart) -> pb::MergeCartsResponse {
    let outcomes = source.cart.merge.clone().unwrap_or_default();
    let (source, target) = (&source.cart.id, &source.cart.merged_into);
    pb::MergeCartsResponse {
        lines: outcomes::lines(source, target, &outcomes.lines),
        extras: outcomes::extras(&outcomes.extras),
        cart: Some(cart),
        source: Some(gone),
    }
}

/// Removes the hint that a cart is the open one of its slot.
pub(super) fn leave_slot(work: &Work, caller: &Caller, hints: &Hints) {
    hints.forget(&caller.shop, &work.slot());
}

/// The resources in an answer, for an erasure.
pub(super) fn names(works: &[&Work]) -> Vec<String> {
    let mut names = Vec::new();
    for work in works {
        names.push(work.cart.name());
        let customer = work.cart.owner.customer();
        names.extend(customer.map(crate::customers::name));
    }
    names.dedup();
    names
}

/// The answer that was given to the same request before. If none was stored, `of_cart` makes it from the
/// change, or from the present cart.
pub(super) async fn replayed<A: Message + Default>(
    conn: &mut Conn,
    caller: &Caller,
    replay: &Replay,
    of_cart: impl FnOnce(pb::Cart) -> A,
) -> Result<A> {
    match feed::answered(conn, caller).await? {
        Some(answer) => Ok(answer),
        None => work::replayed(conn, caller, replay).await.map(of_cart),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carts::model::{Basis, Cart};
    use crate::carts::sql;

    fn work() -> Work {
        Work::of(sql::Priced {
            cart: Cart::default(),
            customer: None,
            basis: Basis::default(),
        })
    }

    #[test]
    fn an_answer_names_each_cart_and_customer() {
        let visitors = work();
        let mut customers = work();
        customers.cart.id = "b".to_owned();
        customers.cart.owner = Owner::Customer("ada".to_owned());

        let names = names(&[&visitors, &customers]);

        assert_eq!(names, ["carts/", "carts/b", "customers/ada"]);
    }
}
