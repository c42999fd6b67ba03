//! Tests the lines of a cart.

use clientela::proto::pb::{
    self, CartEdit, DiscountReason, ItemInput, ItemPrice, PriceOverride, Role, cart_edit::Edit,
};
use prost_types::{Struct, Value, value::Kind};
use tonic::Code;

use super::{Carts, EURO, euros, item, lines, money, named, of, price, total, visitor};
use crate::harness::assert_refused;
use crate::on_both_engines;
use pb::ErrorReason;

fn engraved(product: &str, text: &str) -> ItemInput {
    let value = Value {
        kind: Some(Kind::StringValue(text.into())),
    };
    let attributes = Struct {
        fields: [("text".to_owned(), value)].into(),
    };
    ItemInput {
        attributes: Some(attributes),
        ..item(product, 1)
    }
}

fn edit_request(target: Option<pb::CartTarget>, edits: Vec<Edit>) -> pb::EditCartRequest {
    let edits = edits
        .into_iter()
        .map(|edit| CartEdit { edit: Some(edit) })
        .collect();
    pb::EditCartRequest {
        target,
        edits,
        ..Default::default()
    }
}

on_both_engines! {
    /// AddItem opens the cart, and adds to an equal line.
    async fn additions_of_one_product_become_one_line(shop: Shop) {
        let owner = visitor();

        let first = shop.add(of(&owner), item("shirt", 2)).await;
        let second = shop.add(of(&owner), item("shirt", 3)).await;
        let third = shop.add(of(&owner), engraved("shirt", "Ada")).await;

        assert_eq!(first.version, 1);
        assert_eq!(second.name, first.name);
        assert_eq!(lines(&second), [("shirt", 5)]);
        assert_eq!(lines(&third), [("shirt", 5), ("shirt", 1)]);
        assert_eq!((third.version, third.item_count, total(&third)), (3, 6, 60 * EURO));
        assert!(!third.visitor_id.is_empty() && third.customer.is_empty());
        assert_ne!(first.etag, second.etag);
        assert_eq!(shop.get(of(&owner)).await, third);
        assert_eq!(shop.get(named(&first.name)).await, third);
    }

    /// Reduction, tax and rounding appear in the answer as they were calculated.
    async fn a_line_shows_the_parts_of_its_price(shop: Shop) {
        let by_percent = pb::reduction::Reduction::Percent("12.5".into());
        let price = ItemPrice {
            list_price: Some(money("EUR", 13_445_378)),
            tax_rate: "19".into(),
            reduction: Some(pb::Reduction { reduction: Some(by_percent) }),
            ..Default::default()
        };
        let line = ItemInput { price: Some(price.clone()), ..item("shirt", 3) };

        let cart = shop.add(of(&visitor()), line).await;

        let line = &cart.items[0];
        let micros = |money: &Option<pb::Money>| money.as_ref().unwrap().micros;
        assert_eq!(micros(&line.unit_price), 11_764_706);
        assert_eq!(micros(&line.subtotal), 35_290_000);
        assert_eq!(micros(&line.tax), 6_710_000);
        assert_eq!(micros(&line.total), 42 * EURO);
        assert_eq!(line.price, Some(ItemPrice { discountable: Some(true), ..price }));
        assert_eq!(total(&cart), 42 * EURO);
    }

    async fn a_quantity_is_set_and_a_line_is_removed(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 2)).await;
        let name = cart.items[0].name.clone();

        let request =
            pb::UpdateItemRequest { name: name.clone(), quantity: Some(7), ..Default::default() };
        let set = shop.carts().update_item(request).await.unwrap().into_inner();
        let request = pb::RemoveItemRequest { name: name.clone(), ..Default::default() };
        let removed = shop.carts().remove_item(request.clone()).await.unwrap().into_inner();
        let again = shop.carts().remove_item(request).await.unwrap_err();

        assert_eq!(lines(&set), [("shirt", 7)]);
        assert_eq!((lines(&removed), total(&removed), removed.version), (vec![], 0, 3));
        assert_refused(&again, Code::NotFound, ErrorReason::NotFound);
    }

    async fn staff_sets_a_price_by_hand_and_clears_it(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 2)).await;
        let name = cart.items[0].name.clone();
        let by_hand = PriceOverride {
            amount: euros(4),
            reason: "a scratch".into(),
            ..Default::default()
        };
        let request = pb::UpdateItemRequest {
            name: name.clone(),
            price_override: Some(by_hand),
            ..Default::default()
        };

        let storefront = shop.key(&[Role::Storefront]).await;
        let refused = shop.carts_as(&storefront).update_item(request.clone()).await.unwrap_err();
        let given = shop.carts().update_item(request).await.unwrap().into_inner();
        let later = shop.add(named(&cart.name), item("shirt", 1)).await;
        let request =
            pb::UpdateItemRequest { name, clear_price_override: true, ..Default::default() };
        let taken = shop.carts().update_item(request).await.unwrap().into_inner();

        assert_refused(&refused, Code::PermissionDenied, ErrorReason::FieldNotWritable);
        assert_eq!(total(&given), 8 * EURO);
        assert_eq!(given.items[0].discount_reason(), DiscountReason::PriceOverride);
        assert!(given.items[0].price_override.as_ref().unwrap().time.is_some());
        assert_eq!(total(&later), 12 * EURO, "a later addition keeps the price given by hand");
        assert_eq!(total(&taken), 30 * EURO);
    }

    async fn edits_happen_all_at_once_or_not_at_all(shop: Shop) {
        let owner = visitor();
        let edits = vec![Edit::Add(item("shirt", 2)), Edit::Add(item("hat", 1))];
        let request = edit_request(of(&owner), edits);
        let made = shop.carts().edit_cart(request).await.unwrap().into_inner();
        let hat = made.items[1].name.clone();
        let shirt = made.items[0].name.rsplit('/').next().unwrap().to_owned();
        let set = pb::cart_edit::SetQuantity { item: shirt, quantity: 9 };

        let edits = vec![Edit::Set(set.clone()), Edit::Remove(hat), Edit::Remove("x".into())];
        let refused =
            shop.carts().edit_cart(edit_request(of(&owner), edits)).await.unwrap_err();
        let unchanged = shop.get(of(&owner)).await;
        let attributes = Struct { fields: [("gift".to_owned(), Value { kind: Some(Kind::BoolValue(true)) })].into() };
        let edits = vec![Edit::Set(set), Edit::Add(item("sock", 1)), Edit::SetAttributes(attributes.clone())];
        let edited =
            shop.carts().edit_cart(edit_request(named(&made.name), edits)).await.unwrap().into_inner();

        assert_eq!(made.version, 1);
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        assert_eq!(unchanged, made);
        assert_eq!(lines(&edited), [("shirt", 9), ("hat", 1), ("sock", 1)]);
        assert_eq!((edited.version, edited.attributes), (2, Some(attributes)));
    }

    async fn a_refused_edit_is_named_by_its_index(shop: Shop) {
        let owner = visitor();
        let mut foreign = item("hat", 1);
        foreign.price = Some(price(Some(money("USD", EURO))));
        let edits = vec![Edit::Add(item("shirt", 1)), Edit::Add(foreign)];

        let refused = shop.carts().edit_cart(edit_request(of(&owner), edits)).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::CurrencyMismatch);
        assert!(refused.message().starts_with("edits[1].add.price"), "{refused:?}");
        let gone = shop.try_get(of(&owner)).await.unwrap_err();
        assert_refused(&gone, Code::NotFound, ErrorReason::NotFound);
    }

    async fn new_prices_of_the_catalogue_reach_the_lines(shop: Shop) {
        let owner = visitor();
        for variant in ["red", "blue"] {
            shop.add(of(&owner), ItemInput { variant: variant.into(), ..item("shirt", 1) }).await;
        }
        let new = |product: &str, variant: &str, list| {
            pb::update_item_prices_request::ProductPrice {
                product: product.into(),
                variant: variant.into(),
                price: Some(price(euros(list))),
            }
        };
        let prices = vec![new("shirt", "", 11), new("shirt", "blue", 12), new("hat", "", 1)];
        let request =
            pb::UpdateItemPricesRequest { target: of(&owner), prices, ..Default::default() };

        let cart = shop.carts().update_item_prices(request.clone()).await.unwrap().into_inner();
        let again = shop.carts().update_item_prices(request).await.unwrap().into_inner();

        assert_eq!(total(&cart), 23 * EURO);
        assert_eq!(again.version, cart.version, "a call without a change makes no version");
    }

    async fn a_cleared_cart_stays_open(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;

        let request = pb::ClearCartRequest { target: named(&cart.name), ..Default::default() };
        let cleared = shop.carts().clear_cart(request).await.unwrap().into_inner();

        assert_eq!((cleared.items.len(), total(&cleared)), (0, 0));
        assert_eq!(cleared.state(), pb::cart::State::Open);
    }
}
