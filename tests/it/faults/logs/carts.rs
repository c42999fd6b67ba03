//! Calls about carts, successful and refused.

use clientela::proto::pb::{self, CartTarget, ErrorReason, cart_owner::Owner, cart_target::Target};
use prost_types::FieldMask;

use super::driver::Driver;
use super::plain::{VISITOR, address, attributes};
use crate::specimens::text;
use crate::watch::item;

fn owner(token: &str) -> pb::CartOwner {
    pb::CartOwner {
        owner: Some(Owner::Visitor(token.into())),
        slot: String::new(),
    }
}

fn of_visitor(token: &str) -> Option<CartTarget> {
    Some(CartTarget {
        target: Some(Target::Owner(owner(token))),
    })
}

fn line(product: &str) -> pb::ItemInput {
    pb::ItemInput {
        display_name: "a saddle for Zebra".into(),
        attributes: attributes(),
        ..item(product, 2)
    }
}

pub async fn drive(driver: &mut Driver) {
    driver.secrets.push(VISITOR.into());
    let cart = creations(driver).await;
    edits(driver, &cart).await;
    readings(driver, &cart).await;
    endings(driver, &cart).await;
}

async fn creations(driver: &mut Driver) -> pb::Cart {
    let create = pb::CreateCartRequest {
        owner: Some(owner(VISITOR)),
        cart: Some(pb::Cart {
            note: "leave it with Zebra next door".into(),
            delivery_address: Some(address()),
            billing_address: Some(address()),
            attributes: attributes(),
            currency_code: "EUR".into(),
            ..Default::default()
        }),
        items: vec![line("saddle")],
        request_id: "a cart".into(),
        ..Default::default()
    };
    let cart = driver.done("CreateCart", &create).await;
    driver.done("CreateCart", &create).await;
    let again = pb::CreateCartRequest {
        request_id: String::new(),
        ..create.clone()
    };
    driver
        .refused("CreateCart", ErrorReason::OpenCartExists, &again)
        .await;
    for wrong in [
        pb::CreateCartRequest {
            owner: Some(owner("zebra")),
            ..create.clone()
        },
        pb::CreateCartRequest {
            cart: Some(pb::Cart {
                note: "zebra ".repeat(1_000),
                ..Default::default()
            }),
            ..create
        },
    ] {
        driver
            .refused("CreateCart", ErrorReason::InvalidField, &wrong)
            .await;
    }
    cart.transcode_to().expect("a cart")
}

async fn edits(driver: &mut Driver, cart: &pb::Cart) {
    let target = of_visitor(VISITOR);
    let add = pb::AddItemRequest {
        target: target.clone(),
        item: Some(line("bridle")),
        ..Default::default()
    };
    driver.done("AddItem", &add).await;
    let mut dollars = line("bridle");
    dollars
        .price
        .as_mut()
        .unwrap()
        .list_price
        .as_mut()
        .unwrap()
        .currency_code = "USD".into();
    let add = pb::AddItemRequest {
        item: Some(dollars),
        ..add
    };
    driver
        .refused("AddItem", ErrorReason::CurrencyMismatch, &add)
        .await;
    let override_by_hand = pb::PriceOverride {
        amount: Some(pb::Money {
            currency_code: "EUR".into(),
            micros: 1_000_000,
        }),
        reason: "Zebra asked nicely".into(),
        ..Default::default()
    };
    let update = pb::UpdateItemRequest {
        name: cart.items[0].name.clone(),
        price_override: Some(override_by_hand),
        ..Default::default()
    };
    driver.done("UpdateItem", &update).await;
    let edit = pb::EditCartRequest {
        target: target.clone(),
        edits: vec![pb::CartEdit {
            edit: Some(pb::cart_edit::Edit::Add(line("stirrup"))),
        }],
        ..Default::default()
    };
    driver.done("EditCart", &edit).await;
    let prices = pb::UpdateItemPricesRequest {
        target,
        prices: vec![pb::update_item_prices_request::ProductPrice {
            product: "stirrup".into(),
            price: line("stirrup").price,
            ..Default::default()
        }],
        ..Default::default()
    };
    driver.done("UpdateItemPrices", &prices).await;
    let update = pb::UpdateCartRequest {
        cart: Some(pb::Cart {
            name: cart.name.clone(),
            note: "or with Quagga".into(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["note".into()],
        }),
        ..Default::default()
    };
    driver.done("UpdateCart", &update).await;
    let remove = pb::RemoveItemRequest {
        name: cart.items[0].name.clone(),
        ..Default::default()
    };
    driver.done("RemoveItem", &remove).await;
}

async fn readings(driver: &mut Driver, cart: &pb::Cart) {
    let get = pb::GetCartRequest {
        target: of_visitor(VISITOR),
    };
    let read = driver.done("GetCart", &get).await;
    assert_eq!(text(&read, "name"), cart.name);
    let get = pb::GetCartRequest {
        target: of_visitor("zebra-visitor-of-no-cart"),
    };
    driver.refused("GetCart", ErrorReason::NotFound, &get).await;
    let list = pb::ListCartsRequest {
        filter: format!("visitor_id = \"{}\"", cart.visitor_id),
        ..Default::default()
    };
    driver.done("ListCarts", &list).await;
    let list = pb::ListCartsRequest {
        filter: "zebra = 1".into(),
        ..Default::default()
    };
    driver
        .refused("ListCarts", ErrorReason::InvalidFilter, &list)
        .await;
    let watch = pb::WatchCartRequest {
        target: of_visitor("zebra"),
        ..Default::default()
    };
    driver
        .refused("WatchCart", ErrorReason::InvalidField, &watch)
        .await;
    let options = pb::WatchOptions {
        resume_token: "zebra".into(),
        ..Default::default()
    };
    let watch = pb::WatchCartsRequest {
        options: Some(options),
        ..Default::default()
    };
    driver
        .refused("WatchCarts", ErrorReason::InvalidResumeToken, &watch)
        .await;
}

async fn endings(driver: &mut Driver, cart: &pb::Cart) {
    let customers = driver
        .connection
        .customers()
        .list_customers(pb::ListCustomersRequest::default())
        .await;
    let customers = customers.unwrap().into_inner().customers;
    let assign = pb::AssignCartRequest {
        target: of_visitor(VISITOR),
        customer: customers[0].name.clone(),
        ..Default::default()
    };
    driver.done("AssignCart", &assign).await;
    let order = pb::OrderCartRequest {
        target: Some(CartTarget {
            target: Some(Target::Cart(cart.name.clone())),
        }),
        order_reference: "1001".into(),
        ..Default::default()
    };
    let other = pb::OrderCartRequest {
        expected_total: Some(pb::Money {
            currency_code: "EUR".into(),
            micros: 1,
        }),
        ..order.clone()
    };
    driver
        .refused("OrderCart", ErrorReason::TotalChanged, &other)
        .await;
    driver.done("OrderCart", &order).await;
    let delete = pb::DeleteCartRequest {
        target: Some(CartTarget {
            target: Some(Target::Cart(cart.name.clone())),
        }),
        ..Default::default()
    };
    driver
        .refused("DeleteCart", ErrorReason::CartNotOpen, &delete)
        .await;
    let reopen = pb::ReopenCartRequest {
        name: cart.name.clone(),
        ..Default::default()
    };
    driver.done("ReopenCart", &reopen).await;
    let clear = pb::ClearCartRequest {
        target: delete.target.clone(),
        ..Default::default()
    };
    driver.done("ClearCart", &clear).await;
    driver.done("DeleteCart", &delete).await;
}
