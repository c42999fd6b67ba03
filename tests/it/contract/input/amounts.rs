//! Tests amounts that a cart refuses, on every path by which money reaches it: amounts in another
//! currency, and amounts that exceed the largest sum that every client can represent.

use clientela::limits::{CART_ITEMS_MAX, MICROS_MAX};
use clientela::proto::pb::{self, ErrorReason};
use prost_reflect::DynamicMessage;
use tonic::Code;

use super::super::call::method;
use super::super::messages::reflect;
use super::super::world::World;
use super::{Bad, metadata, refused};
use crate::carts::{EURO, item, money, named};
use crate::harness::unique;
use crate::on_both_engines;

fn priced(money: pb::Money) -> pb::ItemPrice {
    pb::ItemPrice {
        list_price: Some(money),
        ..Default::default()
    }
}

fn costing(price: pb::ItemPrice, quantity: i32) -> pb::ItemInput {
    pb::ItemInput {
        price: Some(price),
        ..item("dear", quantity)
    }
}

fn edits(cart: &pb::Cart, edits: Vec<pb::cart_edit::Edit>) -> DynamicMessage {
    let edits = edits
        .into_iter()
        .map(|edit| pb::CartEdit { edit: Some(edit) });
    reflect(&pb::EditCartRequest {
        target: named(&cart.name),
        edits: edits.collect(),
        ..Default::default()
    })
}

fn creation(cart: pb::Cart, items: Vec<pb::ItemInput>) -> DynamicMessage {
    let token = format!("a visitor of the tests, number {}", unique());
    let owner = pb::CartOwner {
        owner: Some(pb::cart_owner::Owner::Visitor(token)),
        ..Default::default()
    };
    let cart = Some(cart);
    reflect(&pb::CreateCartRequest {
        owner: Some(owner),
        cart,
        items,
        ..Default::default()
    })
}

fn charge(amount: pb::Money) -> pb::Charge {
    pb::Charge {
        kind: "shipping".into(),
        amount: Some(amount),
        ..Default::default()
    }
}

fn adjustment(amount: pb::Money) -> pb::Adjustment {
    pb::Adjustment {
        kind: "voucher".into(),
        amount: Some(amount),
        ..Default::default()
    }
}

/// Returns one request for each path by which `price` or `amount` reaches a cart, with the field whose
/// currency is checked.
fn ways(
    cart: &pb::Cart,
    price: &pb::ItemPrice,
    amount: &pb::Money,
) -> Vec<(&'static str, DynamicMessage, &'static str)> {
    let target = || named(&cart.name);
    let update = |change: pb::Cart| {
        let cart = pb::Cart {
            name: cart.name.clone(),
            ..change
        };
        reflect(&pb::UpdateCartRequest {
            cart: Some(cart),
            ..Default::default()
        })
    };
    let (charges, adjustments) = (
        vec![charge(amount.clone())],
        vec![adjustment(amount.clone())],
    );
    let charged = pb::Cart {
        charges,
        ..Default::default()
    };
    let adjusted = pb::Cart {
        adjustments,
        ..Default::default()
    };
    let in_euros = |cart: &pb::Cart| pb::Cart {
        currency_code: "EUR".into(),
        ..cart.clone()
    };
    let product_price = pb::update_item_prices_request::ProductPrice {
        product: cart.items[0].product.clone(),
        price: Some(price.clone()),
        ..Default::default()
    };
    let by_hand = pb::PriceOverride {
        amount: Some(amount.clone()),
        reason: "a friend".into(),
        ..Default::default()
    };
    let add = costing(price.clone(), 1);
    vec![
        (
            "AddItem",
            reflect(&pb::AddItemRequest {
                target: target(),
                item: Some(add.clone()),
                ..Default::default()
            }),
            "item.price.list_price.currency_code",
        ),
        (
            "EditCart",
            edits(
                cart,
                vec![
                    pb::cart_edit::Edit::Add(item("cheap", 1)),
                    pb::cart_edit::Edit::Add(add.clone()),
                ],
            ),
            "edits[1].add.price.list_price.currency_code",
        ),
        (
            "UpdateItemPrices",
            reflect(&pb::UpdateItemPricesRequest {
                target: target(),
                prices: vec![product_price],
                ..Default::default()
            }),
            "prices[0].price.list_price.currency_code",
        ),
        (
            "UpdateItem",
            reflect(&pb::UpdateItemRequest {
                name: cart.items[0].name.clone(),
                quantity: Some(2),
                price_override: Some(by_hand),
                ..Default::default()
            }),
            "price_override.amount.currency_code",
        ),
        (
            "UpdateCart",
            update(charged.clone()),
            "cart.charges[0].amount.currency_code",
        ),
        (
            "UpdateCart",
            update(adjusted.clone()),
            "cart.adjustments[0].amount.currency_code",
        ),
        (
            "CreateCart",
            creation(in_euros(&pb::Cart::default()), vec![item("cheap", 1), add]),
            "items[1].price.list_price.currency_code",
        ),
        (
            "CreateCart",
            creation(in_euros(&charged), vec![item("cheap", 1)]),
            "cart.charges[0].amount.currency_code",
        ),
        (
            "CreateCart",
            creation(in_euros(&adjusted), vec![item("cheap", 1)]),
            "cart.adjustments[0].amount.currency_code",
        ),
    ]
}

on_both_engines! {
    async fn no_request_mixes_currencies(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "currencies");
        let cart = world.cart("").await;
        let dollars = money("USD", EURO);
        let all = ways(&cart, &priced(dollars.clone()), &dollars);
        // The reduction of a price has a currency of its own.
        let reduced = pb::ItemPrice {
            reduction: Some(pb::Reduction {
                reduction: Some(pb::reduction::Reduction::Amount(money("USD", 1))),
            }),
            ..priced(money("EUR", EURO))
        };
        let reduced = ways(&cart, &reduced, &dollars);
        let mut fields = Vec::new();
        let mut bad = Vec::new();
        for (rpc, request, field) in all.into_iter().chain(reduced) {
            bad.push(Bad::new(&method(rpc), request, ErrorReason::CurrencyMismatch));
            fields.push(field);
        }

        for (at, (bad, status)) in refused(&shop, &world, bad).await.into_iter().enumerate() {
            assert_eq!(metadata(&status, "currency_code"), "EUR", "{}", bad.method.name());
            let field = metadata(&status, "field");
            let of_reduction = fields[at].replace("list_price", "reduction.amount");
            let second_round = at >= fields.len() / 2;
            assert_eq!(field, if second_round { of_reduction } else { fields[at].to_owned() });
        }
    }

    async fn no_request_exceeds_the_largest_amount(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "amounts");
        let cart = world.cart("").await;
        let largest = money("EUR", MICROS_MAX / EURO * EURO);
        let too_large = |rpc, request| Bad::new(&method(rpc), request, ErrorReason::AmountTooLarge);
        let mut all = Vec::new();
        let taxed = pb::ItemPrice { tax_rate: "20".into(), ..priced(largest.clone()) };
        for (rpc, request, _) in ways(&cart, &taxed, &largest) {
            all.push(too_large(rpc, request));
        }
        // A large price and a large quantity exceed it as a product.
        let many = costing(priced(money("EUR", MICROS_MAX / 1_000_000)), 1_000_000);
        let price = priced(money("EUR", MICROS_MAX / EURO * EURO / 2));
        let halves = [costing(price.clone(), 1), costing(price, 2)];
        all.push(too_large("CreateCart", creation(pb::Cart::default(), halves.to_vec())));
        let [one, more] = halves.map(pb::cart_edit::Edit::Add);
        all.push(too_large("EditCart", edits(&cart, vec![one, more])));
        let taxed = pb::ItemPrice { tax_rate: "1".into(), ..many.price.clone().unwrap() };
        let many = vec![costing(taxed, 1_000_000)];
        all.push(too_large("CreateCart", creation(pb::Cart::default(), many)));
        let charges = vec![charge(largest.clone()), charge(largest)];
        let charged = pb::Cart { charges, ..Default::default() };
        all.push(too_large("CreateCart", creation(charged, vec![])));

        refused(&shop, &world, all).await;
    }

    async fn no_request_exceeds_five_hundred_lines(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "lines");
        let items = (0..CART_ITEMS_MAX).map(|number| item(&format!("p{number}"), 1)).collect();
        let full = pb::CreateCartRequest {
            owner: Some(crate::carts::visitor()),
            items,
            ..Default::default()
        };
        let full = shop.carts().create_cart(full).await.unwrap().into_inner();
        let one_more = |rpc, request| {
            let bad = Bad::new(&method(rpc), request, ErrorReason::CartTooLarge);
            bad.with(Code::FailedPrecondition)
        };
        let add = |product: &str| pb::cart_edit::Edit::Add(item(product, 1));
        let all = vec![
            one_more("AddItem", reflect(&pb::AddItemRequest {
                target: named(&full.name),
                item: Some(item("one more", 1)),
                ..Default::default()
            })),
            one_more("EditCart", edits(&full, vec![add("p1"), add("one more")])),
        ];

        for (_, status) in refused(&shop, &world, all).await {
            assert_eq!(metadata(&status, "limit"), CART_ITEMS_MAX.to_string());
        }
        // An edit that first removes a line fits.
        let remove = pb::cart_edit::Edit::Remove(full.items[0].name.clone());
        let request = pb::EditCartRequest {
            target: named(&full.name),
            edits: [remove, add("one more")].map(|edit| pb::CartEdit { edit: Some(edit) }).to_vec(),
            ..Default::default()
        };
        let edited = shop.carts().edit_cart(request).await.unwrap().into_inner();
        assert_eq!(edited.items.len(), CART_ITEMS_MAX);
    }
}
