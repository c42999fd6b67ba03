//! Tests the fields of the cart itself.

use clientela::proto::pb::{self, Address, Adjustment, Cart, Charge, UpdateCartRequest};
use prost_types::FieldMask;
use tonic::{Code, Status};

use super::{Carts, EURO, euros, item, money, named, of, total, visitor};
use crate::harness::{Shop, assert_refused, violations};
use crate::on_both_engines;
use pb::ErrorReason;

async fn update(shop: &Shop, cart: Cart, paths: &[&str]) -> Result<Cart, Status> {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!paths.is_empty()).then_some(FieldMask { paths });
    let request = UpdateCartRequest {
        cart: Some(cart),
        update_mask,
        ..Default::default()
    };
    shop.carts()
        .update_cart(request)
        .await
        .map(tonic::Response::into_inner)
}

fn charge(euro: i64) -> Charge {
    Charge {
        kind: "shipping".into(),
        amount: euros(euro),
        ..Default::default()
    }
}

on_both_engines! {
    async fn an_update_changes_the_fields_of_its_mask(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 2)).await;
        let change = Cart {
            name: cart.name.clone(),
            note: "ring twice".into(),
            shipping_method: "bike".into(),
            charges: vec![charge(5)],
            adjustments: vec![Adjustment {
                kind: "voucher".into(),
                amount: euros(-3),
                ..Default::default()
            }],
            delivery_address: Some(Address { city: "Lyon".into(), ..Default::default() }),
            ..Default::default()
        };

        let noted = update(&shop, change.clone(), &["note"]).await.unwrap();
        let all_set = update(&shop, change, &[]).await.unwrap();
        let cleared = Cart { name: cart.name, ..Default::default() };
        let cleared = update(&shop, cleared, &["deliveryAddress", "charges"]).await.unwrap();

        assert_eq!((noted.note.as_str(), noted.shipping_method.as_str()), ("ring twice", ""));
        assert_eq!((noted.version, total(&noted)), (2, 20 * EURO));
        assert_eq!(total(&all_set), 22 * EURO);
        assert_eq!(all_set.delivery_address.unwrap().city, "Lyon");
        assert_eq!((total(&cleared), cleared.delivery_address), (17 * EURO, None));
        assert_eq!(cleared.note, "ring twice");
    }

    async fn the_total_never_falls_below_zero(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let voucher = Adjustment { kind: "voucher".into(), amount: euros(-99), ..Default::default() };
        let change = Cart { name: cart.name, adjustments: vec![voucher], ..Default::default() };

        assert_eq!(total(&update(&shop, change, &[]).await.unwrap()), 0);
    }

    async fn an_impossible_update_is_refused_and_changes_nothing(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let named_cart = Cart { name: cart.name.clone(), ..Default::default() };
        let dollars = Charge { amount: Some(money("USD", EURO)), ..charge(1) };
        let cases = [
            (named_cart.clone(), vec!["shoe_size"], ErrorReason::InvalidField),
            (named_cart.clone(), vec![], ErrorReason::InvalidField),
            (named_cart.clone(), vec!["total"], ErrorReason::InvalidField),
            (Cart { number: "x1".into(), note: "n".into(), ..named_cart.clone() }, vec![], ErrorReason::InvalidField),
            (Cart { charges: vec![dollars], ..named_cart.clone() }, vec![], ErrorReason::CurrencyMismatch),
        ];

        for (change, paths, reason) in cases {
            let refused = update(&shop, change, &paths).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, reason);
        }
        let stale = Cart { etag: "\"0-x\"".into(), note: "n".into(), ..named_cart };
        let refused = update(&shop, stale, &[]).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, ErrorReason::EtagMismatch);
        assert_eq!(shop.get(named(&cart.name)).await, cart);
    }

    async fn an_immutable_field_may_be_sent_back_unchanged(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let change = Cart { note: "hello".into(), ..cart.clone() };

        let updated = update(&shop, change.clone(), &["*"]).await.unwrap();
        let other = Cart { currency_code: "USD".into(), etag: String::new(), ..change };
        let refused = update(&shop, other, &["note"]).await.unwrap_err();

        assert_eq!((updated.note.as_str(), updated.items), ("hello", cart.items));
        assert_eq!(violations(&refused), [("cart.currency_code".to_owned(), "IMMUTABLE".to_owned())]);
    }

    async fn an_update_can_be_validated_only(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let request = UpdateCartRequest {
            cart: Some(Cart { name: cart.name.clone(), charges: vec![charge(5)], ..Default::default() }),
            validate_only: true,
            ..Default::default()
        };

        let tried = shop.carts().update_cart(request).await.unwrap().into_inner();

        assert_eq!(total(&tried), 15 * EURO);
        assert_eq!(shop.get(named(&cart.name)).await, cart);
    }
}
