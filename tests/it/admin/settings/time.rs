//! Tests settings of time: the time zone of the shop, and the retention of carts.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::proto::pb::{self, ErrorReason, cart};
use tonic::Code;

use super::set;
use crate::carts::{Carts, customer as of_customer, item, named, of, visitor};
use crate::customers::{create, person, try_create, update};
use crate::harness::{Engine, Setup, Shop, assert_refused, eventually, violations};

/// 2026-03-01T00:30:00Z: in New York it is still February, in Auckland half of the day has passed.
const HALF_PAST_MIDNIGHT: i64 = 1_772_325_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A shop whose clock is held.
async fn held(engine: Engine) -> Shop {
    let clock = Clock::held_at(HALF_PAST_MIDNIGHT);
    Shop::start_with(
        engine,
        Setup {
            clock,
            ..Setup::default()
        },
    )
    .await
}

async fn birth_dates_are_not_in_the_future_in_the_shops_time_zone(shop: Shop) {
    let mut customers = shop.customers();
    for (time_zone, today, tomorrow) in [
        ("UTC", "2026-03-01", "2026-03-02"),
        ("America/New_York", "2026-02-28", "2026-03-01"),
        ("Pacific/Auckland", "2026-03-01", "2026-03-02"),
        ("Pacific/Kiritimati", "2026-03-01", "2026-03-02"),
        ("Pacific/Pago_Pago", "2026-02-28", "2026-03-01"),
    ] {
        let settings = pb::ShopSettings {
            time_zone: time_zone.into(),
            ..Default::default()
        };
        set(&shop, settings, &[]).await;
        let born = |day: &str| pb::Customer {
            birth_date: day.into(),
            ..person("Ada")
        };

        let ada = create(&mut customers, born(today)).await;
        let refused = try_create(&mut customers, born(tomorrow))
            .await
            .unwrap_err();

        assert_eq!(ada.age, Some(0), "{time_zone}");
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(
            violations(&refused)[0].0,
            "customer.birth_date",
            "{time_zone}"
        );
        let later = pb::Customer {
            birth_date: tomorrow.into(),
            ..ada
        };
        let refused = update(&mut customers, later, &["birth_date"]).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            violations(&refused)[0].0,
            "customer.birth_date",
            "{time_zone}"
        );
    }
}

async fn open_carts_expire_after_their_retention(shop: Shop) {
    let settings = pb::ShopSettings {
        visitor_cart_retention_days: Some(2),
        customer_cart_retention_days: Some(5),
        ..Default::default()
    };
    set(&shop, settings, &[]).await;
    let ada = create(&mut shop.customers(), person("Ada")).await;
    let (of_ada, of_visitor) = (of_customer(&ada.name), visitor());
    let hers = shop.add(of(&of_ada), item("shirt", 1)).await;
    let left = shop.add(of(&of_visitor), item("shirt", 1)).await;
    let touched = shop.add(of(&visitor()), item("shirt", 1)).await;
    let ordered = shop.add(of(&visitor()), item("shirt", 1)).await;
    shop.try_order(named(&ordered.name), "an order")
        .await
        .unwrap();
    let gone = async |name: &str| {
        eventually("the end of a cart", || async {
            shop.try_get(named(name)).await.err()
        })
        .await
    };

    shop.clock.advance(DAY);
    shop.add(named(&touched.name), item("hat", 1)).await;
    shop.clock.advance(DAY + Duration::from_secs(1));
    let refused = gone(&left.name).await;
    assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
    shop.get(named(&touched.name)).await;
    shop.get(named(&hers.name)).await;
    // An owner whose cart has expired opens another.
    let next = shop.add(of(&of_visitor), item("shirt", 1)).await;
    assert_ne!(next.name, left.name);

    // With a longer or unlimited retention the cart stays.
    let for_ever = pb::ShopSettings {
        visitor_cart_retention_days: Some(0),
        ..Default::default()
    };
    set(&shop, for_ever, &["visitor_cart_retention_days"]).await;
    shop.clock.advance(4 * DAY);
    gone(&hers.name).await;
    for kept in [&touched, &next, &ordered] {
        shop.get(named(&kept.name)).await;
    }
    assert_eq!(
        shop.get(named(&ordered.name)).await.state(),
        cart::State::Ordered
    );
    set(
        &shop,
        pb::ShopSettings::default(),
        &["visitor_cart_retention_days"],
    )
    .await;
    shop.clock.advance(90 * DAY);
    gone(&touched.name).await;
    gone(&next.name).await;
    shop.get(named(&ordered.name)).await;
}

macro_rules! with_a_held_clock {
    ($($name:ident)*) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(super::held(super::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(super::held(super::Engine::Postgres).await).await;
            }
        }
    )* };
}

with_a_held_clock! {
    birth_dates_are_not_in_the_future_in_the_shops_time_zone
    open_carts_expire_after_their_retention
}
