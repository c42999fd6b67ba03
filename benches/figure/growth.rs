//! Every RPC in a small shop, and in the same shop after it has grown large.

mod addresses;
mod carts;
mod groups;
mod held;
mod requests;
mod saved_filters;
mod world;

use std::time::{Duration, Instant};

use crate::bench::{Bench, ROUNDS};
use crate::call;
use crate::shop;
use crate::table::{Row, Target, median};
use world::World;

/// Customers of the small shop, each with a cart.
const SMALL: usize = 1_000;
/// Sequential calls of a round.
const CALLS: u32 = 20;
/// The maximal factor by which a call may cost more in the large shop.
const GOAL: f64 = 1.3;
/// The time without calls in which the server's own work is measured.
const IDLE: Duration = Duration::from_secs(5);

/// Requests beside the plain one to each RPC: the name of the RPC, and its filter, order or kind.
const MORE: &[(&str, &str)] = &[
    ("ListCustomers", "last_name = \"Babbage 50\""),
    ("ListCustomers", "last_name:babbage"),
    ("ListCustomers", "last_name:lovelace"),
    ("ListCustomers", "email = \"ada.50@example.test\""),
    ("ListCustomers", "external_ids.erp = erp-50"),
    ("ListCustomers", "groups:groups/rare"),
    ("ListCustomers", "groups:groups/customer"),
    ("ListCustomers", "default_group = groups/customer"),
    ("ListCustomers", "state = ACTIVE"),
    (
        "ListCustomers",
        "groups:groups/customer AND last_name = \"Babbage 50\"",
    ),
    ("ListCustomers", "query babbage"),
    ("ListCustomers", "query lovelace"),
    ("ListCustomers", "order last_name"),
    ("ListCustomers", "order create_time desc"),
    ("UpdateCustomer", "email"),
    ("UpdateCustomer", "last_name"),
    ("LookupCustomer", "external_id"),
    ("WatchCustomers", "last_name = \"Babbage 50\""),
    ("WatchCustomers", "groups:groups/rare"),
    ("ListMembers", "groups/customer"),
    ("UpdateGroup", "discount_percent"),
    ("GetCart", "owner"),
    ("AddItem", "owner"),
    ("ListCarts", "customer = customers/customer-0000050"),
    ("ListCarts", "state = OPEN"),
    ("ListCarts", "state = ORDERED"),
    (
        "ListCarts",
        "state = OPEN AND customer = customers/customer-0000050",
    ),
    ("ListCarts", "order update_time desc"),
    ("WatchCarts", "customer = customers/customer-0000050"),
    (
        "WatchCarts",
        "state = OPEN AND customer = customers/customer-0000050",
    ),
];

/// The costs of a call in microseconds, one value for each round.
#[derive(Default)]
struct Costs {
    cpu: Vec<f64>,
    wall: Vec<f64>,
}

pub async fn on_both_engines(bench: &Bench) -> Vec<Row> {
    let mut rows = on(bench, "SQLite", World::new(shop::embedded(bench)).await).await;
    let postgres = World::new(shop::on_postgres(bench).await).await;
    rows.extend(on(bench, "PostgreSQL", postgres).await);
    rows
}

async fn on(bench: &Bench, engine: &str, mut world: World) -> Vec<Row> {
    let trials: Vec<(String, &str)> = call::methods()
        .map(|method| (method.name().to_owned(), ""))
        .chain(MORE.iter().map(|(rpc, how)| ((*rpc).to_owned(), *how)))
        .collect();
    let mut measured = Vec::new();
    let mut notes = Vec::new();
    for size in [SMALL.min(bench.customers), bench.customers] {
        let started = Instant::now();
        let added = size - world.size();
        world.fill(size).await;
        let seconds = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let costs = measure(&world, &trials).await;
        let idle = idle(&world).await;
        notes.push(format!(
            "{added} customers with a cart each were added in {seconds:.0} s, the calls took {:.0} s",
            started.elapsed().as_secs_f64(),
        ));
        measured.push((costs, idle));
    }
    let (large, idle_large) = measured.pop().expect("two sizes");
    let (small, idle_small) = measured.pop().expect("two sizes");

    let named = trials.iter().map(|(rpc, how)| format!("{rpc} {how}"));
    let mut rows: Vec<Row> = Vec::new();
    let mut above = Vec::new();
    let mut worst: f64 = 0.0;
    for ((name, large), small) in named.zip(large).zip(small) {
        let name = name.trim_end();
        let ratio = median(&large.cpu) / median(&small.cpu);
        let (wall, wall_small) = (median(&large.wall), median(&small.wall));
        if ratio > GOAL {
            above.push(format!("{name} {ratio:.2}"));
        }
        worst = worst.max(ratio);
        let figure = format!("{engine}: {name}");
        let row = Row::new(figure, "µs of CPU", large.cpu, Target::RatioAtMost(GOAL))
            .beside("small", small.cpu, vec![ratio])
            .note(format!(
                "a call takes {wall:.0} µs, in the small shop {wall_small:.0}: {:.2} times",
                wall / wall_small
            ));
        rows.push(row);
    }
    let figure = format!("{engine}: nothing, for a second");
    let row = Row::new(figure, "µs of CPU", vec![idle_large], Target::None);
    let ratios = vec![idle_large / idle_small];
    rows.push(row.beside("small", vec![idle_small], ratios));

    let figure = format!(
        "{engine}: {} customers with a cart each, the worst of {} calls",
        bench.customers,
        trials.len()
    );
    let head = Row::new(figure, "times", vec![worst], Target::AtMost(GOAL)).note(format!(
        "the CPU of the server, and of the database's sessions, by that with {SMALL} customers; {}; \
         above {GOAL}: {}",
        notes.join("; "),
        if above.is_empty() { "none".to_owned() } else { above.join(", ") },
    ));
    rows.insert(0, head);
    rows
}

/// Tries each call in each round, so that a disturbance of the machine affects one round of some calls.
async fn measure(world: &World, trials: &[(String, &str)]) -> Vec<Costs> {
    let mut costs: Vec<Costs> = trials.iter().map(|_| Costs::default()).collect();
    // Everything runs once before the first measured round.
    for round in 0..=ROUNDS {
        for ((rpc, how), costs) in trials.iter().zip(&mut costs) {
            let mut calls = Vec::new();
            for _ in 0..CALLS {
                calls.push(world.request(rpc, how).await);
            }
            world.work_done().await;
            let before = world.cpu();
            let started = Instant::now();
            for call in calls {
                call.await;
            }
            let wall = started.elapsed().as_secs_f64() * 1e6;
            // The jobs that the calls leave are counted with them.
            world.work_done().await;
            let cpu = world.cpu().micros_since(&before);
            if round > 0 {
                costs.cpu.push(cpu / f64::from(CALLS));
                costs.wall.push(wall / f64::from(CALLS));
            }
            world.tidy().await;
        }
        eprint!(".");
    }
    eprintln!();
    costs
}

/// Returns the processor time of a second without calls, in microseconds.
async fn idle(world: &World) -> f64 {
    let before = world.cpu();
    tokio::time::sleep(IDLE).await;
    world.cpu().micros_since(&before) / IDLE.as_secs_f64()
}
