//! Tests the guarantees of the feed on both engines.

mod clock;
mod fold;
pub mod history;
mod life;
mod liveness;
pub mod order;
mod owner;
mod privacy;
mod resume;
mod snapshot;
mod stage;
mod tokens;
mod turns;
pub mod writers;

use std::collections::BTreeMap;

use clientela::proto::pb::{
    self, AddItemRequest, CartOwner, CartTarget, ItemInput, ItemPrice, Money, WatchCartsRequest,
    WatchOptions, cart_owner::Owner, cart_target::Target,
};

use crate::harness::{Shop, Transport};
use clientela::proto::pb::cart_service_client::CartServiceClient;

/// Returns an owner for a visitor that only this test uses.
pub fn owner(who: &str) -> CartOwner {
    CartOwner {
        owner: Some(Owner::Visitor(visitor_token(who))),
        slot: String::new(),
    }
}

/// Returns the token of that visitor.
pub fn visitor_token(who: &str) -> String {
    format!("a visitor of the tests, {who}")
}

/// Returns the open cart of that visitor as a target.
pub fn visitor(who: &str) -> CartTarget {
    CartTarget {
        target: Some(Target::Owner(owner(who))),
    }
}

/// Returns a line of a product for 10 EUR.
pub fn item(product: &str, quantity: i32) -> ItemInput {
    let list_price = Some(Money {
        currency_code: "EUR".into(),
        micros: 10_000_000,
    });
    ItemInput {
        product: product.into(),
        price: Some(ItemPrice {
            list_price,
            ..Default::default()
        }),
        quantity,
        ..Default::default()
    }
}

/// Adds a line to a visitor's cart.
pub async fn add(
    client: &mut CartServiceClient<Transport>,
    target: &CartTarget,
    product: &str,
) -> pb::Cart {
    let request = AddItemRequest {
        target: Some(target.clone()),
        item: Some(item(product, 1)),
        ..Default::default()
    };
    client
        .add_item(request)
        .await
        .expect("the line is added")
        .into_inner()
}

/// Removes all lines from a visitor's cart.
pub async fn clear(shop: &Shop, target: &CartTarget) {
    let request = pb::ClearCartRequest {
        target: Some(target.clone()),
        ..Default::default()
    };
    shop.carts()
        .clear_cart(request)
        .await
        .expect("the cart is cleared");
}

/// Returns a request for every version.
pub fn every() -> WatchCartsRequest {
    with(WatchOptions {
        delivery_mode: pb::DeliveryMode::Every.into(),
        ..Default::default()
    })
}

/// Returns a request with these options.
pub fn with(options: WatchOptions) -> WatchCartsRequest {
    WatchCartsRequest {
        options: Some(options),
        ..Default::default()
    }
}

/// Returns a request for the matches of a filter, in every version.
pub fn filtered(filter: &str) -> WatchCartsRequest {
    WatchCartsRequest {
        filter: filter.into(),
        ..every()
    }
}

/// Lists all carts, by their names.
pub async fn state(shop: &Shop) -> BTreeMap<String, pb::Cart> {
    let carts = listed(shop).await.into_iter();
    carts.map(|cart| (cart.name.clone(), cart)).collect()
}

/// Lists all carts.
pub async fn listed(shop: &Shop) -> Vec<pb::Cart> {
    let mut carts = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListCartsRequest {
            page_token,
            page_size: 1_000,
            ..Default::default()
        };
        let page = shop
            .carts()
            .list_carts(request)
            .await
            .expect("a page")
            .into_inner();
        carts.extend(page.carts);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return carts;
        }
    }
}
