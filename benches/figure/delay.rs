//! The delay of changes at a rate, from the answer to their writer until their reader has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::source::Source;
use crate::bench::{Bench, alternate, repeat};
use crate::child::{Child, Hinting, Product, Serving};
use crate::load::{Histogram, at_rate, at_rate_until, micros};
use crate::nats::Nats;
use crate::shop;
use crate::table::{Row, Target, median};
use crate::watchers::{Commits, Watched, Watchers};

/// The duration of writes before the measurement.
const WARM_UP_SECONDS: f64 = 0.5;
const SECONDS: f64 = 1.5;
/// The time for changes in progress at the end.
const REST: Duration = Duration::from_millis(200);

/// The values measured at a rate.
pub struct Delays {
    /// The 99th percentile in milliseconds, from the answer to the writer. The yardstick commits nothing, so
    /// its delay counts from the publication of the change.
    pub p99: f64,
    /// The same from the `commit_time` in the changes, which is taken before the flush.
    pub p99_stamped: f64,
    /// The 99th percentile of the writers' waits for their answers, in milliseconds.
    pub p99_of_writers: f64,
    /// The changes made per second.
    pub rate: f64,
}

/// The watchers of a source's changes.
pub struct Audience {
    watchers: Watchers,
    commits: Commits,
    streams_per_change: u64,
}

impl Audience {
    /// Opens watches at `watching`, which is the source's server or another replica. `streams_per_change` of
    /// them receive a change.
    pub async fn gather(
        source: &Source,
        watching: &Child,
        streams: Vec<Watched>,
        streams_per_change: u64,
    ) -> Self {
        let commits = Commits::default();
        let counted_from = source.product.is_some().then(|| commits.clone());
        let watchers = Watchers::open(watching, &source.keys, streams, counted_from).await;
        Self {
            watchers,
            commits,
            streams_per_change,
        }
    }

    /// Changes carts at a rate for a short time.
    pub async fn measure(&self, source: &Source, rate: f64) -> Delays {
        let until = Instant::now() + Duration::from_secs_f64(WARM_UP_SECONDS + SECONDS);
        self.measure_until(source, rate, || Instant::now() >= until)
            .await
    }

    /// Changes carts at a rate until `ended`.
    pub async fn measure_until(
        &self,
        source: &Source,
        rate: f64,
        ended: impl Fn() -> bool,
    ) -> Delays {
        let waits = Arc::new(Histogram::new());
        let change = |waits: Option<Arc<Histogram>>| {
            move |number: usize| {
                let (clients, carts) = (source.clients.clone(), Arc::clone(&source.carts));
                let (commits, waits) = (self.commits.clone(), waits.clone());
                async move {
                    let cart = &carts[(number * 67) % carts.len()];
                    let begun = Instant::now();
                    let answer = clients.add_item(number, cart, 0).await;
                    commits.answered(&answer.name, answer.version);
                    if let Some(waits) = waits {
                        waits.record(micros(begun.elapsed()));
                    }
                }
            }
        };
        at_rate(rate, WARM_UP_SECONDS, change(None)).await;
        self.watchers.count_delays();
        let before = self.watchers.received();
        let reached = at_rate_until(rate, ended, change(Some(Arc::clone(&waits)))).await;
        // Late changes of the warm-up may be among those received.
        let expected = waits.count() * 9 / 10 * self.streams_per_change;
        self.watchers.wait_for(before + expected).await;
        tokio::time::sleep(REST).await;
        Delays {
            p99: self.watchers.delays().quantile(0.99) / 1e3,
            p99_stamped: self.watchers.stamped().quantile(0.99) / 1e3,
            p99_of_writers: waits.quantile(0.99) / 1e3,
            rate: reached,
        }
    }
}

async fn delay_at_rate(
    source: &Source,
    streams: Vec<Watched>,
    streams_per_change: u64,
    watching: &Child,
    rate: f64,
) -> Delays {
    let audience = Audience::gather(source, watching, streams, streams_per_change).await;
    audience.measure(source, rate).await
}

/// Describes how the delays were measured.
pub fn how(measured: &[Delays]) -> String {
    let rates = measured.iter().map(|delays| delays.rate);
    let slowest = rates.fold(f64::INFINITY, f64::min);
    let stamped: Vec<f64> = measured.iter().map(|delays| delays.p99_stamped).collect();
    format!(
        "from the answer to the writer; from `commit_time`, which is taken before the flush, {:.1} ms in \
         the median round; the slowest round made {slowest:.0} changes a second",
        median(&stamped)
    )
}

/// Measures the product and the bare broadcast in turns.
async fn beside_the_broadcast(
    product: &Source,
    streams: Vec<Watched>,
    streams_per_change: u64,
    rate: f64,
    figure: &'static str,
    limit: f64,
) -> Vec<Row> {
    let bare = Source::broadcast(product).await;
    let mut measured = Vec::new();
    let rounds = alternate(
        async || {
            let streams = streams.clone();
            let delays =
                delay_at_rate(product, streams, streams_per_change, &product.child, rate).await;
            let p99 = delays.p99;
            measured.push(delays);
            p99
        },
        async || {
            let streams = streams.clone();
            delay_at_rate(&bare, streams, streams_per_change, &bare.child, rate)
                .await
                .p99
        },
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(figure, "ms", rounds.product, Target::AtMost(limit))
        .beside("bare broadcast", rounds.yardstick, ratios)
        .note(how(&measured));
    vec![row]
}

pub async fn of_everything(bench: &Bench) -> Vec<Row> {
    const WATCHERS: usize = 1_000;
    let product = Source::product(shop::embedded(bench), 64, 1, WATCHERS).await;
    let everything = vec![Watched::Everything; WATCHERS];
    let figure = "Commit to watcher, p99: 1,000 watchers of everything, 100 changes/s, SQLite";
    beside_the_broadcast(&product, everything, WATCHERS as u64, 100.0, figure, 10.0).await
}

pub async fn of_one_each(bench: &Bench) -> Vec<Row> {
    const WATCHERS: usize = 1_000;
    let product = Source::product(shop::embedded(bench), WATCHERS, 1, WATCHERS).await;
    let one_each = product.carts.iter().cloned().map(Watched::Cart).collect();
    let figure = "Commit to watcher, p99: 1,000 carts with a watcher each, 5,000 changes/s, SQLite";
    beside_the_broadcast(&product, one_each, 1, 5_000.0, figure, 5.0).await
}

/// With 100 watchers at another replica than the one that makes the changes.
async fn at_the_other_replica(product: Product, hints: &str, limit: f64) -> Vec<Row> {
    const RATE: f64 = 100.0;
    const WATCHERS: usize = 100;
    let first = Source::product(product.clone(), 64, 1, WATCHERS).await;
    let second = Child::start(&Serving::Product(product));
    let mut measured = Vec::new();
    let rounds = repeat(async || {
        let streams = vec![Watched::Everything; WATCHERS];
        let delays = delay_at_rate(&first, streams, WATCHERS as u64, &second, RATE).await;
        let p99 = delays.p99;
        measured.push(delays);
        p99
    })
    .await;
    let row = Row::new(
        format!(
            "Commit to watcher, p99: 100 watchers at the other replica, 100 changes/s, PostgreSQL, \
             hints by {hints}"
        ),
        "ms",
        rounds.product,
        Target::AtMost(limit),
    )
    .note(how(&measured));
    vec![row]
}

pub async fn by_notify(bench: &Bench) -> Vec<Row> {
    at_the_other_replica(shop::on_postgres(bench).await, "NOTIFY", 30.0).await
}

pub async fn by_nats(bench: &Bench) -> Vec<Row> {
    let nats = Nats::start();
    let product = Product {
        hints: Hinting::Nats(nats.url()),
        ..shop::on_postgres(bench).await
    };
    at_the_other_replica(product, "NATS", 15.0).await
}
