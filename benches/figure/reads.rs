//! GetCustomer.

use std::sync::Arc;

use prost::Message as _;

use crate::bench::{Bench, Spent, alternate};
use crate::child::{Child, Serving, Statements};
use crate::fill;
use crate::load::{Measured, closed_loop};
use crate::shop::{self, Clients, Shop};
use crate::table::{Row, Target};

const IN_FLIGHT: usize = 64;
const SECONDS: f64 = 1.2;
const CUSTOMERS: usize = 1_000;

async fn calls(clients: &Clients, names: &Arc<[String]>) -> Measured {
    let (clients, names) = (clients.clone(), Arc::clone(names));
    let call = move |caller: usize, made: usize| {
        let (clients, names) = (clients.clone(), Arc::clone(&names));
        async move {
            let name = &names[(caller * 17 + made) % names.len()];
            clients.get_customer(caller, name).await;
        }
    };
    closed_loop(IN_FLIGHT, SECONDS, call).await
}

pub async fn on_sqlite(bench: &Bench) -> Vec<Row> {
    let shop = Shop::start(shop::embedded(bench)).await;
    let names = shop.customers(CUSTOMERS).await;
    let customer = shop.clients.get_customer(0, &names[0]).await;
    let bytes = customer.encoded_len();
    let echo = Child::start(&Serving::Echo {
        customer: customer.encode_to_vec(),
    });
    let echoes = Clients::connect(&echo, "any").await;
    let (ours, bare) = (Spent::default(), Spent::default());
    let rounds = alternate(
        async || {
            let load = calls(&shop.clients, &names);
            ours.per_second(&shop.child, load).await
        },
        async || bare.per_second(&echo, calls(&echoes, &names)).await,
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "GetCustomer, SQLite, 64 in flight",
        "calls/s",
        rounds.product,
        Target::RatioAtLeast(0.5),
    )
    .beside("bare tonic echo", rounds.yardstick, ratios)
    .note(format!(
        "{CUSTOMERS} customers, an answer has {bytes} bytes"
    ));
    let cpu = ours.row_beside("GetCustomer, SQLite", "bare tonic echo", bare, 2.0);
    vec![row, cpu]
}

pub async fn on_postgres(bench: &Bench) -> Vec<Row> {
    let shop = Shop::start(shop::on_postgres(bench).await).await;
    let names = shop.customers(CUSTOMERS).await;
    let carts = shop.carts(1, 1).await;
    let analyzed = fill::analyze(&shop.product).await;
    analyzed.expect("the database counts its rows");
    let customer = shop.clients.get_customer(0, &names[0]).await;
    let cart = shop.clients.add_item(0, &carts[0], 0).await;
    let bare = Child::start(&Serving::Statements(Statements {
        database_url: shop.product.database_url.clone().expect("it was given"),
        customer: customer.encode_to_vec(),
        cart: cart.encode_to_vec(),
    }));
    let statements = Clients::connect(&bare, "any").await;
    let (ours, theirs) = (Spent::default(), Spent::default());
    let rounds = alternate(
        async || {
            let load = calls(&shop.clients, &names);
            ours.per_second(&shop.child, load).await
        },
        async || theirs.per_second(&bare, calls(&statements, &names)).await,
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "GetCustomer, PostgreSQL, 64 in flight",
        "calls/s",
        rounds.product,
        Target::RatioAtLeast(0.6),
    )
    .beside("bare statement behind an echo", rounds.yardstick, ratios);
    let cpu = ours.row_beside(
        "GetCustomer, PostgreSQL",
        "bare statement behind an echo",
        theirs,
        2.0,
    );
    vec![row, cpu]
}
