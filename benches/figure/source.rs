//! A server with watched streams, and writers that change its carts as fast as the watchers keep up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clientela::proto::pb;
use prost::Message as _;

use crate::child::{Child, Product, Serving};
use crate::shop::{Clients, Keyed, Shop};
use crate::watchers::{STREAMS_A_CONNECTION, Watched, Watchers};

/// A server with watched streams: the product or its yardstick.
pub struct Source {
    /// The process.
    pub child: Child,
    /// The clients that change carts.
    pub clients: Clients,
    /// One key for each connection of watchers.
    pub keys: Vec<String>,
    /// The names of the carts.
    pub carts: Arc<[String]>,
    /// The settings of the server; the yardstick has none.
    pub product: Option<Product>,
}

impl Source {
    /// Starts the product with carts, lines for each, and keys for the streams.
    pub async fn product(product: Product, carts: usize, lines: usize, streams: usize) -> Self {
        let shop = Shop::start(product).await;
        Self::of(shop, carts, lines, streams).await
    }

    /// Does the same with a running shop.
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

    /// Starts the bare broadcast, which sends the same messages as the product.
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

    /// Returns an answer to AddItem and the message that watches receive of it, encoded.
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
            // A watch without a snapshot begins at a moment that its reader does not know.
            let cart = self.clients.add_item(0, &self.carts[0], 0).await;
            let wait = Duration::from_millis(200);
            while let Ok(message) = tokio::time::timeout(wait, stream.message()).await {
                let mut message = message
                    .expect("the watch continues")
                    .expect("it has no end");
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

    /// Changes carts as fast as `watchers` receive the changes, and returns the changes received per second.
    pub async fn saturate(&self, watchers: &Watchers, writers: Writers) -> f64 {
        const WARM_UP: Duration = Duration::from_millis(400);
        const SECONDS: f64 = 1.5;
        let streams = watchers.count as u64;
        let (before, made) = (watchers.received() / streams, AtomicU64::new(0));
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
            let (from, started) = (watchers.received(), Instant::now());
            tokio::time::sleep_until((until - Duration::from_millis(50)).into()).await;
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
            let received = (watchers.received() - from) as f64;
            received / started.elapsed().as_secs_f64()
        };
        let writing = futures::future::join_all((0..writers.count).map(writer));
        let (_, received) = futures::join!(writing, count);
        watchers
            .wait_for((before + made.load(Ordering::Relaxed)) * streams)
            .await;
        received
    }
}

/// Writers that make changes as fast as these are received.
#[derive(Clone, Copy)]
pub struct Writers {
    /// The number of writers.
    pub count: usize,
    /// Changes that may be made before the first of them has reached every watcher.
    pub ahead: u64,
}
