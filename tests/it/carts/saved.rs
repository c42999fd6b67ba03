//! Tests the slot `saved`, and the slots beside it for an owner who has two saved carts. The tests of
//! abandonment and retention show that these carts are neither abandoned nor deleted.

use clientela::proto::pb::{
    self, AssignCartRequest, Cart, ErrorReason, MergeCartsRequest, MoveItemsRequest,
    assign_cart_request::IfOpenCartExists, move_items_request::MovedItem,
};
use tonic::Code;

use super::{Carts, customer, in_slot, item, lines, named, new_customer, of, visitor};
use crate::harness::{Shop, assert_refused, unique, violations};
use crate::on_both_engines;

/// Assigns a visitor's saved cart to a customer, who may have a saved cart too.
async fn assigned(shop: &Shop, customer: &str) -> Cart {
    let cart = shop.add(of(&in_slot(&visitor(), "saved")), item("shirt", 1));
    let request = AssignCartRequest {
        target: named(&cart.await.name),
        customer: customer.into(),
        if_open_cart_exists: IfOpenCartExists::KeepBoth.into(),
        ..Default::default()
    };
    let answer = shop.carts().assign_cart(request).await.unwrap();
    answer.into_inner().cart.unwrap()
}

async fn assert_cannot_be_ordered(shop: &Shop, cart: &Cart) {
    let reference = format!("saved-{}", unique());
    for target in [
        named(&cart.name),
        of(&in_slot(&customer(&cart.customer), &cart.slot)),
    ] {
        let refused = shop.try_order(target, &reference).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let expected = [("target".to_owned(), "SAVED_FOR_LATER".to_owned())];
        assert_eq!(violations(&refused), expected, "{}", cart.slot);
    }
    assert_eq!(shop.get(named(&cart.name)).await, *cart);
}

on_both_engines! {
    async fn two_saved_carts_are_for_later_in_either_slot(shop: Shop) {
        let ada = new_customer(&shop).await;

        let kept = [
            assigned(&shop, &ada).await,
            assigned(&shop, &ada).await,
            assigned(&shop, &ada).await,
        ];

        let slots = kept.each_ref().map(|cart| cart.slot.as_str());
        assert_eq!(slots, ["saved", "saved-2", "saved-3"]);
        for cart in &kept {
            assert_cannot_be_ordered(&shop, cart).await;
        }
        // In another cart the lines are ordered like any others.
        let main = shop.add(of(&customer(&ada)), item("hat", 1)).await;
        let merge = MergeCartsRequest {
            source: named(&kept[1].name),
            target: named(&main.name),
            ..Default::default()
        };
        shop.carts().merge_carts(merge).await.unwrap();
        let ordered = shop.try_order(named(&main.name), &format!("order-{}", unique())).await.unwrap();
        assert_eq!(lines(&ordered), [("hat", 1), ("shirt", 1)]);
    }

    async fn lines_moved_into_a_second_saved_slot_are_for_later_too(shop: Shop) {
        let owner = customer(&new_customer(&shop).await);
        let main = shop.add(of(&owner), item("shirt", 1)).await;
        let moves = MoveItemsRequest {
            source: of(&owner),
            target: of(&in_slot(&owner, "saved-for-june")),
            items: vec![MovedItem { item: main.items[0].name.clone(), quantity: None }],
            ..Default::default()
        };

        let saved = shop.carts().move_items(moves).await.unwrap().into_inner().target.unwrap();

        assert_cannot_be_ordered(&shop, &saved).await;
        let counted = pb::WatchCartFiguresRequest::default();
        let mut figures = shop.carts().watch_cart_figures(counted).await.unwrap().into_inner();
        let first = figures.message().await.unwrap().unwrap().figures.unwrap();
        assert_eq!(first.open_carts, 0, "neither the empty cart nor the saved one counts");
    }

    /// Only the name `saved`, alone or followed by a hyphen, has this meaning.
    async fn a_slot_that_only_begins_with_saved_is_an_ordinary_slot(shop: Shop) {
        for slot in ["savings", "saved2", "not-saved"] {
            let cart = shop.add(of(&in_slot(&visitor(), slot)), item("shirt", 1)).await;

            let ordered = shop.try_order(named(&cart.name), &format!("order-{}", unique())).await;

            assert!(!ordered.unwrap().order_reference.is_empty(), "{slot}");
        }
    }
}
