//! ListCustomers: a page deep in a million rows beside the first.

use std::path::Path;
use std::time::Instant;

use clientela::proto::pb;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::bench::{Bench, alternate};
use crate::shop::{self, Clients, Shop};
use crate::table::{Row, Target, median};

const ROWS: i64 = 1_000_000;
const PAGE_SIZE: i32 = 50;
const PAGE: i32 = 5_000;
/// The largest page that is given, to get to the deep one sooner.
const STRIDE: i32 = 1_000;
/// Pages that are read in a round.
const READS: usize = 200;

pub async fn deep_page(bench: &Bench) -> Vec<Row> {
    let shop = Shop::start(shop::embedded(bench)).await;
    shop.customers(1).await;
    let product = shop.product.clone();
    shop.child.stop();
    let started = Instant::now();
    fill(&product.data_dir).await.expect("the table is filled");
    let filled = started.elapsed().as_secs_f64();

    let shop = Shop::start(product).await;
    let admin = shop.admin().await;
    let mut token = String::new();
    for _ in 0..(PAGE - 1) * PAGE_SIZE / STRIDE {
        token = list(&admin, STRIDE, &token).await.next_page_token;
    }
    let rest = (PAGE - 1) * PAGE_SIZE % STRIDE;
    if rest > 0 {
        token = list(&admin, rest, &token).await.next_page_token;
    }
    let deep = list(&admin, PAGE_SIZE, &token).await;
    let expected = format!("customers/customer-{:07}", (PAGE - 1) * PAGE_SIZE);
    assert_eq!(deep.customers[0].name, expected, "this is the deep page");

    let rounds = alternate(
        async || time_of_a_page(&admin, &token).await,
        async || time_of_a_page(&admin, "").await,
    )
    .await;
    let ratios = rounds.ratios();
    let row = Row::new(
        "ListCustomers, 1,000,000 rows, page 5,000",
        "µs",
        rounds.product,
        Target::RatioAtMost(1.2),
    )
    .beside("page 1", rounds.yardstick, ratios)
    .note(format!(
        "pages of {PAGE_SIZE}, SQLite, median of {READS} reads a round; the rows are copies of one \
         customer of the API, inserted by SQL in {filled:.0} s without search text, which a list \
         does not read"
    ));
    vec![row]
}

async fn list(clients: &Clients, page_size: i32, token: &str) -> pb::ListCustomersResponse {
    let request = pb::ListCustomersRequest {
        page_size,
        page_token: token.to_owned(),
        ..Default::default()
    };
    let answer = clients.customers(0).list_customers(request).await;
    answer.expect("a page").into_inner()
}

async fn time_of_a_page(clients: &Clients, token: &str) -> f64 {
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let started = Instant::now();
        list(clients, PAGE_SIZE, token).await;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    median(&times)
}

/// Copies the one customer under further ids, numbers and addresses, straight into the tables of a
/// store that nobody has open.
async fn fill(data_dir: &Path) -> sqlx::Result<()> {
    let mut connection = SqliteConnectOptions::new()
        .filename(data_dir.join("clientela.db"))
        .pragma("synchronous", "OFF")
        .pragma("cache_size", "-1000000")
        .connect()
        .await?;
    let columns: Vec<String> =
        sqlx::query_scalar("SELECT name FROM pragma_table_info('customers')")
            .fetch_all(&mut connection)
            .await?;
    let values: Vec<String> = columns.iter().map(|column| value(column)).collect();
    let insert = format!(
        "WITH RECURSIVE counted (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {ROWS} - 1
         )
         INSERT INTO customers ({columns})
         SELECT {values} FROM counted CROSS JOIN (SELECT * FROM customers LIMIT 1) AS c",
        columns = columns.join(", "),
        values = values.join(", "),
    );
    run(&mut connection, insert).await?;
    run(&mut connection, "ANALYZE".to_owned()).await?;
    connection.close().await
}

/// The value of a column in the copy number `n`.
fn value(column: &str) -> String {
    match column {
        "search_id" => "n + 1".to_owned(),
        "id" => "printf('customer-%07d', n)".to_owned(),
        "number" => "printf('%d', 100000000 + n)".to_owned(),
        "email" | "email_folded" | "email_claim" => {
            "printf('ada.lovelace.%d@example.test', n)".to_owned()
        }
        "search_text" => "''".to_owned(),
        "doc" => "replace(c.doc, 'ada.lovelace.0@', printf('ada.lovelace.%d@', n))".to_owned(),
        "create_time" | "update_time" => format!("c.{column} + n"),
        other => format!("c.{other}"),
    }
}

async fn run(connection: &mut SqliteConnection, statement: String) -> sqlx::Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(connection)
        .await
        .map(drop)
}
