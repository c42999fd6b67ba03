//! Every call about carts, well and ill.

use clientela::proto::pb::cart_service_client::CartServiceClient;
use clientela::proto::pb::{self, CartTarget, ErrorReason, cart_owner::Owner, cart_target::Target};
use prost_types::FieldMask;

use super::Driver;
use super::plain::{VISITOR, address, attributes};
use crate::harness::Transport;
use crate::watch::item;

fn service(method: &str) -> String {
    format!("CartService/{method}")
}

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
    let mut client =
        CartServiceClient::with_interceptor(driver.channel.clone(), driver.key.clone());
    let client = &mut client;
    driver.secrets.push(VISITOR.into());
    let cart = creations(driver, client).await;
    edits(driver, client, &cart).await;
    readings(driver, client, &cart).await;
    endings(driver, client, &cart).await;
}

async fn creations(driver: &mut Driver, client: &mut CartServiceClient<Transport>) -> pb::Cart {
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
    let method = service("CreateCart");
    let cart = driver
        .call(&method, client.create_cart(create.clone()))
        .await
        .unwrap();
    driver
        .call(&method, client.create_cart(create.clone()))
        .await
        .unwrap();
    let again = pb::CreateCartRequest {
        request_id: String::new(),
        ..create.clone()
    };
    driver
        .refused(
            &method,
            ErrorReason::OpenCartExists,
            client.create_cart(again),
        )
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
            .refused(
                &method,
                ErrorReason::InvalidField,
                client.create_cart(wrong),
            )
            .await;
    }
    cart
}

async fn edits(driver: &mut Driver, client: &mut CartServiceClient<Transport>, cart: &pb::Cart) {
    let target = of_visitor(VISITOR);
    let add = pb::AddItemRequest {
        target: target.clone(),
        item: Some(line("bridle")),
        ..Default::default()
    };
    driver
        .call(&service("AddItem"), client.add_item(add.clone()))
        .await
        .unwrap();
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
    let call = client.add_item(add);
    driver
        .refused(&service("AddItem"), ErrorReason::CurrencyMismatch, call)
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
    driver
        .call(&service("UpdateItem"), client.update_item(update))
        .await
        .unwrap();
    let edit = pb::EditCartRequest {
        target: target.clone(),
        edits: vec![pb::CartEdit {
            edit: Some(pb::cart_edit::Edit::Add(line("stirrup"))),
        }],
        ..Default::default()
    };
    driver
        .call(&service("EditCart"), client.edit_cart(edit))
        .await
        .unwrap();
    let prices = pb::UpdateItemPricesRequest {
        target,
        prices: vec![pb::update_item_prices_request::ProductPrice {
            product: "stirrup".into(),
            price: line("stirrup").price,
            ..Default::default()
        }],
        ..Default::default()
    };
    let call = client.update_item_prices(prices);
    driver
        .call(&service("UpdateItemPrices"), call)
        .await
        .unwrap();
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
    driver
        .call(&service("UpdateCart"), client.update_cart(update))
        .await
        .unwrap();
    let remove = pb::RemoveItemRequest {
        name: cart.items[0].name.clone(),
        ..Default::default()
    };
    driver
        .call(&service("RemoveItem"), client.remove_item(remove))
        .await
        .unwrap();
}

async fn readings(driver: &mut Driver, client: &mut CartServiceClient<Transport>, cart: &pb::Cart) {
    let get = pb::GetCartRequest {
        target: of_visitor(VISITOR),
    };
    let read = driver
        .call(&service("GetCart"), client.get_cart(get))
        .await
        .unwrap();
    assert_eq!(read.name, cart.name);
    let get = pb::GetCartRequest {
        target: of_visitor("zebra-visitor-of-no-cart"),
    };
    driver
        .refused(
            &service("GetCart"),
            ErrorReason::NotFound,
            client.get_cart(get),
        )
        .await;
    let list = pb::ListCartsRequest {
        filter: format!("visitor_id = \"{}\"", cart.visitor_id),
        ..Default::default()
    };
    driver
        .call(&service("ListCarts"), client.list_carts(list))
        .await
        .unwrap();
    let list = pb::ListCartsRequest {
        filter: "zebra = 1".into(),
        ..Default::default()
    };
    driver
        .refused(
            &service("ListCarts"),
            ErrorReason::InvalidFilter,
            client.list_carts(list),
        )
        .await;
    let watch = pb::WatchCartRequest {
        target: of_visitor("zebra"),
        ..Default::default()
    };
    driver
        .refused(
            &service("WatchCart"),
            ErrorReason::InvalidField,
            client.watch_cart(watch),
        )
        .await;
    let options = pb::WatchOptions {
        resume_token: "zebra".into(),
        ..Default::default()
    };
    let watch = pb::WatchCartsRequest {
        options: Some(options),
        ..Default::default()
    };
    let call = client.watch_carts(watch);
    driver
        .refused(
            &service("WatchCarts"),
            ErrorReason::InvalidResumeToken,
            call,
        )
        .await;
}

async fn endings(driver: &mut Driver, client: &mut CartServiceClient<Transport>, cart: &pb::Cart) {
    let customers =
        clientela::proto::pb::customer_service_client::CustomerServiceClient::with_interceptor(
            driver.channel.clone(),
            driver.key.clone(),
        )
        .list_customers(pb::ListCustomersRequest::default())
        .await
        .unwrap()
        .into_inner()
        .customers;
    let assign = pb::AssignCartRequest {
        target: of_visitor(VISITOR),
        customer: customers[0].name.clone(),
        ..Default::default()
    };
    driver
        .call(&service("AssignCart"), client.assign_cart(assign))
        .await
        .unwrap();
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
    let call = client.order_cart(other);
    driver
        .refused(&service("OrderCart"), ErrorReason::TotalChanged, call)
        .await;
    driver
        .call(&service("OrderCart"), client.order_cart(order))
        .await
        .unwrap();
    let delete = pb::DeleteCartRequest {
        target: Some(CartTarget {
            target: Some(Target::Cart(cart.name.clone())),
        }),
        ..Default::default()
    };
    let call = client.delete_cart(delete.clone());
    driver
        .refused(&service("DeleteCart"), ErrorReason::CartNotOpen, call)
        .await;
    let reopen = pb::ReopenCartRequest {
        name: cart.name.clone(),
        ..Default::default()
    };
    driver
        .call(&service("ReopenCart"), client.reopen_cart(reopen))
        .await
        .unwrap();
    let clear = pb::ClearCartRequest {
        target: delete.target.clone(),
        ..Default::default()
    };
    driver
        .call(&service("ClearCart"), client.clear_cart(clear))
        .await
        .unwrap();
    driver
        .call(&service("DeleteCart"), client.delete_cart(delete))
        .await
        .unwrap();
}
