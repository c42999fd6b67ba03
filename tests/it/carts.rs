//! Tests of carts over the network, on both engines.

pub mod abandonment;
mod assign;
mod concurrency;
mod expiry;
mod figures;
mod freeze;
mod held;
mod hidden;
mod items;
mod list;
mod lock;
mod merge;
mod merged;
mod moving;
mod named;
mod order;
mod prices;
mod races;
mod recover;
mod refusals;
mod retention;
mod retention_hold;
mod saved;
mod sign_in;
mod slots;
mod update;
mod upkeep;

use clientela::proto::pb::{
    self, AddItemRequest, CartOwner, CartTarget, ItemInput, ItemPrice, Money, cart_owner,
    cart_target::Target,
};
use tonic::Status;

use crate::harness::{Shop, unique};

/// Micros of one euro.
pub const EURO: i64 = 1_000_000;

pub fn euros(euros: i64) -> Option<Money> {
    Some(money("EUR", euros * EURO))
}

pub fn money(currency: &str, micros: i64) -> Money {
    Money {
        currency_code: currency.into(),
        micros,
    }
}

/// A visitor that only this test uses.
pub fn visitor() -> CartOwner {
    let token = format!("a visitor of the tests, number {}", unique());
    CartOwner {
        owner: Some(cart_owner::Owner::Visitor(token)),
        slot: String::new(),
    }
}

pub fn customer(name: &str) -> CartOwner {
    CartOwner {
        owner: Some(cart_owner::Owner::Customer(name.into())),
        slot: String::new(),
    }
}

/// Creates a customer and returns its name.
pub async fn new_customer(shop: &Shop) -> String {
    customer_in(shop, "").await
}

/// Creates a customer with this default group and returns its name.
pub async fn customer_in(shop: &Shop, default_group: &str) -> String {
    let customer = pb::Customer {
        email: format!("ada{}@example.test", unique()),
        default_group: default_group.into(),
        ..Default::default()
    };
    let request = pb::CreateCustomerRequest {
        customer: Some(customer),
        ..Default::default()
    };
    let made = shop.customers().create_customer(request).await;
    made.expect("a customer").into_inner().name
}

/// Creates a second shop in the installation and returns a key of it.
pub async fn key_of_another_shop(shop: &Shop) -> String {
    let request = pb::CreateShopRequest {
        shop_id: "second".into(),
        shop: Some(pb::Shop::default()),
        ..Default::default()
    };
    let made = shop.admin_as(&shop.operator_key).create_shop(request).await;
    made.expect("a second shop");
    shop.key_of("second", &[pb::Role::Admin]).await
}

/// Returns the metadata of a refusal.
pub fn metadata(status: &Status) -> std::collections::HashMap<String, String> {
    use tonic_types::StatusExt as _;
    let info = status.get_details_error_info();
    info.expect("every refusal has an ErrorInfo").metadata
}

pub fn in_slot(owner: &CartOwner, slot: &str) -> CartOwner {
    CartOwner {
        slot: slot.into(),
        ..owner.clone()
    }
}

pub fn of(owner: &CartOwner) -> Option<CartTarget> {
    Some(CartTarget {
        target: Some(Target::Owner(owner.clone())),
    })
}

pub fn named(name: &str) -> Option<CartTarget> {
    Some(CartTarget {
        target: Some(Target::Cart(name.into())),
    })
}

/// A price of one piece.
pub fn price(list_price: Option<Money>) -> ItemPrice {
    ItemPrice {
        list_price,
        ..Default::default()
    }
}

/// A line of a product that costs 10 EUR a piece.
pub fn item(product: &str, quantity: i32) -> ItemInput {
    let price = Some(price(euros(10)));
    ItemInput {
        product: product.into(),
        price,
        quantity,
        ..Default::default()
    }
}

/// The calls that most tests make with the shop's own key.
pub trait Carts {
    async fn try_add(
        &self,
        target: Option<CartTarget>,
        item: ItemInput,
    ) -> Result<pb::Cart, Status>;

    async fn add(&self, target: Option<CartTarget>, item: ItemInput) -> pb::Cart {
        self.try_add(target, item).await.expect("an addition")
    }

    async fn try_get(&self, target: Option<CartTarget>) -> Result<pb::Cart, Status>;

    async fn get(&self, target: Option<CartTarget>) -> pb::Cart {
        self.try_get(target).await.expect("the cart is there")
    }

    async fn try_order(
        &self,
        target: Option<CartTarget>,
        reference: &str,
    ) -> Result<pb::Cart, Status>;
}

impl Carts for Shop {
    async fn try_add(
        &self,
        target: Option<CartTarget>,
        item: ItemInput,
    ) -> Result<pb::Cart, Status> {
        let request = AddItemRequest {
            target,
            item: Some(item),
            ..Default::default()
        };
        self.carts()
            .add_item(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn try_get(&self, target: Option<CartTarget>) -> Result<pb::Cart, Status> {
        let request = pb::GetCartRequest { target };
        self.carts()
            .get_cart(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn try_order(
        &self,
        target: Option<CartTarget>,
        reference: &str,
    ) -> Result<pb::Cart, Status> {
        let order_reference = reference.into();
        let request = pb::OrderCartRequest {
            target,
            order_reference,
            ..Default::default()
        };
        self.carts()
            .order_cart(request)
            .await
            .map(tonic::Response::into_inner)
    }
}

/// Changes the named settings of the shop.
pub async fn set(shop: &Shop, paths: &[&str], settings: pb::ShopSettings) {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = pb::UpdateShopSettingsRequest {
        settings: Some(settings),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    };
    let updated = shop.admin().update_shop_settings(request).await;
    updated.expect("settings can be changed");
}

/// The products of a cart with their quantities.
pub fn lines(cart: &pb::Cart) -> Vec<(&str, i32)> {
    cart.items
        .iter()
        .map(|item| (item.product.as_str(), item.quantity))
        .collect()
}

pub fn total(cart: &pb::Cart) -> i64 {
    cart.total.as_ref().map_or(0, |total| total.micros)
}
