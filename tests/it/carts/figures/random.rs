//! Tests that after random writes the figures equal those of a list of the carts.

use std::time::Duration;

use clientela::feed::FeedSettings;
use clientela::proto::pb::{self, ShopSettings};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{Figures, MINUTE, customers, listed, quickly, timeless};
use crate::carts::{Carts, EURO, customer, in_slot, item, money, of, price, set, visitor};
use crate::harness::{Engine, PATIENCE, Setup, Shop, unique};

/// Sends one random write. Some are refused because the cart does not exist, which is expected.
async fn random_write(shop: &Shop, random: &mut StdRng, owners: &[pb::CartOwner]) {
    let owner = &owners[random.random_range(0..owners.len())];
    let slot = ["main", "main", "birthday", "saved", "saved-2"][random.random_range(0..5)];
    let target = of(&in_slot(owner, slot));
    let product = format!("p{}", random.random_range(0..3));
    let mut carts = shop.carts();
    match random.random_range(0..12) {
        0 => {
            let reference = format!("order-{}", unique());
            let _ = shop.try_order(target, &reference).await;
        }
        1 => {
            let request = pb::DeleteCartRequest {
                target,
                ..Default::default()
            };
            let _ = carts.delete_cart(request).await;
        }
        2 | 3 => {
            let Ok(cart) = shop.try_get(target).await else {
                return;
            };
            for item in cart.items {
                let request = pb::RemoveItemRequest {
                    name: item.name,
                    ..Default::default()
                };
                let _ = carts.remove_item(request).await;
            }
        }
        4 => shop.clock.advance(random.random_range(1..10) * MINUTE),
        5 | 6 => {
            let cart = pb::Cart {
                currency_code: ["USD", "JPY"][random.random_range(0..2)].into(),
                storefront: ["", "web", "app"][random.random_range(0..3)].into(),
                ..Default::default()
            };
            let request = pb::CreateCartRequest {
                owner: Some(in_slot(owner, slot)),
                cart: Some(cart),
                ..Default::default()
            };
            let _ = carts.create_cart(request).await;
        }
        _ => {
            let there = shop.try_get(target.clone()).await;
            let currency = there.map_or("EUR".to_owned(), |cart| cart.currency_code);
            let amount = money(&currency, random.random_range(1..100) * EURO);
            let request = pb::AddItemRequest {
                target,
                item: Some(pb::ItemInput {
                    price: Some(price(Some(amount))),
                    ..item(&product, random.random_range(1..4))
                }),
                storefront: ["", "web", "app"][random.random_range(0..3)].into(),
                ..Default::default()
            };
            let _ = carts.add_item(request).await;
        }
    }
}

/// Makes random writes. Afterwards the figures of an old stream and of a new one equal those of a list.
/// Streams reach their maximal age soon, so the state behind the figures is dropped and built again.
async fn random_writes(shop: Shop, seed: u64) {
    set(
        &shop,
        &["cart_abandoned_after_minutes"],
        ShopSettings {
            cart_abandoned_after_minutes: Some(40),
            ..Default::default()
        },
    )
    .await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut owners: Vec<_> = customers(&shop, 4)
        .await
        .iter()
        .map(|name| customer(name))
        .collect();
    owners.extend((0..4).map(|_| visitor()));
    let held = Figures::open(&shop, quickly("")).await;

    for _ in 0..3 {
        for _ in 0..80 {
            random_write(&shop, &mut random, &owners).await;
        }
        for storefront in ["", "web", "app", "kiosk"] {
            let until = tokio::time::Instant::now() + PATIENCE;
            // Carts may still be abandoned meanwhile, so both are read until they agree.
            while !agree(&shop, storefront).await {
                let late = tokio::time::Instant::now() > until;
                assert!(!late, "the figures and the list do not agree");
            }
        }
    }
    drop(held);
}

async fn agree(shop: &Shop, storefront: &str) -> bool {
    let before = listed(shop, storefront, 15 * MINUTE).await;
    let mut stream = Figures::open(shop, quickly(storefront)).await;
    let mut seen = None;
    // The stream is read until its figures agree or it ends at its age.
    while let Ok(Ok(Some(message))) = tokio::time::timeout(PATIENCE, stream.stream.message()).await
    {
        let Some(figures) = message.figures else {
            break;
        };
        seen = Some(timeless(&figures));
        if seen.as_ref() == Some(&before) {
            break;
        }
    }
    seen.as_ref() == Some(&before) && listed(shop, storefront, 15 * MINUTE).await == before
}

fn short_lived_streams() -> Setup {
    let feed = FeedSettings {
        stream_age: Duration::from_millis(700),
        ..Setup::default().feed
    };
    Setup {
        feed,
        ..Setup::held()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_random_writes_the_figures_are_those_of_a_list_on_sqlite() {
    random_writes(
        Shop::start_with(Engine::Sqlite, short_lived_streams()).await,
        1,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_random_writes_the_figures_are_those_of_a_list_on_postgres() {
    random_writes(
        Shop::start_with(Engine::Postgres, short_lived_streams()).await,
        2,
    )
    .await;
}
