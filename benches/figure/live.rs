//! Live carts under the load of a shop: very many watchers, one stalled watcher, and a bulk change of
//! customers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clientela::proto::pb;

use super::delay::{Audience, Delays, how};
use super::source::Source;
use crate::bench::{Bench, ROUNDS, alternate, repeat};
use crate::fill::{self, With};
use crate::shop::{self, Clients, Keyed, Shop};
use crate::table::{Row, Target, median};
use crate::watchers::{self, Watched};

/// Changes per second.
const RATE: f64 = 200.0;

pub async fn ten_thousand(bench: &Bench) -> Vec<Row> {
    const CARTS: usize = 10_000;
    const OF_EVERYTHING: usize = 10;
    const STREAMS: usize = CARTS + OF_EVERYTHING;
    let product = Source::product(shop::embedded(bench), CARTS, 1, STREAMS).await;
    let mut streams: Vec<Watched> = product.carts.iter().cloned().map(Watched::Cart).collect();
    streams.extend(vec![Watched::Everything; OF_EVERYTHING]);
    let streams_per_change = 1 + OF_EVERYTHING as u64;
    let opened = Instant::now();
    let audience = Audience::gather(&product, &product.child, streams, streams_per_change).await;
    let opened = opened.elapsed().as_secs_f64();
    let (mut measured, mut memory) = (Vec::new(), Vec::new());
    let rounds = repeat(async || {
        let delays = audience.measure(&product, RATE).await;
        memory.push(product.child.memory_kib() / 1024.0);
        let p99 = delays.p99;
        measured.push(delays);
        p99
    })
    .await;
    let watched = "10,000 carts with a watcher each and 10 watchers of everything, 200 changes/s";
    let delay = Row::new(
        format!("Commit to watcher, p99: {watched}, SQLite"),
        "ms",
        rounds.product,
        Target::AtMost(50.0),
    )
    .note(format!(
        "{}; the streams were opened in {opened:.1} s",
        how(&measured)
    ));
    let memory = Row::new(
        format!("Memory of the server: {watched}"),
        "MiB",
        memory,
        Target::AtMost(250.0),
    )
    .note("resident memory of the whole process, which the readers are no part of");
    vec![delay, memory]
}

/// Delays beside those of a quieter time.
#[derive(Default)]
struct Both {
    disturbed: Vec<Delays>,
    quiet: Vec<Delays>,
}

impl Both {
    fn of(measured: &[Delays], figure: fn(&Delays) -> f64) -> Vec<f64> {
        measured.iter().map(figure).collect()
    }

    /// Makes the row of a 99th percentile, which may be 1.5 times that of the quieter time.
    fn row(&self, name: &str, quiet: &'static str, figure: fn(&Delays) -> f64) -> Row {
        let disturbed = Self::of(&self.disturbed, figure);
        let otherwise = Self::of(&self.quiet, figure);
        let pairs = disturbed.iter().zip(&otherwise);
        let ratios = pairs.map(|(with, without)| with / without).collect();
        Row::new(name, "ms", disturbed, Target::RatioAtMost(1.5)).beside(quiet, otherwise, ratios)
    }
}

pub async fn stalled(bench: &Bench) -> Vec<Row> {
    const WATCHERS: usize = 100;
    let product = Source::product(shop::embedded(bench), 64, 1, WATCHERS).await;
    let mut both = Both::default();
    let Both { disturbed, quiet } = &mut both;
    let key = Keyed::new(&product.keys[0]);
    let round = async |reading: usize| {
        let streams = vec![Watched::Everything; reading];
        let audience = Audience::gather(&product, &product.child, streams, reading as u64).await;
        audience.measure(&product, RATE).await
    };
    alternate(
        async || {
            let unread = watchers::stall(&product.child, key.clone()).await;
            disturbed.push(round(WATCHERS - 1).await);
            drop(unread);
            0.0
        },
        async || {
            quiet.push(round(WATCHERS).await);
            0.0
        },
    )
    .await;
    let quiet = "all 100 read";
    vec![
        both.row(
            "AddItem beside a stalled watcher among 100, 200 changes/s, SQLite, p99",
            quiet,
            |delays| delays.p99_of_writers,
        ),
        both.row(
            "Commit to watcher beside a stalled one among 100, 200 changes/s, SQLite, p99",
            quiet,
            |delays| delays.p99,
        ),
    ]
}

/// A bulk change of customers, one part in each round.
struct Bulk {
    admin: Clients,
    group: String,
    changed: usize,
}

impl Bulk {
    /// The customers of one call, which is its maximum.
    const CALL: usize = 1_000;

    async fn new(shop: &Shop) -> Self {
        Self {
            admin: shop.admin().await,
            group: shop.group("bulk").await,
            changed: 0,
        }
    }

    /// Makes the next customers members of the group, one call after the other.
    async fn change(&mut self, customers: usize) {
        let end = self.changed + customers;
        while self.changed < end {
            let members = (self.changed..self.changed + Self::CALL).map(shop::customer_name);
            let request = pb::AddMembersRequest {
                group: self.group.clone(),
                members: members.collect(),
                ..Default::default()
            };
            let answer = self.admin.groups().add_members(request).await;
            let answer = answer.expect("members are added").into_inner();
            let changed = pb::member_result::Outcome::Changed as i32;
            assert!(
                answer
                    .results
                    .iter()
                    .all(|result| result.outcome == changed),
                "each customer is changed"
            );
            self.changed += Self::CALL;
        }
    }
}

pub async fn bulk(bench: &Bench) -> Vec<Row> {
    const CUSTOMERS: usize = 100_000;
    const WATCHERS: usize = 1_000;
    let shop = fill::shop(shop::embedded(bench), CUSTOMERS, With::Memberships).await;
    let product = shop.product.clone();
    let bulk = tokio::sync::Mutex::new(Bulk::new(&shop).await);
    let source = Source::of(shop, WATCHERS, 1, WATCHERS).await;
    let one_each = source.carts.iter().cloned().map(Watched::Cart).collect();
    let audience = Audience::gather(&source, &source.child, one_each, 1).await;
    let mut both = Both::default();
    let Both { disturbed, quiet } = &mut both;
    let mut times = Vec::new();
    alternate(
        async || {
            let (begun, done) = (Instant::now(), AtomicBool::new(false));
            let change = async {
                let mut bulk = bulk.lock().await;
                bulk.change(CUSTOMERS / ROUNDS).await;
                times.push(begun.elapsed().as_secs_f64());
                done.store(true, Ordering::Relaxed);
            };
            let ended = || done.load(Ordering::Relaxed);
            let measured = audience.measure_until(&source, RATE, ended);
            let ((), delays) = futures::join!(change, measured);
            disturbed.push(delays);
            // The jobs that it left belong to it.
            fill::wait_for_jobs(&product).await;
            0.0
        },
        async || {
            quiet.push(audience.measure(&source, RATE).await);
            0.0
        },
    )
    .await;
    let part = CUSTOMERS / ROUNDS;
    let writers = |measured| median(&Both::of(measured, |delays| delays.p99_of_writers));
    let row = both.row(
        "Commit to watcher of a cart during a bulk change of 100,000 customers, p99",
        "without it",
        |delays| delays.p99,
    );
    vec![row.note(format!(
        "1,000 carts with a watcher each, 200 changes/s, SQLite; in each round AddMembers changes the \
         next {part} customers, 1,000 a call and one call after the other, in {:.1} s; AddItem itself \
         has a p99 of {:.1} ms then, and of {:.1} ms without it",
        median(&times),
        writers(&both.disturbed),
        writers(&both.quiet),
    ))]
}
