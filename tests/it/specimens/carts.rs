//! Carts of visitors, guests and customers, in several currencies, open and ordered.

use clientela::carts::TABLE;
use clientela::filter::Schema;
use clientela::proto::pb::{
    self, ItemInput, ItemPrice, assign_cart_request::IfOpenCartExists, cart::State, customer::Kind,
};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _};

use super::random::{ENTRIES, TEXTS, attributes, maybe};
use super::{Rpcs as _, Specimen, Way, number_of};
use crate::carts::{customer, in_slot, item, money, named, visitor};
use crate::contract::call::method;
use crate::contract::messages::reflect;
use crate::contract::world::World;
use crate::customers::{creation, group, person};
use crate::harness::{Connection, Shop, unique};

pub struct Carts;

const PRODUCTS: &[&str] = &["shirt", "Shirt", "shirt-2", "hat", "x = y", "T恤"];
const CUSTOMERS: &[&str] = &["ada", "bob", "guest"];
const STOREFRONTS: &[&str] = &["paris", "lyon", "b2b"];
const LANGUAGES: &[&str] = &["fr", "en", "pt-BR"];
const METHODS: &[&str] = &["bike", "Bike", "a\\b", "it's"];
const CURRENCIES: [&str; 4] = ["EUR", "JPY", "EUR", "USD"];

impl Specimen for Carts {
    fn pattern(&self) -> &'static str {
        "carts/{id}"
    }

    fn message(&self) -> &'static str {
        "Cart"
    }

    fn sent(&self, text: &str) -> DynamicMessage {
        reflect(&pb::Cart {
            note: text.to_owned(),
            ..Default::default()
        })
    }

    /// Returns a cart with one line for the visitor whose token is the text.
    fn plain(&self, text: &str) -> DynamicMessage {
        reflect(&creation_of(crate::watch::owner(text), text))
    }

    /// Returns a cart of the world's customer, in a slot of its own.
    fn whole<'w>(&'w self, world: &'w World, text: &'w str) -> LocalBoxFuture<'w, DynamicMessage> {
        let whole = async move {
            let owner = customer(&world.name("customers/{id}").await);
            let owner = in_slot(&owner, &format!("slot-{}", unique()));
            reflect(&creation_of(owner, text))
        };
        whole.boxed_local()
    }

    fn next(&self, name: &str, number: u64) -> (MethodDescriptor, DynamicMessage) {
        let request = pb::AddItemRequest {
            target: named(name),
            item: Some(item(&format!("p{}", number % 5), 1)),
            ..Default::default()
        };
        (method("AddItem"), reflect(&request))
    }

    fn log_kind(&self) -> i64 {
        3
    }

    fn ways(&self) -> &'static [Way] {
        &[Way::One, Way::Owner, Way::All, Way::Names, Way::Filter]
    }

    fn always(&self) -> &'static str {
        "item_count > 0"
    }

    fn schema(&self) -> Option<&'static Schema> {
        Some(TABLE.schema())
    }

    /// Creates the [`CUSTOMERS`].
    fn prepare<'s>(&'s self, shop: &'s Shop) -> LocalBoxFuture<'s, ()> {
        people(shop).boxed_local()
    }

    fn random(&self, rng: &mut StdRng, number: u64) -> DynamicMessage {
        reflect(&details(rng, currency(number)))
    }

    fn any(&self, rng: &mut StdRng, number: u64) -> DynamicMessage {
        let currency = currency(number);
        let owner = if rng.random() {
            in_slot(&visitor(), ["main", "gift"].choose(rng).expect("some"))
        } else {
            let name = format!("customers/{}", CUSTOMERS.choose(rng).expect("some"));
            in_slot(&customer(&name), &format!("s{number}"))
        };
        let cart = pb::Cart {
            storefront: maybe(rng, STOREFRONTS).into(),
            currency_code: currency.into(),
            ..details(rng, currency)
        };
        let lines = rng.random_range(0..4);
        reflect(&pb::CreateCartRequest {
            owner: Some(owner),
            cart: Some(cart),
            items: (0..lines).map(|_| line(rng, currency)).collect(),
            ..Default::default()
        })
    }

    fn changeable(&self) -> Vec<&'static str> {
        vec![
            "note",
            "shipping_method",
            "language_code",
            "attributes",
            "charges",
            "adjustments",
        ]
    }

    fn literals(&self, path: &str) -> &'static [&'static str] {
        match path {
            "name" | "number" | "visitor_id" => &["0", "carts/none", "zz"],
            "customer" => &["customers/ada", "customers/bob", "customers/none"],
            "storefront" => STOREFRONTS,
            "slot" => &["main", "main-2", "s7", "gift"],
            "currency_code" => &["EUR", "JPY", "USD", "AAA"],
            "item_count" => &["0", "2", "-1", "9223372036854775807"],
            "subtotal" | "discount" | "tax" | "total" => {
                &["0 EUR", "10.00 EUR", "9.99 USD", "10 JPY"]
            }
            "products" => PRODUCTS,
            "order_reference" => &["order 1", "ORDER"],
            "shipping_method" => METHODS,
            "language_code" => LANGUAGES,
            "note" => TEXTS,
            "customer_summary.display_name" => &["Ada Ångström", "Bob", "ada angstrom"],
            "customer_summary.groups" => &["groups/vip", "groups/customer", "groups/guest", "v"],
            "attributes" => ENTRIES,
            "display_name" => &["Birthday", "birthday"],
            "lock.holder" => &["staff/anna"],
            "activity_time" | "abandon_time" => &["2026-01-01T00:00:00Z"],
            _ => &[],
        }
    }

    /// Orders some of the carts.
    fn settle<'s>(
        &'s self,
        connection: &'s Connection,
        name: &'s str,
        rng: &'s mut StdRng,
    ) -> LocalBoxFuture<'s, ()> {
        let settled = async move {
            if rng.random_ratio(1, 3) && read(connection, name).await.item_count > 0 {
                order(connection, name, &format!("order {}", number_of(name))).await;
            }
        };
        settled.boxed_local()
    }

    /// Changes the cart as its state allows.
    fn stir<'s>(
        &'s self,
        connection: &'s Connection,
        name: &'s str,
        rng: &'s mut StdRng,
    ) -> LocalBoxFuture<'s, ()> {
        let stirred = async move {
            let mut client = connection.carts();
            let cart = read(connection, name).await;
            if cart.state() == State::Ordered {
                let request = pb::ReopenCartRequest {
                    name: name.to_owned(),
                    ..Default::default()
                };
                client
                    .reopen_cart(request)
                    .await
                    .expect("the cart is reopened");
            }
            match rng.random_range(0..8) {
                0 => return self.delete(connection, name).await,
                1 => {
                    let request = pb::AssignCartRequest {
                        target: named(name),
                        customer: format!("customers/{}", CUSTOMERS.choose(rng).expect("some")),
                        if_open_cart_exists: IfOpenCartExists::KeepBoth.into(),
                        ..Default::default()
                    };
                    client
                        .assign_cart(request)
                        .await
                        .expect("the cart is assigned");
                }
                _ => {}
            }
            self.change(connection, name, rng).await;
            let request = pb::AddItemRequest {
                target: named(name),
                item: Some(line(rng, &cart.currency_code)),
                ..Default::default()
            };
            client.add_item(request).await.expect("the line is added");
            if rng.random_ratio(1, 3) {
                order(connection, name, &format!("again {}", cart.number)).await;
            }
        };
        stirred.boxed_local()
    }
}

fn creation_of(owner: pb::CartOwner, text: &str) -> pb::CreateCartRequest {
    pb::CreateCartRequest {
        owner: Some(owner),
        cart: Some(pb::Cart {
            note: text.to_owned(),
            ..Default::default()
        }),
        items: vec![item(text, 1)],
        ..Default::default()
    }
}

async fn read(connection: &Connection, name: &str) -> pb::Cart {
    let cart = Carts.get(connection, name).await.expect("the cart exists");
    cart.transcode_to().expect("a cart")
}

async fn order(connection: &Connection, name: &str, reference: &str) {
    let request = pb::OrderCartRequest {
        target: named(name),
        order_reference: reference.to_owned(),
        ..Default::default()
    };
    let ordered = connection.carts().order_cart(request).await;
    ordered.expect("the cart is ordered");
}

/// Returns the currency of the cart of this number.
fn currency(number: u64) -> &'static str {
    let index = usize::try_from(number % 4).expect("a small number");
    CURRENCIES[index]
}

/// Returns random values for the fields that an update may change.
fn details(rng: &mut StdRng, currency: &str) -> pb::Cart {
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
        charges: Vec::from_iter(rng.random::<bool>().then_some(charge)),
        adjustments: Vec::from_iter(rng.random::<bool>().then_some(voucher)),
        ..Default::default()
    }
}

/// Returns a random line.
fn line(rng: &mut impl Rng, currency: &str) -> ItemInput {
    let prices = [0, 10_000, 9_990_000, 10_000_000, 25_500_000];
    let price = ItemPrice {
        list_price: Some(money(currency, *prices.choose(rng).expect("some"))),
        tax_rate: "20".into(),
        ..Default::default()
    };
    ItemInput {
        price: Some(price),
        ..item(PRODUCTS.choose(rng).expect("some"), rng.random_range(1..4))
    }
}

/// Creates the [`CUSTOMERS`].
async fn people(shop: &Shop) {
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
