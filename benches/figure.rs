//! The figures, one function each. It prepares the servers, lets product and yardstick take turns, and
//! returns the rows of the table.

mod contention;
mod delay;
mod feed;
mod filtered;
mod growth;
mod kill;
mod large;
mod live;
mod pages;
mod passwords;
mod program;
mod reads;
mod registrations;
mod source;
mod writes;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use crate::bench::Bench;
use crate::table::Row;

/// Measures one figure.
pub type Figure = for<'b> fn(&'b Bench) -> LocalBoxFuture<'b, Vec<Row>>;

/// All figures by name, in the order of the table.
pub const FIGURES: &[(&str, Figure)] = &[
    ("get_customer_sqlite", |bench| {
        reads::on_sqlite(bench).boxed_local()
    }),
    ("get_customer_postgres", |bench| {
        reads::on_postgres(bench).boxed_local()
    }),
    ("add_item_sqlite", |bench| {
        writes::on_sqlite(bench).boxed_local()
    }),
    ("add_item_slow_flush", |bench| {
        writes::with_a_slow_flush(bench).boxed_local()
    }),
    ("add_item_postgres", |bench| {
        writes::on_postgres(bench).boxed_local()
    }),
    ("contention", |bench| {
        contention::on_sqlite(bench).boxed_local()
    }),
    ("create_customers", |bench| {
        registrations::on_sqlite(bench).boxed_local()
    }),
    ("growth", |bench| {
        growth::on_both_engines(bench).boxed_local()
    }),
    ("hints", |bench| writes::with_hints(bench).boxed_local()),
    ("fan_out", |bench| feed::fan_out(bench).boxed_local()),
    ("fan_out_100", |bench| {
        feed::fan_out_100(bench).boxed_local()
    }),
    ("delay_everything", |bench| {
        delay::of_everything(bench).boxed_local()
    }),
    ("delay_one_each", |bench| {
        delay::of_one_each(bench).boxed_local()
    }),
    ("delay_replica", |bench| {
        delay::by_notify(bench).boxed_local()
    }),
    ("delay_replica_nats", |bench| {
        delay::by_nats(bench).boxed_local()
    }),
    ("watchers_10k", |bench| {
        live::ten_thousand(bench).boxed_local()
    }),
    ("filtered_watches", |bench| {
        filtered::watches(bench).boxed_local()
    }),
    ("stalled", |bench| live::stalled(bench).boxed_local()),
    ("bulk", |bench| live::bulk(bench).boxed_local()),
    ("after_kill", |bench| {
        kill::all_are_back(bench).boxed_local()
    }),
    ("idle_watchers", |bench| {
        feed::idle_watchers(bench).boxed_local()
    }),
    ("passwords", |bench| passwords::storm(bench).boxed_local()),
    ("pages", |bench| pages::deep_page(bench).boxed_local()),
    ("open_carts", |bench| large::open_carts(bench).boxed_local()),
    ("start", |bench| program::start(bench).boxed_local()),
    ("size", |_| program::size().boxed_local()),
];
