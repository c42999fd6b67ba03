//! What figures share: the throw-away PostgreSQL, the folder for embedded stores, and the rounds in
//! which product and yardstick take turns.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::postgres::{Cluster, Durability};

/// How often product and yardstick take turns.
pub const ROUNDS: usize = 5;

/// One run of the benches.
pub struct Bench {
    cluster: OnceCell<Cluster>,
    folder: TempDir,
    databases: AtomicU32,
}

/// What the rounds of a figure gave, in their order.
#[derive(Default)]
pub struct Rounds {
    /// Of the product.
    pub product: Vec<f64>,
    /// Of the yardstick.
    pub yardstick: Vec<f64>,
}

impl Rounds {
    /// Product by yardstick, round by round: what the machine did to both falls out.
    pub fn ratios(&self) -> Vec<f64> {
        let pairs = self.product.iter().zip(&self.yardstick);
        pairs
            .map(|(product, yardstick)| product / yardstick)
            .collect()
    }
}

impl Bench {
    /// A run with nothing started yet.
    pub fn new() -> anyhow::Result<Self> {
        // Cargo's own folder lies on a disk, which the system's folder for such files need not.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).context("no folder")?;
        Ok(Self {
            cluster: OnceCell::new(),
            folder,
            databases: AtomicU32::new(0),
        })
    }

    fn next(&self) -> u32 {
        self.databases.fetch_add(1, Ordering::Relaxed)
    }

    /// A folder of its own for an embedded store.
    pub fn folder(&self) -> std::path::PathBuf {
        let path = self.folder.path().join(format!("store_{}", self.next()));
        std::fs::create_dir(&path).expect("the folder of this run can be written to");
        path
    }

    /// The URL of a fresh database of a PostgreSQL that flushes as in production.
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

/// Measures product and yardstick in turns; which of them is first changes from round to round.
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
