//! Tests merged carts: later calls are refused with the cart they went into, and the retention of their
//! owner's kind applies to them.

use std::time::Duration;

use clientela::proto::pb::cart_cause::Kind;
use clientela::proto::pb::{
    self, Cart, CartOwner, ChangeKind, CreateCartRequest, ErrorReason, MergeCartsRequest,
    MoveItemsRequest, cart::State, move_items_request::MovedItem,
};
use tonic::{Code, Response, Status};

use super::abandonment::{DAY, causes, watch};
use super::recover::{link, redemption};
use super::retention::{HOUR, gone, keep_days};
use super::{Carts, customer, item, lines, metadata, named, new_customer, of, price, visitor};
use crate::harness::{CartWatch, Setup, Shop, assert_refused, eventually, unique};
use crate::on_both_engines;

fn merging(source: &Cart, target: &Cart) -> MergeCartsRequest {
    MergeCartsRequest {
        source: named(&source.name),
        target: named(&target.name),
        ..Default::default()
    }
}

async fn merge(shop: &Shop, source: &Cart, target: &Cart) -> Cart {
    let merged = shop.carts().merge_carts(merging(source, target)).await;
    merged.expect("both are open").into_inner().source.unwrap()
}

/// Fills a cart and merges it into another one of an owner of the same kind.
async fn merged(shop: &Shop, owner: &CartOwner, target: &CartOwner) -> (Cart, Cart) {
    let source = shop.add(of(owner), item("shirt", 1)).await;
    let target = shop.add(of(target), item("hat", 1)).await;
    (merge(shop, &source, &target).await, target)
}

fn refusal<T>(answer: Result<Response<T>, Status>) -> Status {
    match answer {
        Ok(_) => panic!("this is refused"),
        Err(status) => status,
    }
}

/// Returns how each call that changes a cart is refused for this one, except RecoverCart. `other` is an open
/// cart.
async fn refusals(shop: &Shop, cart: &Cart, other: &Cart) -> Vec<(&'static str, Status)> {
    let mut carts = shop.carts();
    let target = || named(&cart.name);
    let line = cart.items[0].name.clone();
    let moving = |source: &Cart, target: &Cart| MoveItemsRequest {
        source: named(&source.name),
        target: named(&target.name),
        items: vec![MovedItem {
            item: source.items[0].name.clone(),
            quantity: None,
        }],
        ..Default::default()
    };
    let noted = Cart {
        name: cart.name.clone(),
        note: "x".into(),
        ..Default::default()
    };
    macro_rules! refusals_of {
        ($($call:ident($request:ident { $($field:ident: $value:expr),* }),)*) => {
            vec![$((stringify!($call), {
                let request = pb::$request { $($field: $value,)* ..Default::default() };
                refusal(carts.$call(request).await)
            }),)*]
        };
    }
    let mut refusals = refusals_of![
        add_item(AddItemRequest {
            target: target(),
            item: Some(item("late", 1))
        }),
        edit_cart(EditCartRequest {
            target: target(),
            edits: vec![pb::CartEdit {
                edit: Some(pb::cart_edit::Edit::Add(item("late", 1))),
            }]
        }),
        update_item(UpdateItemRequest {
            name: line.clone(),
            quantity: Some(2)
        }),
        remove_item(RemoveItemRequest { name: line }),
        update_item_prices(UpdateItemPricesRequest {
            target: target(),
            prices: vec![pb::update_item_prices_request::ProductPrice {
                product: "shirt".into(),
                price: Some(price(super::euros(1))),
                ..Default::default()
            }]
        }),
        clear_cart(ClearCartRequest { target: target() }),
        update_cart(UpdateCartRequest { cart: Some(noted) }),
        assign_cart(AssignCartRequest {
            target: target(),
            customer: new_customer(shop).await
        }),
        freeze_cart(FreezeCartRequest { target: target() }),
        unfreeze_cart(UnfreezeCartRequest { target: target() }),
        lock_cart(LockCartRequest { target: target() }),
        renew_cart_lock(RenewCartLockRequest {
            name: cart.name.clone()
        }),
        unlock_cart(UnlockCartRequest {
            name: cart.name.clone()
        }),
        create_recovery_link(CreateRecoveryLinkRequest { target: target() }),
        order_cart(OrderCartRequest {
            target: target(),
            order_reference: format!("late-{}", unique())
        }),
        reopen_cart(ReopenCartRequest {
            name: cart.name.clone()
        }),
        delete_cart(DeleteCartRequest { target: target() }),
    ];
    for (call, request) in [
        ("merge from", merging(cart, other)),
        ("merge into", merging(other, cart)),
    ] {
        refusals.push((call, refusal(carts.merge_carts(request).await)));
    }
    for (call, request) in [
        ("move from", moving(cart, other)),
        ("move into", moving(other, cart)),
    ] {
        refusals.push((call, refusal(carts.move_items(request).await)));
    }
    refusals
}

/// Returns the changes that end a cart.
fn ends<'w>(watch: &'w CartWatch, name: &str) -> Vec<&'w pb::CartChange> {
    let changes = watch.changes.iter();
    changes
        .filter(|change| change.name == name && change.kind() == ChangeKind::Deleted)
        .collect()
}

on_both_engines! {
    async fn every_later_call_is_refused_with_the_target_of_the_merge(shop: Shop) {
        let first = visitor();
        let source = shop.add(of(&first), item("shirt", 1)).await;
        let token = link(&shop, &source).await.token;
        let target = shop.add(of(&visitor()), item("hat", 1)).await;
        let other = shop.add(of(&visitor()), item("shoe", 1)).await;
        let source = merge(&shop, &source, &target).await;

        let mut refused = refusals(&shop, &source, &other).await;
        let recovery = redemption(&token, &first);
        refused.push(("recover_cart", refusal(shop.carts().recover_cart(recovery).await)));

        for (call, status) in &refused {
            let reason = match *call {
                "reopen_cart" => ErrorReason::CartNotOrdered,
                _ => ErrorReason::CartNotOpen,
            };
            assert_refused(status, Code::FailedPrecondition, reason);
            let metadata = metadata(status);
            let what = (metadata["state"].as_str(), metadata["merged_into"].as_str());
            assert_eq!(what, ("STATE_MERGED", target.name.as_str()), "{call}");
            let field = match *call {
                "merge from" | "move from" => Some("source"),
                "merge into" | "move into" => Some("target"),
                _ => None,
            };
            assert_eq!(metadata.get("field").map(String::as_str), field, "{call}");
        }
        assert_eq!(refused.len(), 22);
        assert_eq!(shop.get(named(&source.name)).await, source);
        assert_eq!(shop.get(named(&other.name)).await, other);
        let grown = shop.get(named(&target.name)).await;
        assert_eq!(lines(&grown), [("hat", 1), ("shirt", 1)]);
    }

    async fn the_retention_of_merged_carts_begins_with_the_merge(shop: Shop with Setup::held()) {
        keep_days(&shop, 2, 4).await;
        let (ada, eva) = (new_customer(&shop).await, new_customer(&shop).await);
        let late = shop.add(of(&visitor()), item("shirt", 1)).await;
        let (early, _) = merged(&shop, &visitor(), &visitor()).await;
        shop.clock.advance(DAY);
        let target = shop.add(of(&visitor()), item("hat", 1)).await;
        let late = merge(&shop, &late, &target).await;
        let (of_customer, _) = merged(&shop, &customer(&ada), &customer(&eva)).await;
        let mut watch = watch(&shop).await;

        // The purge that deletes this cart has checked the others.
        shop.clock.advance(DAY + HOUR);
        let ended = |cart: &Cart| {
            let name = cart.name.clone();
            move |watch: &CartWatch| !ends(watch, &name).is_empty()
        };
        gone(&shop, &early.name).await;
        watch.until("its end", ended(&early)).await;
        assert_eq!(shop.get(named(&late.name)).await, late);
        shop.clock.advance(DAY);
        gone(&shop, &late.name).await;
        watch.until("its end", ended(&late)).await;
        assert_eq!(shop.get(named(&of_customer.name)).await, of_customer);
        shop.clock.advance(2 * DAY);
        gone(&shop, &of_customer.name).await;
        watch.until("its end", ended(&of_customer)).await;

        for cart in [&early, &late, &of_customer] {
            let ends = ends(&watch, &cart.name);
            assert_eq!(ends.len(), 1, "sent once");
            assert_eq!(ends[0].version, cart.version + 1);
            assert_eq!(causes(&watch, &cart.name), [[Kind::Expired]]);
        }
    }

    async fn a_purged_cart_is_not_found_by_any_call_and_its_name_continues_its_versions(shop: Shop with Setup::held()) {
        keep_days(&shop, 3, 0).await;
        let first = visitor();
        let id = format!("merged-{}", unique());
        let creation = CreateCartRequest {
            owner: Some(first.clone()),
            cart_id: id,
            items: vec![item("shirt", 1)],
            ..Default::default()
        };
        let source = shop.carts().create_cart(creation.clone()).await.unwrap().into_inner();
        let token = link(&shop, &source).await.token;
        let target = shop.add(of(&visitor()), item("hat", 1)).await;
        let source = merge(&shop, &source, &target).await;
        shop.clock.advance(2 * DAY);
        let target = shop.add(named(&target.name), item("hat", 1)).await;
        shop.clock.advance(DAY + HOUR);
        gone(&shop, &source.name).await;
        let other = shop.add(of(&visitor()), item("shoe", 1)).await;

        let mut refused = refusals(&shop, &source, &other).await;
        let recovery = redemption(&token, &first);
        refused.push(("recover_cart", refusal(shop.carts().recover_cart(recovery).await)));
        refused.push(("the merge again", refusal(shop.carts().merge_carts(merging(&source, &target)).await)));
        refused.push(("get_cart", shop.try_get(named(&source.name)).await.unwrap_err()));
        let again = shop.carts().create_cart(creation).await.unwrap().into_inner();

        for (_, status) in &refused {
            assert_refused(status, Code::NotFound, ErrorReason::NotFound);
        }
        assert_eq!((&again.name, again.version), (&source.name, source.version + 2));
        // The merged lines stay in the target.
        let kept = shop.get(named(&target.name)).await;
        assert_eq!((kept.state(), lines(&kept)), (State::Open, vec![("hat", 2), ("shirt", 1)]));
    }

    async fn merged_carts_stay_if_the_shop_sets_no_retention(shop: Shop with Setup::held()) {
        keep_days(&shop, 1, 0).await;
        let (ada, eva) = (new_customer(&shop).await, new_customer(&shop).await);
        let (of_customer, _) = merged(&shop, &customer(&ada), &customer(&eva)).await;
        let (of_visitor, _) = merged(&shop, &visitor(), &visitor()).await;

        shop.clock.advance(3_650 * DAY);

        gone(&shop, &of_visitor.name).await;
        assert_eq!(shop.get(named(&of_customer.name)).await, of_customer);
    }

    async fn more_merged_carts_than_one_batch_are_each_deleted_once(shop: Shop with Setup::held()) {
        keep_days(&shop, 1, 0).await;
        let target = shop.add(of(&customer(&new_customer(&shop).await)), item("hat", 1)).await;
        let mut names = Vec::new();
        for _ in 0..70 {
            let source = shop.add(of(&visitor()), item("shirt", 1)).await;
            names.push(merge(&shop, &source, &target).await.name);
        }
        let mut watch = watch(&shop).await;

        shop.clock.advance(DAY + HOUR + Duration::from_micros(1));

        watch.until("the end of all", |watch| {
            names.iter().all(|name| !ends(watch, name).is_empty())
        }).await;
        for name in &names {
            assert_eq!(ends(&watch, name).len(), 1);
        }
        let left = pb::ListCartsRequest { filter: "state = MERGED".into(), ..Default::default() };
        eventually("nothing is left", || async {
            let listed = shop.carts().list_carts(left.clone()).await.unwrap().into_inner();
            listed.carts.is_empty().then_some(())
        }).await;
    }
}
