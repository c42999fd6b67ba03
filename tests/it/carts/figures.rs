//! Tests that the live figures of a shop's carts always equal those of a list of the carts.

mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clientela::clock::Clock;
use clientela::feed::FeedSettings;
use clientela::limits;
use clientela::proto::pb::cart::{Abandonment, State};
use clientela::proto::pb::cart_service_client::CartServiceClient;
use clientela::proto::pb::{
    self, CartFigures, ErrorReason, Role, ShopSettings, WatchCartFiguresRequest,
    WatchCartFiguresResponse,
};
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use super::{
    Carts, EURO, customer, item, key_of_another_shop, money, named, new_customer, of, set, visitor,
};
use crate::harness::{Engine, PATIENCE, Setup, Shop, assert_refused, violations};
use crate::on_both_engines;

const MINUTE: Duration = Duration::from_secs(60);

/// A stream of figures, and its last figures.
struct Figures {
    stream: Streaming<WatchCartFiguresResponse>,
    last: Option<CartFigures>,
}

fn quickly(storefront: &str) -> WatchCartFiguresRequest {
    WatchCartFiguresRequest {
        storefront: storefront.into(),
        min_interval: Some(millis(100)),
        ..Default::default()
    }
}

fn millis(millis: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: millis / 1_000,
        nanos: i32::try_from(millis % 1_000 * 1_000_000).unwrap(),
    }
}

impl Figures {
    async fn open(shop: &Shop, request: WatchCartFiguresRequest) -> Self {
        Self::try_open(shop, request).await.unwrap()
    }

    async fn try_open(shop: &Shop, request: WatchCartFiguresRequest) -> Result<Self, Status> {
        let answer = shop.carts().watch_cart_figures(request).await?;
        let stream = answer.into_inner();
        Ok(Self { stream, last: None })
    }

    async fn message(&mut self) -> Result<WatchCartFiguresResponse, Status> {
        let message = tokio::time::timeout(PATIENCE, self.stream.message());
        let message = message.await.expect("a message comes")?;
        Ok(message.expect("a watch ends only with an error"))
    }

    async fn next(&mut self) -> CartFigures {
        let figures = self.message().await.unwrap().figures.expect("figures");
        self.last = Some(figures.clone());
        figures
    }

    /// Reads until the stream sends these figures.
    async fn until(&mut self, expected: &CartFigures) {
        let reading = async {
            while self.last.as_ref().map(timeless) != Some(timeless(expected)) {
                self.next().await;
            }
        };
        if tokio::time::timeout(PATIENCE, reading).await.is_err() {
            panic!("expected {expected:#?}, not {:#?}", self.last);
        }
    }
}

fn timeless(figures: &CartFigures) -> CartFigures {
    CartFigures {
        time: None,
        ..figures.clone()
    }
}

fn micros(time: Option<&prost_types::Timestamp>) -> i64 {
    clientela::feed::micros(time.expect("a time"))
}

/// Computes the figures from a list of all carts.
async fn listed(shop: &Shop, storefront: &str, idle_after: Duration) -> CartFigures {
    let mut carts = Vec::new();
    let mut request = pb::ListCartsRequest {
        page_size: 1_000,
        ..Default::default()
    };
    loop {
        let page = shop.carts().list_carts(request.clone()).await.unwrap();
        let page = page.into_inner();
        carts.extend(page.carts);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let since = shop.clock.now() - i64::try_from(idle_after.as_micros()).unwrap();
    let (mut customers, mut visitors) = (BTreeSet::new(), BTreeSet::new());
    let mut values: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let mut figures = CartFigures::default();
    for cart in carts {
        let saved = ["saved", "saved-2"].contains(&cart.slot.as_str());
        let counts = cart.state() == State::Open && !cart.items.is_empty() && !saved;
        if !counts || (!storefront.is_empty() && cart.storefront != storefront) {
            continue;
        }
        let active = micros(cart.activity_time.as_ref()) > since;
        let total = cart.total.as_ref().unwrap().micros;
        let value = values.entry(cart.currency_code.clone()).or_default();
        value.0 += total;
        figures.open_carts += 1;
        match cart.abandonment() {
            Abandonment::Abandoned => {
                figures.abandoned_carts += 1;
                value.1 += total;
            }
            _ if active => figures.filling_carts += 1,
            _ => figures.idle_carts += 1,
        }
        if active && !cart.customer.is_empty() {
            customers.insert(cart.customer);
        } else if active {
            visitors.insert(cart.visitor_id);
        }
    }
    figures.customers_online = i64::try_from(customers.len()).unwrap();
    figures.visitors_online = i64::try_from(visitors.len()).unwrap();
    figures.values = values
        .into_iter()
        .map(
            |(currency, (open, at_risk))| pb::cart_figures::CurrencyValue {
                open: Some(money(&currency, open)),
                at_risk: Some(money(&currency, at_risk)),
            },
        )
        .collect();
    figures
}

async fn customers(shop: &Shop, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(new_customer(shop).await);
    }
    names
}

on_both_engines! {
    async fn figures_come_at_once_and_follow_carts_the_time_and_the_settings(shop: Shop with Setup::held()) {
        let ada = customers(&shop, 1).await.remove(0);
        shop.add(of(&customer(&ada)), item("shirt", 2)).await;
        let mut figures = Figures::open(&shop, quickly("")).await;

        let first = figures.next().await;
        assert_eq!(timeless(&first), listed(&shop, "", 15 * MINUTE).await);
        assert_eq!((first.open_carts, first.filling_carts, first.customers_online), (1, 1, 1));
        assert_eq!(micros(first.time.as_ref()), shop.clock.now());

        shop.clock.advance(10 * MINUTE);
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        figures.until(&listed(&shop, "", 15 * MINUTE).await).await;
        assert_eq!(figures.last.as_ref().unwrap().visitors_online, 1);

        // Only the clock changes.
        shop.clock.advance(5 * MINUTE);
        let idle = listed(&shop, "", 15 * MINUTE).await;
        assert_eq!((idle.filling_carts, idle.idle_carts, idle.customers_online), (1, 1, 0));
        figures.until(&idle).await;

        // Only the setting changes, in both directions.
        for minutes in [1, 1_440] {
            set(&shop, &["cart_idle_after_minutes"], ShopSettings {
                cart_idle_after_minutes: Some(minutes),
                ..Default::default()
            }).await;
            let idle_after = MINUTE * u32::try_from(minutes).unwrap();
            let expected = listed(&shop, "", idle_after).await;
            assert_eq!(expected.filling_carts, if minutes == 1 { 0 } else { 2 });
            figures.until(&expected).await;
        }

        shop.try_order(named(&cart.name), "order-1").await.unwrap();
        let ordered = listed(&shop, "", 1_440 * MINUTE).await;
        assert_eq!((ordered.open_carts, ordered.visitors_online), (1, 0));
        figures.until(&ordered).await;
    }

    async fn abandoned_carts_are_the_value_at_risk(shop: Shop with Setup::held()) {
        shop.add(of(&visitor()), item("shirt", 2)).await;
        let mut figures = Figures::open(&shop, quickly("")).await;
        figures.next().await;
        shop.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
        shop.add(of(&visitor()), item("shirt", 1)).await;

        let value = pb::cart_figures::CurrencyValue {
            open: Some(money("EUR", 30 * EURO)),
            at_risk: Some(money("EUR", 20 * EURO)),
        };
        figures.until(&CartFigures {
            open_carts: 2,
            filling_carts: 1,
            abandoned_carts: 1,
            visitors_online: 1,
            values: vec![value],
            ..Default::default()
        }).await;
    }

    async fn a_storefront_has_its_own_figures(shop: Shop with Setup::held()) {
        let add = |storefront: &str| pb::AddItemRequest {
            target: of(&visitor()),
            item: Some(item("shirt", 1)),
            storefront: storefront.into(),
            ..Default::default()
        };
        for storefront in ["web", "web", "app", ""] {
            shop.carts().add_item(add(storefront)).await.unwrap();
        }

        for (storefront, carts) in [("web", 2), ("app", 1), ("kiosk", 0), ("", 4)] {
            let mut figures = Figures::open(&shop, quickly(storefront)).await;
            assert_eq!(figures.next().await.open_carts, carts, "{storefront}");
        }
    }

    async fn a_shop_does_not_see_the_carts_of_another(shop: Shop with Setup::held()) {
        shop.add(of(&visitor()), item("shirt", 1)).await;
        let key = key_of_another_shop(&shop).await;

        let answer = shop.carts_as(&key).watch_cart_figures(quickly("")).await.unwrap();
        let mut other = Figures { stream: answer.into_inner(), last: None };

        assert_eq!(timeless(&other.next().await), CartFigures::default());
    }

    async fn figures_that_do_not_change_are_repeated(shop: Shop with Setup::held()) {
        shop.add(of(&visitor()), item("shirt", 1)).await;
        let request = WatchCartFiguresRequest {
            heartbeat_interval: Some(millis(0)),
            ..quickly("")
        };
        let mut figures = Figures::open(&shop, request).await;

        let first = figures.next().await;
        let second = figures.next().await;

        assert_eq!(first, second);
    }

    /// The silence in between shows that a change waits for the interval.
    async fn changes_within_the_interval_come_as_one_message(shop: Shop with Setup::held()) {
        let request = WatchCartFiguresRequest {
            min_interval: Some(millis(1_500)),
            ..Default::default()
        };
        let mut figures = Figures::open(&shop, request).await;
        assert_eq!(figures.next().await.open_carts, 0);

        for _ in 0..5 {
            shop.add(of(&visitor()), item("shirt", 1)).await;
        }

        figures.until(&listed(&shop, "", 15 * MINUTE).await).await;
        assert_eq!(figures.last.as_ref().unwrap().open_carts, 5);
    }

    async fn intervals_out_of_range_are_refused(shop: Shop with Setup::held()) {
        let negative = prost_types::Duration { seconds: -1, nanos: 0 };
        let huge = prost_types::Duration { seconds: i64::MAX, nanos: 999_999_999 };
        for interval in [millis(0), millis(99), millis(60_001), negative, huge] {
            let request = WatchCartFiguresRequest {
                min_interval: Some(interval),
                ..Default::default()
            };
            let refused = Figures::try_open(&shop, request).await.err().unwrap();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
            assert_eq!(violations(&refused), [("min_interval".to_owned(), "OUT_OF_RANGE".to_owned())]);
        }
        for interval in [millis(100), millis(60_000)] {
            let request = WatchCartFiguresRequest {
                min_interval: Some(interval),
                heartbeat_interval: Some(millis(3_600_000)),
                ..Default::default()
            };
            Figures::open(&shop, request).await.next().await;
        }
    }

    async fn a_stopped_server_asks_watchers_of_figures_to_reconnect(shop: Shop with Setup::held()) {
        let mut shop = shop;
        let mut figures = Figures::open(&shop, quickly("")).await;
        figures.next().await;

        let (_, ended) = tokio::join!(shop.stop(), async {
            let last = figures.message().await.unwrap();
            assert!(last.draining.is_some() && last.figures.is_none(), "{last:?}");
            figures.message().await.unwrap_err()
        });

        assert_refused(&ended, Code::Unavailable, ErrorReason::Draining);
    }

    async fn a_stream_of_figures_ends_with_its_key_and_with_its_deadline(shop: Shop with Setup::held()) {
        let request = pb::CreateApiKeyRequest {
            api_key: Some(pb::ApiKey {
                display_name: "monitor".into(),
                roles: vec![Role::Monitor.into()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let created = shop.admin().create_api_key(request).await.unwrap().into_inner();
        let mut carts = shop.carts_as(&created.secret);
        let mut short = tonic::Request::new(quickly(""));
        short.set_timeout(Duration::from_millis(500));
        let answer = carts.watch_cart_figures(quickly("")).await.unwrap();
        let mut revoked = Figures { stream: answer.into_inner(), last: None };
        let answer = carts.watch_cart_figures(short).await.unwrap();
        let mut late = Figures { stream: answer.into_inner(), last: None };
        revoked.next().await;

        let name = created.api_key.unwrap().name;
        let request = pb::RevokeApiKeyRequest { name, ..Default::default() };
        let ended = async {
            loop {
                if let Err(status) = late.message().await {
                    break status;
                }
            }
        }.await;
        assert_eq!(ended.code(), Code::DeadlineExceeded);
        shop.admin().revoke_api_key(request).await.unwrap();
        let ended = loop {
            if let Err(status) = revoked.message().await {
                break status;
            }
        };

        assert_refused(&ended, Code::Unauthenticated, ErrorReason::KeyRevoked);
    }

    async fn figures_are_for_staff_and_monitors(shop: Shop with Setup::held()) {
        let key = shop.key(&[Role::Storefront]).await;

        let refused = shop.carts_as(&key).watch_cart_figures(quickly("")).await.unwrap_err();

        assert_refused(&refused, Code::PermissionDenied, ErrorReason::RoleNotAllowed);
    }
}

/// Streams end at a maximal age, so that clients spread over new servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_stream_of_figures_is_asked_to_reconnect() {
    let feed = FeedSettings {
        stream_age: Duration::from_millis(300),
        ..Default::default()
    };
    let setup = Setup {
        feed,
        clock: Clock::system(),
        ..Default::default()
    };
    let shop = Shop::start_with(Engine::Sqlite, setup).await;
    let mut figures = Figures::open(&shop, quickly("")).await;

    let ended = loop {
        match figures.message().await {
            Ok(message) if message.draining.is_some() => {
                break figures.message().await.unwrap_err();
            }
            Ok(_) => {}
            Err(status) => panic!("the stream ended without `draining`: {status:?}"),
        }
    };

    assert_refused(&ended, Code::Unavailable, ErrorReason::Draining);
}

/// Watches of figures count among the streams of their key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_a_limit_of_streams_of_figures() {
    let shop = Shop::start(Engine::Sqlite).await;
    let mut streams = Vec::new();
    let mut carts = shop.carts();
    for number in 0..limits::WATCH_STREAMS_PER_KEY_MAX {
        // A connection may have fewer streams than a key.
        if number % 200 == 0 {
            let address = format!("http://{}", shop.address);
            let channel = Endpoint::from_shared(address)
                .unwrap()
                .connect()
                .await
                .unwrap();
            let keyed = Shop::with_key(&shop.admin_key);
            carts = CartServiceClient::with_interceptor(channel, keyed);
        }
        let answer = carts.watch_cart_figures(quickly("")).await.unwrap();
        streams.push(answer.into_inner());
    }

    let refused = shop
        .carts()
        .watch_cart_figures(quickly(""))
        .await
        .unwrap_err();

    assert_refused(
        &refused,
        Code::ResourceExhausted,
        ErrorReason::TooManyStreams,
    );
}
