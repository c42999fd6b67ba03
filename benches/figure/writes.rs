//! AddItem: durable, on either engine, and with hints of the feed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clientela::proto::pb;
use prost::Message as _;

use crate::bench::{Bench, Spent, alternate};
use crate::child::{Child, Hinting, Product, Serving, Statements};
use crate::fill;
use crate::load::{Measured, closed_loop};
use crate::shop::{self, Clients, LINES, Shop};
use crate::table::{Row, Target};
use crate::yardstick::GroupCommit;

const IN_FLIGHT: usize = 64;
const SECONDS: f64 = 1.5;
const CARTS: usize = 2_000;
/// The maximal number of writes that the product puts into a transaction.
const BATCH: usize = 128;
const SLOW_FLUSH_MILLIS: u64 = 2;

/// Returns the cart of a caller's next call: each caller uses all carts, in a separate order.
fn place(caller: usize, made: usize) -> usize {
    (caller * 31 + made * 67) % CARTS
}

async fn add_items(clients: &Clients, carts: &Arc<[String]>, in_flight: usize) -> Measured {
    let (clients, carts) = (clients.clone(), Arc::clone(carts));
    let call = move |caller: usize, made: usize| {
        let (clients, carts) = (clients.clone(), Arc::clone(&carts));
        async move {
            let cart = &carts[place(caller, made) % carts.len()];
            clients.add_item(caller, cart, made % LINES).await;
        }
    };
    closed_loop(in_flight, SECONDS, call).await
}

async fn bare_writes(writer: &GroupCommit) -> f64 {
    let write = writer.caller();
    let call = move |caller: usize, made: usize| write(place(caller, made));
    closed_loop(IN_FLIGHT, SECONDS, call).await.per_second
}

/// A stopped embedded store with carts, and a copy of it.
struct Prepared {
    product: Product,
    copy: PathBuf,
    carts: Arc<[String]>,
    sample: pb::Cart,
}

async fn prepare(bench: &Bench) -> Prepared {
    let shop = Shop::start(shop::embedded(bench)).await;
    let carts = shop.carts(CARTS, LINES).await;
    let sample = shop.clients.add_item(0, &carts[0], 0).await;
    let product = shop.product.clone();
    shop.child.stop();
    let copy = bench.folder();
    copy_files(&product.data_dir, &copy);
    Prepared {
        product,
        copy,
        carts,
        sample,
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("the disk has space");
    }
}

/// Returns how many statements an AddItem sends under load.
async fn statements(shop: &Shop, carts: &Arc<[String]>) -> f64 {
    let before = shop.child.written_statements();
    let mut calls = 0.0;
    for made in 0..500 {
        let cart = &carts[made % carts.len()];
        shop.clients.add_item(made, cart, made % LINES).await;
        calls += 1.0;
    }
    (shop.child.written_statements() - before) / calls
}

pub async fn on_sqlite(bench: &Bench) -> Vec<Row> {
    let prepared = prepare(bench).await;
    let shop = Shop::start(prepared.product.clone()).await;
    let payload = prepared.sample.encode_to_vec();
    let bytes = payload.len();
    let writer = GroupCommit::open(&prepared.copy, BATCH, Duration::ZERO, payload).await;
    let writer = writer.expect("the copy can be opened");
    let spent = Spent::default();
    let rounds = alternate(
        async || {
            let load = add_items(&shop.clients, &prepared.carts, IN_FLIGHT);
            spent.per_second(&shop.child, load).await
        },
        async || bare_writes(&writer).await,
    )
    .await;
    writer.close().await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "AddItem, durable, SQLite, 64 in flight",
        "calls/s",
        rounds.product,
        Target::RatioAtLeast(0.5),
    )
    .beside("bare group commit", rounds.yardstick, ratios)
    .note(format!(
        "{CARTS} carts of {LINES} lines, {bytes} bytes each; the yardstick has no server before it, and \
         sends the cart and the change in two messages"
    ));
    let statements = statements(&shop, &prepared.carts).await;
    let count = Row::new(
        "Statements of an AddItem, SQLite",
        "statements",
        vec![statements],
        Target::AtMost(3.0),
    )
    .note("messages to the database, of which the second writes the cart and appends the change");
    vec![row, spent.row("AddItem, SQLite"), count]
}

pub async fn with_a_slow_flush(bench: &Bench) -> Vec<Row> {
    let prepared = prepare(bench).await;
    let shop = Shop::start(Product {
        flush_delay_millis: SLOW_FLUSH_MILLIS,
        ..prepared.product.clone()
    })
    .await;
    let delay = Duration::from_millis(SLOW_FLUSH_MILLIS);
    let payload = prepared.sample.encode_to_vec();
    let writer = GroupCommit::open(&prepared.copy, 1, delay, payload).await;
    let writer = writer.expect("the copy can be opened");
    let spent = Spent::default();
    let rounds = alternate(
        async || {
            let load = add_items(&shop.clients, &prepared.carts, IN_FLIGHT);
            spent.per_second(&shop.child, load).await
        },
        async || bare_writes(&writer).await,
    )
    .await;
    writer.close().await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "AddItem, SQLite, each flush slowed by 2 ms, 64 in flight",
        "calls/s",
        rounds.product,
        Target::RatioAtLeast(10.0),
    )
    .beside("one transaction a write", rounds.yardstick, ratios);
    vec![row, spent.row("AddItem, SQLite, slow flush")]
}

pub async fn on_postgres(bench: &Bench) -> Vec<Row> {
    let shop = Shop::start(shop::on_postgres(bench).await).await;
    let names = shop.customers(1).await;
    let carts = shop.carts(CARTS, LINES).await;
    let analyzed = fill::analyze(&shop.product).await;
    analyzed.expect("the database counts its rows");
    let customer = shop.clients.get_customer(0, &names[0]).await;
    let cart = shop.clients.add_item(0, &carts[0], 0).await;
    let bare = Child::start(&Serving::Statements(Statements {
        database_url: shop.product.database_url.clone().expect("it was given"),
        customer: customer.encode_to_vec(),
        cart: cart.encode_to_vec(),
    }));
    let statements_alone = Clients::connect(&bare, "any").await;
    let (ours, theirs) = (Spent::default(), Spent::default());
    let rounds = alternate(
        async || {
            let load = add_items(&shop.clients, &carts, IN_FLIGHT);
            ours.per_second(&shop.child, load).await
        },
        async || {
            let load = add_items(&statements_alone, &carts, IN_FLIGHT);
            theirs.per_second(&bare, load).await
        },
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "AddItem, durable, PostgreSQL, 64 in flight",
        "calls/s",
        rounds.product,
        Target::RatioAtLeast(0.6),
    )
    .beside("bare statements behind an echo", rounds.yardstick, ratios)
    .note("the same database for both; 16 connections each");
    drop(bare);
    let cpu = ours.row_beside(
        "AddItem, PostgreSQL",
        "bare statements behind an echo",
        theirs,
        2.0,
    );
    // Begin and locks are one message, and one of the four.
    let statements = 1.0 + statements(&shop, &carts).await;
    let count = Row::new(
        "Statements of an AddItem, PostgreSQL",
        "statements",
        vec![statements],
        Target::AtMost(4.0),
    )
    .note(
        "with the begin, which takes the locks, and one that writes the cart and appends the change; the \
         commit comes on top",
    );
    vec![row, cpu, count]
}

pub async fn with_hints(bench: &Bench) -> Vec<Row> {
    const WRITERS: usize = 16;
    let product = shop::on_postgres(bench).await;
    let on = Shop::start(product.clone()).await;
    let carts = on.carts(CARTS, LINES).await;
    let analyzed = fill::analyze(&on.product).await;
    analyzed.expect("the database counts its rows");
    // Both use the same tables, so only the hints differ.
    let off = Shop::start(Product {
        hints: Hinting::Off,
        ..product
    })
    .await;
    let (with, without) = (Spent::default(), Spent::default());
    let rounds = alternate(
        async || {
            let load = add_items(&on.clients, &carts, WRITERS);
            with.per_second(&on.child, load).await
        },
        async || {
            let load = add_items(&off.clients, &carts, WRITERS);
            without.per_second(&off.child, load).await
        },
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "AddItem, PostgreSQL, hints on, 16 writers",
        "calls/s",
        rounds.product,
        Target::RatioAtLeast(0.9),
    )
    .beside("hints off", rounds.yardstick, ratios);
    let cpu = with.row_beside("AddItem, hints on", "hints off", without, 1.1);
    vec![row, cpu]
}
