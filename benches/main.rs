//! Prints the figures that the service promises, each beside a yardstick that is measured in turns with it.
//! Run `cargo bench --bench figures`, or `-- NAME…` for some of them (`-- --list` prints the names).
//! `--seconds=N` sets the duration of loads whose length can be chosen, `--customers=N` the size of a shop
//! that calls fill.
//!
//! Servers are separate processes (this program, started with `serve`), so that the load shares neither
//! memory nor runtime with them.

mod bench;
mod call;
mod child;
mod cpu;
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
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt as _;

use bench::Bench;
use figure::FIGURES;
use table::{Machine, Row};

/// The time limit of one figure, without loads whose length was chosen.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// The default duration of those loads.
const SECONDS: f64 = 3.0;
/// The number of those loads in one figure.
const LOADS_MAX: f64 = 8.0;
/// The default number of customers in a shop that calls fill.
const CUSTOMERS: usize = 100_000;
/// The time limit for filling it on each engine.
const A_CUSTOMER: Duration = Duration::from_millis(20);

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
    let seconds = number(&arguments, "--seconds=", SECONDS)?;
    let customers = number(&arguments, "--customers=", CUSTOMERS)?;
    // Cargo adds its own flags.
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
    runtime.block_on(run(&asked, Bench::new(seconds, customers)?))
}

/// Returns the number after a flag, or the default.
fn number<N>(arguments: &[String], flag: &str, otherwise: N) -> anyhow::Result<N>
where
    N: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let given = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix(flag));
    given.map_or(Ok(otherwise), |text| {
        text.parse()
            .with_context(|| format!("{flag} takes a number"))
    })
}

async fn run(asked: &[&String], bench: Bench) -> anyhow::Result<()> {
    let before = Machine::now();
    let patience = PATIENCE
        + Duration::from_secs_f64(LOADS_MAX * bench.seconds)
        + A_CUSTOMER.saturating_mul(u32::try_from(bench.customers).unwrap_or(u32::MAX));
    let mut rows = Vec::new();
    for (name, measure) in FIGURES {
        if !asked.is_empty() && !asked.iter().any(|asked| asked == name) {
            continue;
        }
        eprintln!("{name} …");
        let started = Instant::now();
        let measured = AssertUnwindSafe(measure(&bench)).catch_unwind();
        match tokio::time::timeout(patience, measured).await {
            Ok(Ok(measured)) => rows.extend(measured),
            Ok(Err(_)) => rows.push(Row::failed(name, "it panicked; see standard error")),
            Err(_) => rows.push(Row::failed(name, "it took too long")),
        }
        eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    table::print(&rows, &before, &Machine::now());
    Ok(())
}
