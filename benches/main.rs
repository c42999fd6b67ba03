//! Prints the figures that the service promises, each beside a yardstick that is measured in turn
//! with it: `cargo bench --bench figures`, or `-- NAME…` for some of them (`-- --list` names them).
//!
//! Servers run as processes of their own (this program, started with `serve`), so that the load does
//! not share their memory or their runtime.

mod bench;
mod child;
mod figure;
mod fill;
mod load;
mod nats;
#[path = "../tests/it/harness/postgres.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod postgres;
mod shop;
mod table;
mod watchers;
mod yardstick;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt as _;

use bench::Bench;
use figure::FIGURES;
use table::{Machine, Row};

/// How long one figure may take.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "serve") {
        return child::serve();
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in FIGURES {
            println!("{name}");
        }
        return Ok(());
    }
    // Cargo adds flags of its own.
    let asked: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    for name in &asked {
        anyhow::ensure!(
            FIGURES.iter().any(|(known, _)| known == name),
            "there is no figure {name}; --list names them"
        );
    }
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    runtime.block_on(run(&asked))
}

async fn run(asked: &[&String]) -> anyhow::Result<()> {
    let before = Machine::look();
    let bench = Bench::new()?;
    let mut rows = Vec::new();
    for (name, measure) in FIGURES {
        if !asked.is_empty() && !asked.iter().any(|asked| asked == name) {
            continue;
        }
        eprintln!("{name} …");
        let started = Instant::now();
        let measured = AssertUnwindSafe(measure(&bench)).catch_unwind();
        match tokio::time::timeout(PATIENCE, measured).await {
            Ok(Ok(measured)) => rows.extend(measured),
            Ok(Err(_)) => rows.push(Row::failed(name, "it panicked; see standard error")),
            Err(_) => rows.push(Row::failed(name, "it took too long")),
        }
        eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    table::print(&rows, &before, &Machine::look());
    Ok(())
}
