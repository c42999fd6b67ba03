//! Open carts beside very many ordered ones: the first page of a watch.

use std::time::Instant;

use clientela::proto::pb::{self, watch_carts_response::Signal};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Row as _};

use crate::bench::{Bench, repeat};
use crate::child::Product;
use crate::fill;
use crate::shop::{self, Clients, Shop};
use crate::table::{Row, Target};

const ORDERED: usize = 3_000_000;
const OPEN: usize = 10_000;
/// The filter of the staff's monitors.
const FILTER: &str = "state = OPEN AND item_count > 0";

pub async fn open_carts(bench: &Bench) -> Vec<Row> {
    let sqlite = first_page(shop::embedded(bench), "SQLite").await;
    let postgres = first_page(shop::on_postgres(bench).await, "PostgreSQL").await;
    vec![sqlite, postgres]
}

async fn first_page(product: Product, engine: &str) -> Row {
    let shop = Shop::start(product).await;
    let carts = shop.carts(2, 1).await;
    let request = pb::OrderCartRequest {
        target: Some(pb::CartTarget {
            target: Some(pb::cart_target::Target::Cart(carts[1].clone())),
        }),
        order_reference: "the first".to_owned(),
        ..Default::default()
    };
    let ordered = shop.admin().await.carts(0).order_cart(request).await;
    ordered.expect("the cart is ordered");
    let product = shop.product.clone();
    shop.child.stop();
    let started = Instant::now();
    fill(&product).await.expect("the table is filled");
    let filled = started.elapsed().as_secs_f64();

    let shop = Shop::start(product).await;
    let admin = shop.admin().await;
    let mut whole = Vec::new();
    let rounds = repeat(async || {
        let (first, all) = open(&admin).await;
        whole.push(all);
        first
    })
    .await;
    Row::new(
        format!("Watch of open carts, 10,000 beside 3,000,000 ordered, {engine}: first cart"),
        "ms",
        rounds.product,
        Target::AtMost(200.0),
    )
    .note(format!(
        "`{FILTER}`; the whole snapshot takes {:.0} ms in the median; the rows are copies of two carts of the \
         API, inserted by SQL in {filled:.0} s",
        crate::table::median(&whole)
    ))
}

/// Opens a watch and returns the milliseconds until the first cart has come, and until all have.
async fn open(clients: &Clients) -> (f64, f64) {
    let started = Instant::now();
    let millis = || started.elapsed().as_secs_f64() * 1e3;
    let request = pb::WatchCartsRequest {
        filter: FILTER.to_owned(),
        ..Default::default()
    };
    let answer = clients.carts(0).watch_carts(request).await;
    let mut stream = answer.expect("the watch opens").into_inner();
    let (mut first, mut received) = (None, 0);
    loop {
        let message = stream.message().await.expect("the watch continues");
        let message = message.expect("a watch ends only with an error");
        if !message.changes.is_empty() {
            first.get_or_insert_with(millis);
            received += message.changes.len();
        }
        if matches!(message.signal, Some(Signal::SnapshotEnd(_))) {
            assert_eq!(received, OPEN, "these are the open carts");
            return (first.expect("a cart has come"), millis());
        }
    }
}

/// Copies the open cart and the ordered one on a connection of either engine, and closes it.
macro_rules! copy_carts {
    ($connection:expr) => {{
        let mut connection = $connection;
        let row = sqlx::query("SELECT * FROM carts LIMIT 1");
        let row = row.fetch_one(&mut connection).await?;
        let columns: Vec<&str> = row.columns().iter().map(|column| column.name()).collect();
        for statement in statements(&columns) {
            let statement = sqlx::raw_sql(AssertSqlSafe(statement));
            statement.execute(&mut connection).await?;
        }
        connection.close().await
    }};
}

async fn fill(product: &Product) -> sqlx::Result<()> {
    match &product.database_url {
        None => copy_carts!(fill::quick(&product.data_dir).await?),
        Some(url) => copy_carts!(url.parse::<PgConnectOptions>()?.connect().await?),
    }
}

/// Returns the statements that copy each of the two carts under further ids.
fn statements(columns: &[&str]) -> Vec<String> {
    let of = |state: u8, count: usize, prefix: &str| {
        let values: Vec<String> = columns
            .iter()
            .map(|column| match *column {
                "id" | "number" => format!("'{prefix}-' || n.i"),
                "owner" => format!("'visitor:{prefix}-' || n.i"),
                "order_reference" if state == 2 => format!("'{prefix}-' || n.i"),
                "create_time" | "update_time" | "activity_time" => format!("c.{column} - n.i"),
                other => format!("c.{other}"),
            })
            .collect();
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}),
             c AS (SELECT * FROM carts WHERE state = {state} LIMIT 1)
             INSERT INTO carts ({columns}) SELECT {values} FROM n CROSS JOIN c",
            columns = columns.join(", "),
            values = values.join(", "),
        )
    };
    let further = OPEN - 1;
    vec![
        of(2, ORDERED, "ordered"),
        of(1, further, "open"),
        "ANALYZE".to_owned(),
    ]
}
