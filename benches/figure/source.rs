//! A server whose streams are watched, and those who change its carts as fast as watchers keep up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clientela::proto::pb;
use prost::Message as _;

use crate::child::{Child, Product, Serving};
use crate::shop::{Clients, Keyed, Shop};
use crate::watchers::{STREAMS_A_CONNECTION, Watched, Watchers};

/// A server whose streams are watched: the product or its yardstick.
pub struct Source {
    /// The process.
    pub child: Child,
    /// Who changes carts.
    pub clients: Clients,
    /// One for each connection of watchers.
    pub keys: Vec<String>,
    /// The names of the carts.
    pub carts: Arc<[String]>,
    /// How it was started; the yardstick has none.
    pub product: Option<Product>,
}

impl Source {
    /// The product with so many carts of so many lines, and keys for so many streams.
    pub async fn product(product: Product, carts: usize, lines: usize, streams: usize) -> Self {
        let shop = Shop::start(product).await;
        Self::of(shop, carts, lines, streams).await
    }

    /// The same of a shop that runs.
    pub async fn of(shop: Shop, carts: usize, lines: usize, streams: usize) -> Self {
        let carts = shop.carts(carts, lines).await;
        let keys = shop.keys(streams.div_ceil(STREAMS_A_CONNECTION)).await;
        Self {
            clients: shop.clients,
            child: shop.child,
            keys,
            carts,
            product: Some(shop.product),
        }
    }

    /// The bare broadcast, which sends what the product sends.
    pub async fn broadcast(product: &Self) -> Self {
        let (cart, change) = product.sample().await;
        let child = Child::start(&Serving::Broadcast { cart, change });
        let clients = Clients::connect(&child, "any").await;
        let keys = vec!["any".to_owned(); product.keys.len()];
        let carts = Arc::clone(&product.carts);
        Self {
            child,
            clients,
            keys,
            carts,
            product: None,
        }
    }

    /// An answer to AddItem and the message that watches get of it, encoded.
    pub async fn sample(&self) -> (Vec<u8>, Vec<u8>) {
        let channel = self.child.connect().await;
        let mut client = pb::cart_service_client::CartServiceClient::with_interceptor(
            channel,
            Keyed::new(&self.keys[0]),
        );
        let request = pb::WatchCartsRequest {
            options: Some(pb::WatchOptions {
                skip_snapshot: true,
                ..Default::default()
            }),
            ..Default::default()
        };
        let opened = client.watch_carts(request).await;
        let mut stream = opened.expect("a watch").into_inner();
        loop {
            // A watch without a snapshot begins at a moment that its reader does not learn.
            let cart = self.clients.add_item(0, &self.carts[0], 0).await;
            let wait = Duration::from_millis(200);
            while let Ok(message) = tokio::time::timeout(wait, stream.message()).await {
                let mut message = message.expect("the watch goes on").expect("it has no end");
                if !message.changes.is_empty() {
                    message.changes.truncate(1);
                    return (cart.encode_to_vec(), message.encode_to_vec());
                }
            }
        }
    }

    /// Opens watches of all carts.
    pub async fn watch_everything(&self, streams: usize) -> Watchers {
        let watched = vec![Watched::Everything; streams];
        Watchers::open(&self.child, &self.keys, watched, None).await
    }

    /// Changes carts as fast as `watchers` take the changes, and counts these a second.
    pub async fn saturate(&self, watchers: &Watchers, writers: Writers) -> f64 {
        const WARM_UP: Duration = Duration::from_millis(400);
        const SECONDS: f64 = 1.5;
        let streams = watchers.count as u64;
        let (before, made) = (watchers.told() / streams, AtomicU64::new(0));
        let until = Instant::now() + WARM_UP + Duration::from_secs_f64(SECONDS);
        let writer = async |writer: usize| {
            while Instant::now() < until {
                let number = made.fetch_add(1, Ordering::Relaxed);
                watchers
                    .wait_for((before + number.saturating_sub(writers.ahead)) * streams)
                    .await;
                let cart = usize::try_from(number).unwrap_or_default() % self.carts.len();
                self.clients.add_item(writer, &self.carts[cart], 0).await;
            }
        };
        let count = async {
            tokio::time::sleep(WARM_UP).await;
            let (from, started) = (watchers.told(), Instant::now());
            tokio::time::sleep_until((until - Duration::from_millis(50)).into()).await;
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
            let told = (watchers.told() - from) as f64;
            told / started.elapsed().as_secs_f64()
        };
        let writing = futures::future::join_all((0..writers.count).map(writer));
        let (_, told) = futures::join!(writing, count);
        watchers
            .wait_for((before + made.load(Ordering::Relaxed)) * streams)
            .await;
        told
    }
}

/// Who makes changes as fast as they are told.
#[derive(Clone, Copy)]
pub struct Writers {
    /// How many there are.
    pub count: usize,
    /// Changes that are made before the first of them has reached everybody.
    pub ahead: u64,
}
