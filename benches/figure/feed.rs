//! The feed: how much it delivers, how soon, and what an idle stream costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clientela::proto::pb;
use prost::Message as _;

use crate::bench::{Bench, alternate, repeat};
use crate::child::{Child, Product, Serving};
use crate::load::at_rate;
use crate::shop::{self, Clients, Keyed, Shop};
use crate::table::{Row, Target};
use crate::watchers::{Commits, STREAMS_A_CONNECTION, Watched, Watchers};

const WATCHERS: usize = 1_000;

/// A server whose streams are watched: the product or its yardstick.
struct Source {
    child: Child,
    clients: Clients,
    keys: Vec<String>,
    carts: Arc<[String]>,
    /// Keeps the folder's owner in memory of what it is; the yardstick has none.
    product: Option<Product>,
}

impl Source {
    async fn product(product: Product, carts: usize) -> Self {
        let shop = Shop::start(product).await;
        let carts = shop.carts(carts, 1).await;
        let mut keys = Vec::new();
        for _ in 0..2_000_usize.div_ceil(STREAMS_A_CONNECTION) {
            keys.push(shop.key(pb::Role::Support).await);
        }
        Self {
            clients: shop.clients,
            child: shop.child,
            keys,
            carts,
            product: Some(shop.product),
        }
    }

    /// The bare broadcast, which sends what the product sends.
    async fn broadcast(product: &Self) -> Self {
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
    async fn sample(&self) -> (Vec<u8>, Vec<u8>) {
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

    async fn watch_everything(&self, streams: usize) -> Watchers {
        let watched = vec![Watched::Everything; streams];
        Watchers::open(&self.child, &self.keys, watched, None).await
    }

    /// Changes carts as fast as `watchers` are told of it, and counts what they are told a second.
    async fn saturate(&self, watchers: &Watchers) -> f64 {
        /// Changes that are made before the first of them has reached everybody.
        const AHEAD: u64 = 64;
        const WRITERS: usize = 16;
        const WARM_UP: Duration = Duration::from_millis(400);
        const SECONDS: f64 = 1.5;
        let streams = watchers.count as u64;
        let (before, made) = (watchers.told() / streams, AtomicU64::new(0));
        let until = Instant::now() + WARM_UP + Duration::from_secs_f64(SECONDS);
        let writer = async |writer: usize| {
            while Instant::now() < until {
                let number = made.fetch_add(1, Ordering::Relaxed);
                watchers
                    .wait_for((before + number.saturating_sub(AHEAD)) * streams)
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
        let writers = futures::future::join_all((0..WRITERS).map(writer));
        let (_, told) = futures::join!(writers, count);
        watchers
            .wait_for((before + made.load(Ordering::Relaxed)) * streams)
            .await;
        told
    }
}

pub async fn fan_out(bench: &Bench) -> Vec<Row> {
    const CARTS: usize = 64;
    let product = Source::product(shop::embedded(bench), CARTS).await;
    let bare = Source::broadcast(&product).await;
    let bytes = product.sample().await.1.len();
    let (told, bare_told) = (
        product.watch_everything(WATCHERS).await,
        bare.watch_everything(WATCHERS).await,
    );
    let rounds = alternate(
        async || product.saturate(&told).await,
        async || bare.saturate(&bare_told).await,
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "1,000 watchers of everything",
        "deliveries/s",
        rounds.product,
        Target::RatioAtLeast(1.0),
    )
    .beside("bare broadcast, encoded a stream", rounds.yardstick, ratios)
    .note(format!(
        "every version to every stream, a message has {bytes} bytes; the product also stores each \
         change durably"
    ));
    vec![row]
}

/// How soon changes at a rate are told.
struct Delays {
    /// The 99th percentile in milliseconds, from when the writer had its answer; of the yardstick, which
    /// commits nothing, from when the change was published.
    p99: f64,
    /// The same from the `commit_time` in the changes, which is taken before the flush.
    p99_stamped: f64,
    /// The changes that were made a second.
    rate: f64,
}

async fn delay_at_rate(
    source: &Source,
    streams: Vec<Watched>,
    told_a_change: u64,
    watching: &Child,
    rate: f64,
) -> Delays {
    const WARM_UP_SECONDS: f64 = 0.5;
    const SECONDS: f64 = 1.5;
    let commits = Commits::default();
    let counted_from = source.product.is_some().then(|| commits.clone());
    let watchers = Watchers::open(watching, &source.keys, streams, counted_from).await;
    let change = |number: usize| {
        let (clients, carts) = (source.clients.clone(), Arc::clone(&source.carts));
        let commits = commits.clone();
        async move {
            let cart = &carts[(number * 67) % carts.len()];
            let answer = clients.add_item(number, cart, 0).await;
            commits.answered(&answer.name, answer.version);
        }
    };
    at_rate(rate, WARM_UP_SECONDS, change).await;
    watchers.count_delays(true);
    let before = watchers.told();
    let reached = at_rate(rate, SECONDS, change).await;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand changes"
    )]
    let made = (reached * SECONDS * 0.9) as u64;
    watchers.wait_for(before + made * told_a_change).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    Delays {
        p99: watchers.delays().quantile(0.99) / 1e3,
        p99_stamped: watchers.stamped().quantile(0.99) / 1e3,
        rate: reached,
    }
}

fn slowest(measured: &[Delays]) -> String {
    let rates = measured.iter().map(|delays| delays.rate);
    let slowest = rates.fold(f64::INFINITY, f64::min);
    let mut stamped: Vec<f64> = measured.iter().map(|delays| delays.p99_stamped).collect();
    stamped.sort_by(f64::total_cmp);
    format!(
        "from the answer to the writer; from `commit_time`, which is taken before the flush, {:.1} ms in \
         the median round; the slowest round made {slowest:.0} changes a second",
        stamped[stamped.len() / 2]
    )
}

pub async fn delay_of_everything(bench: &Bench) -> Vec<Row> {
    const RATE: f64 = 100.0;
    let product = Source::product(shop::embedded(bench), 64).await;
    let bare = Source::broadcast(&product).await;
    let everything = || vec![Watched::Everything; WATCHERS];
    let mut measured = Vec::new();
    let rounds = alternate(
        async || {
            let streams = WATCHERS as u64;
            let delays = delay_at_rate(&product, everything(), streams, &product.child, RATE).await;
            let p99 = delays.p99;
            measured.push(delays);
            p99
        },
        async || {
            let streams = WATCHERS as u64;
            delay_at_rate(&bare, everything(), streams, &bare.child, RATE)
                .await
                .p99
        },
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "Commit to watcher, p99: 1,000 watchers of everything, 100 changes/s, SQLite",
        "ms",
        rounds.product,
        Target::AtMost(10.0),
    )
    .beside("bare broadcast", rounds.yardstick, ratios)
    .note(slowest(&measured));
    vec![row]
}

pub async fn delay_of_one_each(bench: &Bench) -> Vec<Row> {
    const RATE: f64 = 5_000.0;
    let product = Source::product(shop::embedded(bench), WATCHERS).await;
    let bare = Source::broadcast(&product).await;
    let one_each = || {
        let names = product.carts.iter().cloned();
        names.map(Watched::Cart).collect::<Vec<_>>()
    };
    let mut measured = Vec::new();
    let rounds = alternate(
        async || {
            let delays = delay_at_rate(&product, one_each(), 1, &product.child, RATE).await;
            let p99 = delays.p99;
            measured.push(delays);
            p99
        },
        async || {
            delay_at_rate(&bare, one_each(), 1, &bare.child, RATE)
                .await
                .p99
        },
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "Commit to watcher, p99: 1,000 carts with a watcher each, 5,000 changes/s, SQLite",
        "ms",
        rounds.product,
        Target::AtMost(5.0),
    )
    .beside("bare broadcast", rounds.yardstick, ratios)
    .note(slowest(&measured));
    vec![row]
}

pub async fn delay_at_the_other_replica(bench: &Bench) -> Vec<Row> {
    const RATE: f64 = 100.0;
    const AT_THE_OTHER: usize = 100;
    let first = Source::product(shop::on_postgres(bench).await, 64).await;
    let second = Child::start(&Serving::Product(
        first.product.clone().expect("it is the product"),
    ));
    let mut measured = Vec::new();
    let rounds = repeat(async || {
        let streams = vec![Watched::Everything; AT_THE_OTHER];
        let delays = delay_at_rate(&first, streams, AT_THE_OTHER as u64, &second, RATE).await;
        let p99 = delays.p99;
        measured.push(delays);
        p99
    })
    .await;
    let row = Row::new(
        "Commit to watcher, p99: 100 watchers at the other replica, 100 changes/s, PostgreSQL",
        "ms",
        rounds.product,
        Target::AtMost(30.0),
    )
    .note(slowest(&measured));
    vec![row]
}

/// What a stream adds to the memory of its server, in KiB. The server is new, so that nothing is
/// counted that an earlier round left.
async fn memory_of_a_stream(source: &Source) -> f64 {
    const STREAMS: usize = 2_000;
    // What the first streams bring with them for all.
    let few = source.watch_everything(STREAMS_A_CONNECTION).await;
    let before = source.child.memory_kib();
    let _many = source.watch_everything(STREAMS).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = source.child.memory_kib();
    drop(few);
    #[expect(clippy::cast_precision_loss, reason = "two thousand")]
    let streams = STREAMS as f64;
    (after - before) / streams
}

pub async fn idle_watchers(bench: &Bench) -> Vec<Row> {
    let sample = {
        let product = Source::product(shop::embedded(bench), 1).await;
        product.sample().await
    };
    let rounds = alternate(
        async || memory_of_a_stream(&Source::product(shop::embedded(bench), 1).await).await,
        async || {
            let (cart, change) = sample.clone();
            let child = Child::start(&Serving::Broadcast { cart, change });
            let source = Source {
                clients: Clients::connect(&child, "any").await,
                child,
                keys: vec!["any".to_owned(); 17],
                carts: Arc::new([]),
                product: None,
            };
            memory_of_a_stream(&source).await
        },
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "Memory of an idle watcher in the server, 2,000 streams",
        "KiB",
        rounds.product,
        Target::AtMost(8.0),
    )
    .beside("plain tonic stream", rounds.yardstick, ratios)
    .note("resident memory of the process, before and after; the connections are counted in");
    vec![row]
}
