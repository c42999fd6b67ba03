//! Shared parts of the figures: the temporary PostgreSQL, the folder for embedded stores, and the rounds in
//! which product and yardstick take turns.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::child::Child;
use crate::load::Measured;
use crate::postgres::{Cluster, Durability};
use crate::table::{Row, Target};

/// The number of turns of product and yardstick.
pub const ROUNDS: usize = 5;

/// One run of the benches.
pub struct Bench {
    cluster: OnceCell<Cluster>,
    folder: TempDir,
    databases: AtomicU32,
    /// The duration in seconds of loads whose length can be chosen.
    pub seconds: f64,
    /// The number of customers of the large shop.
    pub customers: usize,
}

/// The values of the rounds of a figure, in order.
#[derive(Default)]
pub struct Rounds {
    /// The values of the product.
    pub product: Vec<f64>,
    /// The values of the yardstick.
    pub yardstick: Vec<f64>,
}

impl Rounds {
    /// Returns product divided by yardstick for each round, which cancels the effects of the machine on both.
    pub fn ratios(&self) -> Vec<f64> {
        let pairs = self.product.iter().zip(&self.yardstick);
        pairs
            .map(|(product, yardstick)| product / yardstick)
            .collect()
    }
}

impl Bench {
    /// Prepares a run; nothing is started yet.
    pub fn new(seconds: f64, customers: usize) -> anyhow::Result<Self> {
        // Cargo's own folder is on a disk. The system's temporary folder may be in memory.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).context("no folder")?;
        Ok(Self {
            cluster: OnceCell::new(),
            folder,
            databases: AtomicU32::new(0),
            seconds,
            customers,
        })
    }

    fn next(&self) -> u32 {
        self.databases.fetch_add(1, Ordering::Relaxed)
    }

    /// Creates a folder for an embedded store.
    pub fn folder(&self) -> std::path::PathBuf {
        let path = self.folder.path().join(format!("store_{}", self.next()));
        std::fs::create_dir(&path).expect("the folder of this run can be written to");
        path
    }

    /// Creates a database in a PostgreSQL that flushes as in production, and returns its URL.
    pub async fn database(&self) -> String {
        let settings = [("max_connections", "200")];
        let cluster = self
            .cluster
            .get_or_init(|| Cluster::start(Durability::Full, &settings))
            .await;
        let name = format!("bench_{}", self.next());
        cluster.create_database(&name, None).await;
        cluster.url(&name)
    }
}

/// The processor time of a server, per call, in each round.
#[derive(Default)]
pub struct Spent(RefCell<Vec<f64>>);

impl Spent {
    /// Puts a server under a load and returns the calls per second.
    pub async fn per_second(&self, child: &Child, load: impl Future<Output = Measured>) -> f64 {
        self.measure(child, load).await.per_second
    }

    /// Puts a server under a load.
    pub async fn measure(&self, child: &Child, load: impl Future<Output = Measured>) -> Measured {
        let before = child.cpu();
        let measured = load.await;
        let spent = child.cpu().micros_since(&before);
        self.0.borrow_mut().push(spent / measured.calls);
        measured
    }

    /// Makes a row without a yardstick.
    pub fn row(self, figure: &str) -> Row {
        let figure = format!("{figure}: the server's CPU a call");
        Row::new(figure, "µs", self.0.into_inner(), Target::None)
    }

    /// Makes a row with the yardstick's values.
    pub fn row_beside(self, figure: &str, name: &'static str, yardstick: Self, most: f64) -> Row {
        let yardstick = yardstick.0.into_inner();
        let pairs = self.0.borrow();
        let ratios = pairs.iter().zip(&yardstick);
        let ratios = ratios.map(|(product, yardstick)| product / yardstick);
        let ratios = ratios.collect();
        drop(pairs);
        let mut row = self.row(figure).beside(name, yardstick, ratios);
        row.aim(Target::RatioAtMost(most));
        row
    }
}

/// Measures product and yardstick in turns. The first one alternates between rounds.
pub async fn alternate(
    mut product: impl AsyncFnMut() -> f64,
    mut yardstick: impl AsyncFnMut() -> f64,
) -> Rounds {
    let mut rounds = Rounds::default();
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            rounds.product.push(product().await);
            rounds.yardstick.push(yardstick().await);
        } else {
            rounds.yardstick.push(yardstick().await);
            rounds.product.push(product().await);
        }
        eprint!(".");
    }
    eprintln!();
    rounds
}

/// Measures the product alone.
pub async fn repeat(mut product: impl AsyncFnMut() -> f64) -> Rounds {
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        rounds.product.push(product().await);
        eprint!(".");
    }
    eprintln!();
    rounds
}
