//! The feed: its throughput, and the cost of an idle stream.

use std::sync::Arc;
use std::time::Duration;

use super::source::{Source, Writers};
use crate::bench::{Bench, alternate};
use crate::child::{Child, Serving};
use crate::shop::{self, Clients, LINES};
use crate::table::{Row, Target};
use crate::watchers::STREAMS_A_CONNECTION;

/// Deliveries while carts are changed as fast as `watchers` receive the changes.
struct FullSpeed {
    figure: &'static str,
    watchers: usize,
    carts: usize,
    lines: usize,
    writers: Writers,
    /// The target as a multiple of the yardstick.
    wanted: f64,
}

pub async fn fan_out(bench: &Bench) -> Vec<Row> {
    let many = FullSpeed {
        figure: "1,000 watchers of everything",
        watchers: 1_000,
        carts: 64,
        lines: 1,
        writers: Writers {
            count: 16,
            ahead: 64,
        },
        wanted: 1.0,
    };
    many.measure(bench).await
}

pub async fn fan_out_100(bench: &Bench) -> Vec<Row> {
    let some = FullSpeed {
        figure: "100 watchers of everything",
        watchers: 100,
        // Enough carts that each write of a batch goes to a separate cart.
        carts: 512,
        lines: LINES,
        writers: Writers {
            count: 128,
            ahead: 512,
        },
        wanted: 1.2,
    };
    some.measure(bench).await
}

impl FullSpeed {
    async fn measure(&self, bench: &Bench) -> Vec<Row> {
        let embedded = shop::embedded(bench);
        let product = Source::product(embedded, self.carts, self.lines, self.watchers).await;
        let bare = Source::broadcast(&product).await;
        let bytes = product.sample().await.1.len();
        let (watchers, bare_watchers) = (
            product.watch_everything(self.watchers).await,
            bare.watch_everything(self.watchers).await,
        );
        let rounds = alternate(
            async || product.saturate(&watchers, self.writers).await,
            async || bare.saturate(&bare_watchers, self.writers).await,
        )
        .await;
        let ratios = rounds.ratios();
        let row = Row::new(
            self.figure,
            "deliveries/s",
            rounds.product,
            Target::RatioAtLeast(self.wanted),
        )
        .beside("bare broadcast, encoded a stream", rounds.yardstick, ratios)
        .note(format!(
            "every version to every stream, a message has {bytes} bytes; the product also stores \
             each change durably"
        ));
        vec![row]
    }
}

/// Streams that receive no change.
const IDLE: usize = 2_000;

/// Returns the memory that a stream adds to its server, in KiB. The server is new, so that nothing of an
/// earlier round is counted.
async fn memory_of_a_stream(source: &Source) -> f64 {
    // The first streams also allocate what all streams share.
    let few = source.watch_everything(STREAMS_A_CONNECTION).await;
    let before = source.child.memory_kib();
    let _many = source.watch_everything(IDLE).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = source.child.memory_kib();
    drop(few);
    #[expect(clippy::cast_precision_loss, reason = "two thousand")]
    let streams = IDLE as f64;
    (after - before) / streams
}

pub async fn idle_watchers(bench: &Bench) -> Vec<Row> {
    let sample = {
        let product = Source::product(shop::embedded(bench), 1, 1, IDLE).await;
        product.sample().await
    };
    let rounds = alternate(
        async || {
            memory_of_a_stream(&Source::product(shop::embedded(bench), 1, 1, IDLE).await).await
        },
        async || {
            let (cart, change) = sample.clone();
            let child = Child::start(&Serving::Broadcast { cart, change });
            let source = Source {
                clients: Clients::connect(&child, "any").await,
                child,
                keys: vec!["any".to_owned(); IDLE.div_ceil(STREAMS_A_CONNECTION)],
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
