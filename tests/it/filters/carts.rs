//! Carts of all sorts: of visitors, guests and customers, in several currencies, open and ordered.

mod made;

use std::time::Duration;

use clientela::carts::TABLE;
use clientela::filter::Schema;
use clientela::proto::pb::{
    self, CreateCartRequest, assign_cart_request::IfOpenCartExists, cart::State,
    watch_carts_response::Signal,
};
use futures::StreamExt as _;
use prost_types::FieldMask;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tonic::Status;

use super::follower::{Told, options};
use super::values::{ENTRIES, TEXTS, amount, entries, maybe, time};
use super::{Page, Sort, Stream};
use crate::carts::{Carts as _, customer, in_slot, item, named, visitor};
use crate::harness::Shop;
use made::{
    CHANGEABLE, CUSTOMERS, LANGUAGES, METHODS, PRODUCTS, STOREFRONTS, details, line, people,
};

pub(super) struct Carts;

/// One change of a cart, as its state allows.
async fn change(shop: &Shop, cart: pb::Cart, rng: &mut StdRng) {
    let mut client = shop.carts();
    if cart.state() == State::Ordered {
        let request = pb::ReopenCartRequest {
            name: cart.name.clone(),
            ..Default::default()
        };
        client.reopen_cart(request).await.unwrap();
    }
    let target = named(&cart.name);
    match rng.random_range(0..8) {
        0 => {
            let request = pb::DeleteCartRequest {
                target,
                ..Default::default()
            };
            client.delete_cart(request).await.unwrap();
            return;
        }
        1 => {
            let request = pb::AssignCartRequest {
                target: target.clone(),
                customer: format!("customers/{}", CUSTOMERS.choose(rng).unwrap()),
                if_open_cart_exists: IfOpenCartExists::KeepBoth.into(),
                ..Default::default()
            };
            client.assign_cart(request).await.unwrap();
        }
        _ => {}
    }
    let changed = pb::Cart {
        name: cart.name.clone(),
        ..details(rng, &cart.currency_code)
    };
    let request = pb::UpdateCartRequest {
        cart: Some(changed),
        update_mask: Some(FieldMask {
            paths: CHANGEABLE.map(str::to_owned).into(),
        }),
        ..Default::default()
    };
    client.update_cart(request).await.unwrap();
    shop.add(target.clone(), line(rng, &cart.currency_code))
        .await;
    if rng.random_ratio(1, 3) {
        shop.try_order(target, &format!("again {}", cart.number))
            .await
            .unwrap();
    }
}

impl Sort for Carts {
    const LAST: &'static str = "carts/last";

    fn schema() -> &'static Schema {
        TABLE.schema()
    }

    fn literals(path: &str) -> &'static [&'static str] {
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

    async fn fill(shop: &Shop, rng: &mut StdRng) {
        people(shop).await;
        for number in 0..36 {
            let currency = *["EUR", "EUR", "JPY", "USD"].choose(rng).unwrap();
            let owner = if rng.random() {
                in_slot(&visitor(), ["main", "gift"].choose(rng).unwrap())
            } else {
                let name = format!("customers/{}", CUSTOMERS.choose(rng).unwrap());
                in_slot(&customer(&name), &format!("s{number}"))
            };
            let cart = pb::Cart {
                storefront: maybe(rng, STOREFRONTS).into(),
                currency_code: currency.into(),
                ..details(rng, currency)
            };
            let request = CreateCartRequest {
                owner: Some(owner),
                cart: Some(cart),
                cart_id: format!("cart-{number}"),
                items: (0..rng.random_range(0..4))
                    .map(|_| line(rng, currency))
                    .collect(),
                ..Default::default()
            };
            let cart = shop
                .carts()
                .create_cart(request)
                .await
                .unwrap()
                .into_inner();
            if !cart.items.is_empty() && rng.random_ratio(1, 3) {
                let reference = format!("order {number}");
                shop.try_order(named(&cart.name), &reference).await.unwrap();
            }
            shop.clock
                .advance(Duration::from_secs(rng.random_range(60..1_800)));
        }
        let request = CreateCartRequest {
            owner: Some(visitor()),
            cart_id: "last".into(),
            ..Default::default()
        };
        shop.carts().create_cart(request).await.unwrap();
    }

    async fn page(shop: &Shop, filter: &str, page_token: String) -> Result<Page, Status> {
        let filter = filter.to_owned();
        let request = pb::ListCartsRequest {
            filter,
            page_token,
            ..Default::default()
        };
        let answer = shop.carts().list_carts(request).await?.into_inner();
        Ok(Page {
            rows: answer
                .carts
                .into_iter()
                .map(|cart| (cart.name.clone(), values(&cart)))
                .collect(),
            next: answer.next_page_token,
        })
    }

    async fn watch(shop: &Shop, filter: &str) -> Result<Stream, Status> {
        let (filter, options) = (filter.to_owned(), options());
        let request = pb::WatchCartsRequest {
            filter,
            options,
            ..Default::default()
        };
        let stream = shop.carts().watch_carts(request).await?.into_inner();
        let told = stream.map(|message| {
            message.map(|message| Told {
                changes: message
                    .changes
                    .iter()
                    .map(|each| (each.name.clone(), each.kind()))
                    .collect(),
                snapshot_ended: matches!(message.signal, Some(Signal::SnapshotEnd(_))),
            })
        });
        Ok(told.boxed())
    }

    async fn stir(shop: &Shop, rng: &mut StdRng) {
        let all = shop
            .carts()
            .list_carts(pb::ListCartsRequest::default())
            .await
            .unwrap();
        for cart in all.into_inner().carts {
            if cart.name != Self::LAST {
                change(shop, cart, rng).await;
            }
        }
    }

    async fn touch(shop: &Shop) {
        shop.add(named(Self::LAST), item("shirt", 1)).await;
    }
}

fn values(cart: &pb::Cart) -> Vec<(&'static str, String)> {
    let mut values = vec![
        ("name", cart.name.clone()),
        ("number", cart.number.clone()),
        ("item_count", cart.item_count.to_string()),
    ];
    let texts = [
        ("visitor_id", &cart.visitor_id),
        ("order_reference", &cart.order_reference),
    ];
    values.extend(texts.into_iter().map(|(path, text)| (path, text.clone())));
    let times = [
        ("create_time", &cart.create_time),
        ("update_time", &cart.update_time),
        ("order_time", &cart.order_time),
    ];
    values.extend(
        times
            .into_iter()
            .filter_map(|(path, at)| Some((path, time(at.as_ref()?)))),
    );
    let amounts = [
        ("subtotal", &cart.subtotal),
        ("discount", &cart.discount),
        ("tax", &cart.tax),
        ("total", &cart.total),
    ];
    values.extend(
        amounts
            .into_iter()
            .filter_map(|(path, of)| Some((path, amount(of.as_ref()?)))),
    );
    values.extend(
        entries(cart.attributes.as_ref())
            .into_iter()
            .map(|entry| ("attributes", entry)),
    );
    values.retain(|(_, text)| !text.is_empty());
    values
}
