//! Tests ordering a cart, repeated orders, and reopening.

use clientela::proto::pb::{self, OrderCartRequest, ReopenCartRequest, cart::State};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{Carts, EURO, euros, item, named, of, total, visitor};
use crate::harness::{assert_refused, unique};
use crate::on_both_engines;
use pb::ErrorReason;

fn reference() -> String {
    format!("ORDER/{}", unique())
}

on_both_engines! {
    async fn an_ordered_cart_is_closed_and_the_next_addition_opens_a_new_cart(shop: Shop) {
        let owner = visitor();
        let cart = shop.add(of(&owner), item("shirt", 1)).await;
        let reference = reference();

        let ordered = shop.try_order(of(&owner), &reference).await.unwrap();
        let closed = shop.try_add(named(&cart.name), item("hat", 1)).await.unwrap_err();
        let delete = pb::DeleteCartRequest { target: named(&cart.name), ..Default::default() };
        let kept = shop.carts().delete_cart(delete).await.unwrap_err();
        let next = shop.add(of(&owner), item("hat", 1)).await;

        assert_eq!((ordered.name.as_str(), ordered.state()), (cart.name.as_str(), State::Ordered));
        assert_eq!(ordered.order_reference, reference);
        assert!(ordered.order_time.is_some());
        assert_refused(&closed, Code::FailedPrecondition, ErrorReason::CartNotOpen);
        let metadata = closed.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["state"], "STATE_ORDERED");
        assert_eq!(metadata["order_reference"], reference);
        assert_refused(&kept, Code::FailedPrecondition, ErrorReason::CartNotOpen);
        assert_ne!(next.name, ordered.name);
        assert_eq!(shop.get(named(&cart.name)).await, ordered);
    }

    /// A payment webhook may come twice, the second time after the shopper went on.
    async fn a_repeated_order_gets_the_first_answer(shop: Shop) {
        let owner = visitor();
        let cart = shop.add(of(&owner), item("shirt", 1)).await;
        let reference = reference();
        let first = shop.try_order(of(&owner), &reference).await.unwrap();

        let by_name = shop.try_order(named(&cart.name), &reference).await.unwrap();
        let by_owner = shop.try_order(of(&owner), &reference).await.unwrap();
        let next = shop.add(of(&owner), item("hat", 1)).await;
        let later = shop.try_order(of(&owner), &reference).await.unwrap();

        assert_eq!([by_name, by_owner, later], [first.clone(), first.clone(), first]);
        assert_eq!(shop.get(of(&owner)).await, next);
    }

    async fn a_reference_belongs_to_one_cart(shop: Shop) {
        let reference = reference();
        let first = shop.add(of(&visitor()), item("shirt", 1)).await;
        let second = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.try_order(named(&first.name), &reference).await.unwrap();

        let taken = shop.try_order(named(&second.name), &reference).await.unwrap_err();
        let ordered = shop.try_order(named(&first.name), &format!("{reference}b")).await.unwrap_err();

        assert_refused(&taken, Code::AlreadyExists, ErrorReason::OrderReferenceTaken);
        assert_eq!(taken.get_details_error_info().unwrap().metadata["cart"], first.name);
        assert_refused(&ordered, Code::FailedPrecondition, ErrorReason::CartNotOpen);
    }

    async fn a_total_that_differs_is_refused_with_the_current_one(shop: Shop) {
        let owner = visitor();
        let cart = shop.add(of(&owner), item("shirt", 2)).await;
        let order = |total| OrderCartRequest {
            target: of(&owner),
            order_reference: format!("{}-expected", cart.number),
            expected_total: euros(total),
            ..Default::default()
        };

        let refused = shop.carts().order_cart(order(10)).await.unwrap_err();
        let ordered = shop.carts().order_cart(order(20)).await.unwrap().into_inner();

        assert_refused(&refused, Code::Aborted, ErrorReason::TotalChanged);
        let metadata = refused.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["total"], (20 * EURO).to_string());
        assert_eq!((metadata["currency_code"].as_str(), &metadata["current_etag"]), ("EUR", &cart.etag));
        assert_eq!(total(&ordered), 20 * EURO);
    }

    async fn an_empty_cart_cannot_be_ordered(shop: Shop) {
        let request = pb::CreateCartRequest { owner: Some(visitor()), ..Default::default() };
        let cart = shop.carts().create_cart(request).await.unwrap().into_inner();

        let empty = shop.try_order(named(&cart.name), &reference()).await.unwrap_err();
        let absent = shop.try_order(of(&visitor()), &reference()).await.unwrap_err();

        assert_refused(&empty, Code::FailedPrecondition, ErrorReason::CartEmpty);
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
    }

    async fn a_reopened_cart_takes_edits_and_its_reference_is_free(shop: Shop) {
        let owner = visitor();
        let cart = shop.add(of(&owner), item("shirt", 1)).await;
        let reference = reference();
        shop.try_order(of(&owner), &reference).await.unwrap();
        let reopen = ReopenCartRequest { name: cart.name.clone(), ..Default::default() };

        let open = shop.carts().reopen_cart(reopen.clone()).await.unwrap().into_inner();
        let again = shop.carts().reopen_cart(reopen).await.unwrap_err();
        let grown = shop.add(of(&owner), item("hat", 1)).await;
        let other = shop.add(of(&visitor()), item("shirt", 1)).await;
        let ordered = shop.try_order(named(&other.name), &reference).await.unwrap();

        assert_eq!((open.state(), open.order_reference.as_str()), (State::Open, ""));
        assert_eq!(open.order_time, None);
        assert_refused(&again, Code::FailedPrecondition, ErrorReason::CartNotOrdered);
        assert_eq!((grown.name, grown.items.len()), (cart.name, 2));
        assert_eq!(ordered.order_reference, reference);
    }

    async fn a_cart_is_not_reopened_beside_the_next_one(shop: Shop) {
        let owner = visitor();
        let first = shop.add(of(&owner), item("shirt", 1)).await;
        shop.try_order(of(&owner), &reference()).await.unwrap();
        let next = shop.add(of(&owner), item("hat", 1)).await;

        let reopen = ReopenCartRequest { name: first.name, ..Default::default() };
        let refused = shop.carts().reopen_cart(reopen).await.unwrap_err();

        assert_refused(&refused, Code::AlreadyExists, ErrorReason::OpenCartExists);
        assert_eq!(refused.get_details_error_info().unwrap().metadata["open_cart"], next.name);
    }
}
