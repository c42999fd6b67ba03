//! What the carts of these tests are made of.

use clientela::proto::pb::{self, ItemInput, ItemPrice, customer::Kind};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _};

use crate::carts::{item, money};
use crate::customers::{creation, group, person};
use crate::filters::values::{TEXTS, attributes, maybe};
use crate::harness::Shop;

pub(super) const PRODUCTS: &[&str] = &["shirt", "Shirt", "shirt-2", "hat", "x = y", "T恤"];
pub(super) const CUSTOMERS: &[&str] = &["ada", "bob", "guest"];
pub(super) const STOREFRONTS: &[&str] = &["paris", "lyon", "b2b"];
pub(super) const LANGUAGES: &[&str] = &["fr", "en", "pt-BR"];
pub(super) const METHODS: &[&str] = &["bike", "Bike", "a\\b", "it's"];
/// What can be changed of a cart.
pub(super) const CHANGEABLE: [&str; 6] = [
    "note",
    "shipping_method",
    "language_code",
    "attributes",
    "charges",
    "adjustments",
];

/// What can be changed of a cart, at random.
pub(super) fn details(rng: &mut StdRng, currency: &str) -> pb::Cart {
    let charge = pb::Charge {
        kind: "shipping".into(),
        amount: Some(money(currency, rng.random_range(0..9) * 1_000_000)),
        ..Default::default()
    };
    let voucher = pb::Adjustment {
        kind: "voucher".into(),
        amount: Some(money(currency, -rng.random_range(0..9) * 1_000_000)),
        ..Default::default()
    };
    pb::Cart {
        note: maybe(rng, TEXTS).into(),
        shipping_method: maybe(rng, METHODS).into(),
        language_code: maybe(rng, LANGUAGES).into(),
        attributes: attributes(rng),
        charges: if rng.random() {
            vec![charge]
        } else {
            Vec::new()
        },
        adjustments: if rng.random() {
            vec![voucher]
        } else {
            Vec::new()
        },
        ..Default::default()
    }
}

/// A line at random.
pub(super) fn line(rng: &mut impl Rng, currency: &str) -> ItemInput {
    let prices = [0, 10_000, 9_990_000, 10_000_000, 25_500_000];
    let price = ItemPrice {
        list_price: Some(money(currency, *prices.choose(rng).unwrap())),
        tax_rate: "20".into(),
        ..Default::default()
    };
    ItemInput {
        price: Some(price),
        ..item(PRODUCTS.choose(rng).unwrap(), rng.random_range(1..4))
    }
}

/// The [`CUSTOMERS`].
pub(super) async fn people(shop: &Shop) {
    let vip = pb::Group {
        discount_percent: "12.5".into(),
        ..Default::default()
    };
    let vip = group(shop, "vip", vip).await;
    let ada = pb::Customer {
        last_name: "Ångström".into(),
        groups: vec![vip, "groups/customer".into()],
        ..person("Ada")
    };
    let guest = pb::Customer {
        kind: Kind::Guest.into(),
        first_name: String::new(),
        ..person("Guest")
    };
    for (id, customer) in CUSTOMERS.iter().zip([ada, person("Bob"), guest]) {
        let request = pb::CreateCustomerRequest {
            customer_id: (*id).into(),
            ..creation(customer)
        };
        shop.customers().create_customer(request).await.unwrap();
    }
}
