//! Tests that an owner has one open cart per slot: creation, deletion, and the names of carts.

use clientela::proto::pb::{self, Cart, CreateCartRequest, DeleteCartRequest};
use tonic::{Code, Status};

use super::{Carts, EURO, euros, in_slot, item, lines, named, of, total, visitor};
use crate::harness::{Shop, assert_refused, unique};
use crate::on_both_engines;
use pb::ErrorReason;

async fn create(shop: &Shop, request: CreateCartRequest) -> Result<Cart, Status> {
    shop.carts()
        .create_cart(request)
        .await
        .map(tonic::Response::into_inner)
}

fn creation() -> CreateCartRequest {
    CreateCartRequest {
        owner: Some(visitor()),
        ..Default::default()
    }
}

on_both_engines! {
    async fn a_cart_is_created_with_the_given_fields(shop: Shop) {
        let request = CreateCartRequest {
            cart: Some(Cart {
                number: format!("C-{}", unique()),
                storefront: "paris".into(),
                language_code: "fr".into(),
                note: "ring twice".into(),
                charges: vec![pb::Charge {
                    kind: "shipping".into(),
                    label: "Colis".into(),
                    amount: euros(5),
                }],
                ..Default::default()
            }),
            items: vec![item("shirt", 1), item("hat", 2), item("shirt", 1)],
            ..creation()
        };

        let cart = create(&shop, request.clone()).await.unwrap();

        assert_eq!(lines(&cart), [("shirt", 2), ("hat", 2)]);
        assert_eq!(total(&cart), 45 * EURO);
        assert_eq!(cart.number, request.cart.unwrap().number);
        assert_eq!((cart.version, cart.slot.as_str(), cart.currency_code.as_str()), (1, "main", "EUR"));
        assert_eq!(shop.get(named(&cart.name)).await, cart);
    }

    async fn an_owner_has_one_open_cart_in_a_slot(shop: Shop) {
        let request = creation();
        let owner = request.owner.clone().unwrap();
        let cart = create(&shop, request.clone()).await.unwrap();

        let second = create(&shop, request).await.unwrap_err();
        let gift = in_slot(&owner, "gift");
        let other = create(&shop, CreateCartRequest { owner: Some(gift.clone()), ..creation() })
            .await
            .unwrap();

        assert_refused(&second, Code::AlreadyExists, ErrorReason::OpenCartExists);
        assert_ne!(other.name, cart.name);
        assert_eq!(shop.get(of(&owner)).await, cart);
        assert_eq!(shop.get(of(&gift)).await, other);
    }

    async fn names_and_numbers_are_unique(shop: Shop) {
        let id = format!("cart-{}", unique());
        let number = format!("N{}", unique());
        let with = |cart_id: &str, number: &str| CreateCartRequest {
            cart_id: cart_id.into(),
            cart: Some(Cart { number: number.into(), ..Default::default() }),
            ..creation()
        };
        create(&shop, with(&id, &number)).await.unwrap();

        let same_id = create(&shop, with(&id, "")).await.unwrap_err();
        let same_number = create(&shop, with("", &number)).await.unwrap_err();

        assert_refused(&same_id, Code::AlreadyExists, ErrorReason::NameTaken);
        assert_refused(&same_number, Code::AlreadyExists, ErrorReason::NumberTaken);
    }

    async fn a_number_that_a_caller_chose_is_not_generated(shop: Shop) {
        let drawn: i64 = create(&shop, creation()).await.unwrap().number.parse().unwrap();
        let chosen = CreateCartRequest {
            cart: Some(Cart { number: (drawn + 1).to_string(), ..Default::default() }),
            ..creation()
        };
        create(&shop, chosen).await.unwrap();

        let next = create(&shop, creation()).await.unwrap();
        let added = shop.add(of(&visitor()), item("shirt", 1)).await;

        assert_eq!(next.number, (drawn + 2).to_string());
        assert_eq!(added.number, (drawn + 3).to_string());
    }

    async fn a_creation_can_be_validated_only(shop: Shop) {
        let request = CreateCartRequest { validate_only: true, ..creation() };
        let owner = request.owner.clone().unwrap();

        let tried = create(&shop, request).await.unwrap();

        assert!(tried.name.starts_with("carts/"));
        let absent = shop.try_get(of(&owner)).await.unwrap_err();
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
    }

    async fn a_deleted_cart_is_gone_and_its_name_continues_its_versions(shop: Shop) {
        let id = format!("cart-{}", unique());
        let request = CreateCartRequest {
            cart_id: id.clone(),
            items: vec![item("shirt", 1)],
            ..creation()
        };
        let owner = request.owner.clone().unwrap();
        let cart = create(&shop, request.clone()).await.unwrap();
        let delete = DeleteCartRequest { target: of(&owner), ..Default::default() };

        shop.carts().delete_cart(delete.clone()).await.unwrap();
        let again = shop.carts().delete_cart(delete).await.unwrap_err();
        let absent = shop.try_get(named(&cart.name)).await.unwrap_err();
        let next = shop.add(of(&owner), item("hat", 1)).await;
        let same_name = create(&shop, CreateCartRequest { cart_id: id, ..creation() }).await.unwrap();

        assert_refused(&again, Code::NotFound, ErrorReason::NotFound);
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
        assert_ne!(next.name, cart.name);
        assert_eq!((same_name.name, same_name.version), (cart.name, 3));
    }

    async fn an_etag_guards_every_edit(shop: Shop) {
        let first = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.add(named(&first.name), item("shirt", 1)).await;
        let request = pb::AddItemRequest {
            target: named(&first.name),
            item: Some(item("hat", 1)),
            etag: first.etag.clone(),
            ..Default::default()
        };

        let stale = shop.carts().add_item(request).await.unwrap_err();
        let delete = DeleteCartRequest {
            target: named(&first.name),
            etag: first.etag,
            ..Default::default()
        };
        let stale_too = shop.carts().delete_cart(delete).await.unwrap_err();

        assert_refused(&stale, Code::Aborted, ErrorReason::EtagMismatch);
        assert_refused(&stale_too, Code::Aborted, ErrorReason::EtagMismatch);
    }
}
