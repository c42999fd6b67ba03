//! Tests frozen carts: those with frozen prices, and those that are frozen whole.

use clientela::proto::pb::{self, Cart, ErrorReason, cart::Freeze, cart_cause::Kind};
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Carts, EURO, customer, euros, in_slot, item, lines, named, of, price, total, visitor};
use crate::harness::{CartWatch, Shop, assert_refused, unique};
use crate::on_both_engines;
use crate::watch::every;

async fn try_freeze(shop: &Shop, cart: &str, freeze: Freeze) -> Result<Cart, Status> {
    let request = pb::FreezeCartRequest {
        target: named(cart),
        freeze: freeze.into(),
        ..Default::default()
    };
    let answer = shop.carts().freeze_cart(request).await?;
    Ok(answer.into_inner())
}

async fn freeze(shop: &Shop, cart: &str, freeze: Freeze) -> Cart {
    try_freeze(shop, cart, freeze).await.expect("it is frozen")
}

async fn unfreeze(shop: &Shop, cart: &str) -> Cart {
    let request = pb::UnfreezeCartRequest {
        target: named(cart),
        ..Default::default()
    };
    let answer = shop.carts().unfreeze_cart(request).await;
    answer.expect("the cart is unfrozen").into_inner()
}

/// Creates a group with a discount, and a customer with this default group. Returns the customer's name.
async fn member_of(shop: &Shop, group: &str, discount_percent: &str) -> String {
    let request = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: [("en".to_owned(), group.to_owned())].into(),
            discount_percent: discount_percent.into(),
            ..Default::default()
        }),
        group_id: group.into(),
        ..Default::default()
    };
    shop.groups().create_group(request).await.unwrap();
    let groups = vec![format!("groups/{group}")];
    let request = pb::CreateCustomerRequest {
        customer: Some(pb::Customer {
            email: format!("{group}-{}@example.test", unique()),
            first_name: "Ada".into(),
            default_group: groups[0].clone(),
            groups,
            ..Default::default()
        }),
        ..Default::default()
    };
    let answer = shop.customers().create_customer(request).await.unwrap();
    answer.into_inner().name
}

async fn set_discount(shop: &Shop, group: &str, discount_percent: &str) {
    let request = pb::UpdateGroupRequest {
        group: Some(pb::Group {
            name: format!("groups/{group}"),
            discount_percent: discount_percent.into(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["discount_percent".into()],
        }),
        ..Default::default()
    };
    shop.groups().update_group(request).await.unwrap();
}

async fn change_customer(shop: &Shop, customer: pb::Customer, path: &str) {
    let request = pb::UpdateCustomerRequest {
        customer: Some(customer),
        update_mask: Some(FieldMask {
            paths: vec![path.into()],
        }),
        ..Default::default()
    };
    shop.customers().update_customer(request).await.unwrap();
}

/// Returns the causes that the watch received of a cart, in order.
fn causes(watch: &CartWatch, cart: &str) -> Vec<Kind> {
    let changes = watch.changes.iter().filter(|change| change.name == cart);
    changes
        .flat_map(|change| &change.causes)
        .map(|cause| cause.kind())
        .collect()
}

async fn watched(shop: &Shop) -> CartWatch {
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;
    watch
}

async fn edit(
    shop: &Shop,
    line: &pb::Item,
    change: impl FnOnce(&mut pb::UpdateItemRequest),
) -> Result<Cart, Status> {
    let mut request = pb::UpdateItemRequest {
        name: line.name.clone(),
        ..Default::default()
    };
    change(&mut request);
    Ok(shop.carts().update_item(request).await?.into_inner())
}

async fn note(shop: &Shop, cart: &str, note: &str) -> Result<Cart, Status> {
    let request = pb::UpdateCartRequest {
        cart: Some(Cart {
            name: cart.into(),
            note: note.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    Ok(shop.carts().update_cart(request).await?.into_inner())
}

async fn assign(shop: &Shop, cart: &str, customer: &str) -> Result<Cart, Status> {
    let request = pb::AssignCartRequest {
        target: named(cart),
        customer: customer.into(),
        ..Default::default()
    };
    let answer = shop.carts().assign_cart(request).await?.into_inner();
    Ok(answer.cart.expect("the customer's cart"))
}

async fn clear(shop: &Shop, cart: &str) -> Result<Cart, Status> {
    let request = pb::ClearCartRequest {
        target: named(cart),
        ..Default::default()
    };
    Ok(shop.carts().clear_cart(request).await?.into_inner())
}

async fn reprice(shop: &Shop, cart: &str) -> Result<Cart, Status> {
    let request = pb::UpdateItemPricesRequest {
        target: named(cart),
        prices: vec![pb::update_item_prices_request::ProductPrice {
            product: "shirt".into(),
            price: Some(price(euros(99))),
            ..Default::default()
        }],
        ..Default::default()
    };
    Ok(shop.carts().update_item_prices(request).await?.into_inner())
}

fn by_hand() -> Option<pb::PriceOverride> {
    Some(pb::PriceOverride {
        amount: euros(1),
        reason: "damaged".into(),
        ..Default::default()
    })
}

fn assert_frozen(refused: &Status, freeze: &str) {
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::CartFrozen);
    let metadata = refused.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["freeze"], freeze);
}

on_both_engines! {
    /// The other cart of the customer shows when the work on both is done.
    async fn frozen_prices_stay_when_the_discount_of_the_group_changes(shop: Shop) {
        let owner = member_of(&shop, "trade", "10").await;
        let cart = shop.add(of(&customer(&owner)), item("shirt", 2)).await;
        let other = shop.add(of(&in_slot(&customer(&owner), "other")), item("shirt", 2)).await;
        let frozen = freeze(&shop, &cart.name, Freeze::Soft).await;
        assert_eq!((total(&frozen), frozen.freeze()), (18 * EURO, Freeze::Soft));
        assert!(frozen.freeze_time.is_some());
        let mut watch = watched(&shop).await;

        set_discount(&shop, "trade", "50").await;
        watch.until("the other cart's new price", |seen| {
            causes(seen, &other.name) == [Kind::Repriced]
        }).await;

        assert_eq!(shop.get(named(&cart.name)).await, frozen);
        let grown = shop.add(named(&cart.name), item("hat", 1)).await;
        assert_eq!((total(&grown), total(&shop.get(named(&other.name)).await)), (27 * EURO, 10 * EURO));
        let open = unfreeze(&shop, &cart.name).await;
        assert_eq!((total(&open), open.freeze(), open.freeze_time), (15 * EURO, Freeze::Unspecified, None));
        watch.until("the end of the freeze", |seen| causes(seen, &cart.name).len() == 3).await;
        assert_eq!(causes(&watch, &cart.name), [Kind::ItemAdded, Kind::Unfrozen, Kind::Repriced]);
    }

    async fn frozen_prices_stay_when_the_default_group_changes_and_the_new_name_is_shown(shop: Shop) {
        let owner = member_of(&shop, "trade", "10").await;
        let cart = shop.add(of(&customer(&owner)), item("shirt", 1)).await;
        let frozen = freeze(&shop, &cart.name, Freeze::Hard).await;
        let mut watch = watched(&shop).await;

        let renamed = pb::Customer { name: owner.clone(), first_name: "Grace".into(), ..Default::default() };
        change_customer(&shop, renamed, "first_name").await;
        let exempt = pb::Customer { name: owner.clone(), tax_exempt: true, ..Default::default() };
        change_customer(&shop, exempt, "tax_exempt").await;
        let regrouped = pb::Customer {
            name: owner.clone(),
            groups: vec!["groups/customer".into()],
            default_group: "groups/customer".into(),
            ..Default::default()
        };
        change_customer(&shop, regrouped, "groups").await;
        watch.until("the customer's new name", |seen| {
            seen.carts[&cart.name].customer_summary.as_ref().is_some_and(|summary| {
                summary.display_name.contains("Grace") && summary.groups == ["groups/customer"]
            })
        }).await;

        assert!(causes(&watch, &cart.name).iter().all(|kind| *kind == Kind::CustomerChanged));
        let shown = shop.get(named(&cart.name)).await;
        assert_eq!((&shown.total, &shown.pricing_group), (&frozen.total, &frozen.pricing_group));
        assert_eq!(shown.items, frozen.items);
    }

    async fn lines_with_frozen_prices_change_quantity_but_not_price(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 2)).await;
        freeze(&shop, &cart.name, Freeze::Soft).await;
        let shirt = &cart.items[0];
        let mut dearer = item("shirt", 1);
        dearer.price = Some(price(euros(99)));

        let more = shop.add(named(&cart.name), dearer).await;
        let fewer = edit(&shop, shirt, |request| request.quantity = Some(1)).await.unwrap();
        let noted = note(&shop, &cart.name, "ring twice").await.unwrap();
        let refused = [
            reprice(&shop, &cart.name).await.unwrap_err(),
            edit(&shop, shirt, |request| request.price_override = by_hand()).await.unwrap_err(),
            edit(&shop, shirt, |request| request.clear_price_override = true).await.unwrap_err(),
        ];
        let hat = shop.add(named(&cart.name), item("hat", 1)).await;
        let gone = pb::RemoveItemRequest { name: shirt.name.clone(), ..Default::default() };
        let gone = shop.carts().remove_item(gone).await.unwrap().into_inner();

        assert_eq!((lines(&more), total(&more)), (vec![("shirt", 3)], 30 * EURO));
        assert_eq!((total(&fewer), noted.note.as_str()), (10 * EURO, "ring twice"));
        for refused in &refused {
            assert_frozen(refused, "FREEZE_SOFT");
        }
        assert_eq!(hat.version, noted.version + 1);
        assert_eq!(lines(&gone), [("hat", 1)]);
        assert!(clear(&shop, &cart.name).await.unwrap().items.is_empty());
    }

    async fn a_cart_that_is_wholly_frozen_takes_no_edit(shop: Shop) {
        let buyer = member_of(&shop, "trade", "10").await;
        let cart = shop.add(of(&visitor()), item("shirt", 2)).await;
        let frozen = freeze(&shop, &cart.name, Freeze::Hard).await;
        let shirt = &cart.items[0];
        let edits = pb::EditCartRequest {
            target: named(&cart.name),
            edits: vec![pb::CartEdit { edit: Some(pb::cart_edit::Edit::Remove(shirt.name.clone())) }],
            ..Default::default()
        };
        let check = pb::UpdateCartRequest {
            cart: Some(Cart { name: cart.name.clone(), note: "x".into(), ..Default::default() }),
            validate_only: true,
            ..Default::default()
        };
        let remove = pb::RemoveItemRequest { name: shirt.name.clone(), ..Default::default() };

        let refused = [
            shop.try_add(named(&cart.name), item("hat", 1)).await.unwrap_err(),
            edit(&shop, shirt, |request| request.quantity = Some(2)).await.unwrap_err(),
            edit(&shop, shirt, |request| request.price_override = by_hand()).await.unwrap_err(),
            shop.carts().remove_item(remove).await.unwrap_err(),
            shop.carts().edit_cart(edits).await.unwrap_err(),
            reprice(&shop, &cart.name).await.unwrap_err(),
            clear(&shop, &cart.name).await.unwrap_err(),
            note(&shop, &cart.name, "ring twice").await.unwrap_err(),
            shop.carts().update_cart(check).await.unwrap_err(),
            assign(&shop, &cart.name, &buyer).await.unwrap_err(),
        ];

        for refused in &refused {
            assert_frozen(refused, "FREEZE_HARD");
        }
        assert_eq!(shop.get(named(&cart.name)).await, frozen);
        let delete = pb::DeleteCartRequest { target: named(&cart.name), ..Default::default() };
        shop.carts().delete_cart(delete).await.unwrap();
    }

    async fn an_order_keeps_the_frozen_total_and_a_reopened_cart_is_not_frozen(shop: Shop) {
        for (mode, group) in [(Freeze::Soft, "soft"), (Freeze::Hard, "hard")] {
            let owner = member_of(&shop, group, "10").await;
            let cart = shop.add(of(&customer(&owner)), item("shirt", 1)).await;
            freeze(&shop, &cart.name, mode).await;
            set_discount(&shop, group, "50").await;
            let order = pb::OrderCartRequest {
                target: named(&cart.name),
                order_reference: format!("frozen-{}", unique()),
                expected_total: euros(9),
                ..Default::default()
            };

            let ordered = shop.carts().order_cart(order).await.unwrap().into_inner();
            let late = try_freeze(&shop, &cart.name, mode).await.unwrap_err();
            let reopen = pb::ReopenCartRequest { name: cart.name.clone(), ..Default::default() };
            let open = shop.carts().reopen_cart(reopen).await.unwrap().into_inner();

            assert_eq!(total(&ordered), 9 * EURO);
            assert_refused(&late, Code::FailedPrecondition, ErrorReason::CartNotOpen);
            assert_eq!((open.freeze(), open.freeze_time), (Freeze::Unspecified, None));
            assert_eq!(total(&open), 5 * EURO);
            assert_eq!(shop.get(named(&cart.name)).await, open);
        }
    }

    async fn a_cart_whose_prices_are_frozen_goes_to_a_customer_at_these_prices(shop: Shop) {
        let buyer = member_of(&shop, "trade", "10").await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        freeze(&shop, &cart.name, Freeze::Soft).await;

        let assigned = assign(&shop, &cart.name, &buyer).await.unwrap();
        let open = unfreeze(&shop, &cart.name).await;

        assert_eq!((assigned.customer.as_str(), total(&assigned)), (buyer.as_str(), 10 * EURO));
        assert_eq!(assigned.customer_summary.map(|who| who.groups), Some(vec!["groups/trade".into()]));
        assert_eq!(total(&open), 9 * EURO);
    }

    async fn a_cart_in_payment_stays_the_visitor_s_when_the_visitor_registers(shop: Shop) {
        let owner = visitor();
        let paid = shop.add(of(&owner), item("shirt", 1)).await;
        let saved = shop.add(of(&in_slot(&owner, "saved")), item("hat", 1)).await;
        let frozen = freeze(&shop, &paid.name, Freeze::Hard).await;
        let Some(pb::cart_owner::Owner::Visitor(token)) = owner.owner else { panic!("a visitor") };
        let request = pb::CreateCustomerRequest {
            customer: Some(pb::Customer { email: format!("{}@example.test", unique()), ..Default::default() }),
            visitor: token,
            ..Default::default()
        };

        let registered = shop.customers().create_customer(request).await.unwrap().into_inner();

        assert_eq!(shop.get(named(&paid.name)).await, frozen);
        assert_eq!(shop.get(named(&saved.name)).await.customer, registered.name);
    }

    async fn the_mode_of_a_freeze_changes_and_a_repeated_mode_is_no_change(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let mut watch = watched(&shop).await;

        let soft = freeze(&shop, &cart.name, Freeze::Unspecified).await;
        let again = freeze(&shop, &cart.name, Freeze::Soft).await;
        let hard = freeze(&shop, &cart.name, Freeze::Hard).await;
        let back = freeze(&shop, &cart.name, Freeze::Soft).await;
        let open = unfreeze(&shop, &cart.name).await;
        let still = unfreeze(&shop, &cart.name).await;

        assert_eq!((soft.freeze(), hard.freeze(), back.freeze()), (Freeze::Soft, Freeze::Hard, Freeze::Soft));
        assert_eq!((&again, &still), (&soft, &open));
        assert_eq!(hard.freeze_time, soft.freeze_time);
        watch.until("the end of the freeze", |seen| seen.carts[&cart.name] == open).await;
        let frozen = Kind::Frozen;
        assert_eq!(causes(&watch, &cart.name), [frozen, frozen, frozen, Kind::Unfrozen]);
    }

    async fn frozen_carts_are_found_and_watched_by_a_filter(shop: Shop) {
        let soft = shop.add(of(&visitor()), item("shirt", 1)).await;
        let hard = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.add(of(&visitor()), item("shirt", 1)).await;
        let request = pb::WatchCartsRequest { filter: "freeze = HARD".into(), ..every() };
        let mut watch = CartWatch::open(&mut shop.carts(), request).await.unwrap();
        assert_eq!(watch.snapshot().await, 0);
        freeze(&shop, &soft.name, Freeze::Soft).await;
        freeze(&shop, &hard.name, Freeze::Hard).await;

        for (filter, expected) in [("freeze = SOFT", &soft), ("freeze = HARD", &hard)] {
            let request = pb::ListCartsRequest { filter: filter.into(), ..Default::default() };
            let page = shop.carts().list_carts(request).await.unwrap().into_inner();
            let names: Vec<&str> = page.carts.iter().map(|cart| cart.name.as_str()).collect();
            assert_eq!(names, [expected.name.as_str()], "{filter}");
        }
        watch.until("the frozen cart", |seen| seen.carts.len() == 1).await;
        unfreeze(&shop, &hard.name).await;
        watch.until("its end", |seen| seen.carts.is_empty()).await;
        assert!(watch.changes.iter().all(|change| change.name == hard.name));
    }

    async fn a_repeated_freeze_is_one_and_a_stale_or_absent_cart_is_refused(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let request = pb::FreezeCartRequest {
            target: named(&cart.name),
            freeze: Freeze::Hard.into(),
            etag: cart.etag.clone(),
            request_id: format!("freeze-{}", unique()),
        };

        let first = shop.carts().freeze_cart(request.clone()).await.unwrap().into_inner();
        unfreeze(&shop, &cart.name).await;
        let second = shop.carts().freeze_cart(request.clone()).await.unwrap().into_inner();
        let stale = pb::FreezeCartRequest { request_id: String::new(), ..request.clone() };
        let stale = shop.carts().freeze_cart(stale).await.unwrap_err();
        let other = pb::FreezeCartRequest { freeze: Freeze::Soft.into(), ..request };
        let other = shop.carts().freeze_cart(other).await.unwrap_err();
        let unfreeze = pb::UnfreezeCartRequest { target: named(&cart.name), etag: cart.etag.clone(), ..Default::default() };
        let unstale = shop.carts().unfreeze_cart(unfreeze).await.unwrap_err();
        let absent = try_freeze(&shop, "carts/nobody", Freeze::Soft).await.unwrap_err();

        assert_eq!(first, second);
        assert_eq!(shop.get(named(&cart.name)).await.freeze(), Freeze::Unspecified);
        assert_refused(&stale, Code::Aborted, ErrorReason::EtagMismatch);
        assert_refused(&unstale, Code::Aborted, ErrorReason::EtagMismatch);
        assert_refused(&other, Code::InvalidArgument, ErrorReason::RequestIdReused);
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
    }
}
