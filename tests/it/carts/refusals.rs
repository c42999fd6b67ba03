//! Tests edits that a cart refuses. Each refusal leaves the cart unchanged.

use clientela::limits::{CART_ITEMS_MAX, MICROS_MAX};
use clientela::proto::pb::{self, CreateCartRequest, ErrorReason, ItemInput};
use tonic::Code;

use super::{Carts, EURO, customer, item, metadata, money, named, of, price, visitor};
use crate::harness::{Engine, Setup, assert_refused, violations};
use crate::on_both_engines;

fn priced(product: &str, currency: &str, micros: i64, quantity: i32) -> ItemInput {
    ItemInput {
        price: Some(price(Some(money(currency, micros)))),
        ..item(product, quantity)
    }
}

on_both_engines! {
    async fn currencies_are_not_mixed(shop: Shop) {
        let cart = shop.add(of(&visitor()), priced("shirt", "USD", EURO, 1)).await;

        let refused = shop.try_add(named(&cart.name), item("hat", 1)).await.unwrap_err();

        assert_eq!(cart.currency_code, "USD");
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::CurrencyMismatch);
        assert_eq!(shop.get(named(&cart.name)).await, cart);
    }

    async fn amounts_stay_within_the_range_of_every_client(shop: Shop) {
        let owner = visitor();
        let largest = MICROS_MAX / EURO * EURO;
        let cart = shop.add(of(&owner), priced("ship", "EUR", largest, 1)).await;

        let line = shop.try_add(of(&visitor()), priced("ship", "EUR", largest, 2)).await.unwrap_err();
        let sum = shop.try_add(of(&owner), item("hat", 1)).await.unwrap_err();
        let mut taxed = priced("ship", "EUR", largest, 1);
        taxed.price.as_mut().unwrap().tax_rate = "20".into();
        let tax = shop.try_add(of(&visitor()), taxed).await.unwrap_err();

        for refused in [line, sum, tax] {
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::AmountTooLarge);
        }
        assert_eq!(shop.get(of(&owner)).await, cart);
    }

    async fn a_cart_has_a_limit_of_lines(shop: Shop) {
        let items = (0..CART_ITEMS_MAX).map(|number| item(&format!("p{number}"), 1)).collect();
        let request = CreateCartRequest { owner: Some(visitor()), items, ..Default::default() };
        let full = shop.carts().create_cart(request).await.unwrap().into_inner();

        let refused = shop.try_add(named(&full.name), item("one more", 1)).await.unwrap_err();
        let more = shop.add(named(&full.name), item("p7", 1)).await;

        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CartTooLarge);
        assert_eq!(more.item_count, i64::try_from(CART_ITEMS_MAX).unwrap() + 1);
    }

    async fn a_cart_has_a_size_limit(shop: Shop) {
        let owner = visitor();
        let mut refused = None;
        for number in 0..CART_ITEMS_MAX {
            let line = ItemInput {
                image_uri: "x".repeat(2_048),
                category_ids: vec!["y".repeat(128); 5],
                ..item(&format!("p{number}"), 1)
            };
            if let Err(status) = shop.try_add(of(&owner), line).await {
                refused = Some(status);
                break;
            }
        }

        let refused = refused.expect("256 KiB are full before 500 lines are");
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CartTooLarge);
        let cart = shop.get(of(&owner)).await;
        assert!(cart.items.len() > 50 && cart.items.len() < 100, "{}", cart.items.len());
    }

    async fn an_incomplete_line_is_refused_with_all_its_faults(shop: Shop) {
        let empty = ItemInput::default();
        let reduced = |micros| pb::Reduction {
            reduction: Some(pb::reduction::Reduction::Amount(money("EUR", micros))),
        };
        let mut dear = item("shirt", 1);
        dear.price.as_mut().unwrap().reduction = Some(reduced(11 * EURO));

        let refused = shop.try_add(of(&visitor()), empty).await.unwrap_err();
        let too_much = shop.try_add(of(&visitor()), dear).await.unwrap_err();
        let no_target = shop.try_add(None, item("shirt", 1)).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let fields: Vec<String> = violations(&refused).into_iter().map(|(field, _)| field).collect();
        for field in ["item.product", "item.quantity", "item.price"] {
            assert!(fields.iter().any(|named| named == field), "{field}: {fields:?}");
        }
        assert_refused(&too_much, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&too_much)[0].0, "item.price.reduction.amount");
        assert_refused(&no_target, Code::InvalidArgument, ErrorReason::InvalidField);
    }

    async fn quantities_have_a_range(shop: Shop) {
        let owner = visitor();
        shop.add(of(&owner), item("screw", 1_000_000)).await;

        for quantity in [0, -1, 1_000_001] {
            let refused = shop.try_add(of(&owner), item("nail", quantity)).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        }
        let beyond = shop.try_add(of(&owner), item("screw", 1)).await.unwrap_err();
        assert_refused(&beyond, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(shop.get(of(&owner)).await.item_count, 1_000_000);
    }

    /// A client that compares or stores the answers of replicas sees one answer.
    async fn a_repeated_refusal_has_the_same_bytes_from_every_replica(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let lock = pb::LockCartRequest {
            target: named(&cart.name),
            purpose: "Telephone order".into(),
            ..Default::default()
        };
        shop.carts_as(&shop.operator_key).lock_cart(lock).await.unwrap();
        let replica = match shop.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(shop.replica(Setup::default()).await),
        };
        let mut clients = vec![shop.carts()];
        clients.extend(replica.as_ref().map(|replica| replica.carts_as(&shop.admin_key)));
        let call = pb::AddItemRequest {
            target: named(&cart.name),
            item: Some(item("hat", 1)),
            ..Default::default()
        };

        let mut refusals = Vec::new();
        for _ in 0..12 {
            for client in &mut clients {
                refusals.push(client.add_item(call.clone()).await.unwrap_err());
            }
        }

        for refused in &refusals {
            assert_refused(refused, Code::FailedPrecondition, ErrorReason::CartLocked);
            assert_eq!(refused.details(), refusals[0].details());
        }
        assert_eq!(metadata(&refusals[0]).len(), 3, "so that they have an order");
        if let Some(replica) = replica {
            replica.stop().await;
        }
    }

    async fn absent_names_are_not_found(shop: Shop) {
        let absent = shop.try_get(named("carts/nobody")).await.unwrap_err();
        let no_item = pb::UpdateItemRequest {
            name: "carts/nobody/items/x".into(),
            quantity: Some(1),
            ..Default::default()
        };
        let no_item = shop.carts().update_item(no_item).await.unwrap_err();
        let stranger = customer("customers/nobody");
        let no_customer = shop.try_add(of(&stranger), item("shirt", 1)).await.unwrap_err();

        for refused in [absent, no_item, no_customer] {
            assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        }
    }
}
