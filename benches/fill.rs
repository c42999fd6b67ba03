//! Fills tables by SQL when the API would take too long. It copies the one customer that the API created, in
//! a store that no server has open.

use std::path::Path;
use std::time::Duration;

use clientela::clock::Clock;
use clientela::customers::INDEX_NOTED;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use crate::child::Product;
use crate::shop::{Shop, customer_id};

const PAUSE: Duration = Duration::from_millis(50);

/// The data that is copied beside the customers themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Nothing, which is enough for reads.
    Nothing,
    /// Their memberships, so that they can be changed.
    Memberships,
}

/// Copies the first customer under further ids, numbers and addresses, until there are `count` customers.
async fn customers(data_dir: &Path, count: usize, with: With) -> sqlx::Result<()> {
    let mut connection = quick(data_dir).await?;
    copy(&mut connection, "customers", count, |column| {
        value(column, with)
    })
    .await?;
    if with == With::Memberships {
        for table in ["memberships", "membership_grants"] {
            copy(&mut connection, table, count, |column| match column {
                "customer_id" => "printf('customer-%07d', n)".to_owned(),
                other => format!("c.{other}"),
            })
            .await?;
        }
    }
    run(&mut connection, INDEX_NOTED.to_owned()).await?;
    run(&mut connection, "ANALYZE".to_owned()).await?;
    connection.close().await
}

/// Starts a server whose shop has `count` customers: the first one created by a call, the others as copies.
pub async fn shop(product: Product, count: usize, with: With) -> Shop {
    let shop = Shop::start(product).await;
    shop.customers(1).await;
    let product = shop.product.clone();
    shop.child.stop();
    let filled = customers(&product.data_dir, count, with).await;
    filled.expect("the tables are filled");
    Shop::start(product).await
}

/// Waits until a running server has done the jobs of earlier calls.
pub async fn wait_for_jobs(product: &Product) {
    /// Jobs that are scheduled later do not belong to those calls.
    const SOON: i64 = 10_000_000;
    let left = "SELECT COUNT(*) FROM jobs WHERE state = 2 OR state = 1 AND run_at <= $1";
    let soon = || Clock::system().now() + SOON;
    match &product.database_url {
        None => {
            let file = options(&product.data_dir).read_only(true);
            let mut connection = file.connect().await.expect("others may read the file");
            wait_until_none(async || {
                let left = sqlx::query_scalar(left).bind(soon());
                left.fetch_one(&mut connection).await
            })
            .await;
        }
        Some(url) => {
            let connection = PgConnection::connect(url).await;
            let mut connection = connection.expect("others may read the database");
            wait_until_none(async || {
                let left = sqlx::query_scalar(left).bind(soon());
                left.fetch_one(&mut connection).await
            })
            .await;
        }
    }
}

/// Waits until the count is zero.
async fn wait_until_none(mut left: impl AsyncFnMut() -> sqlx::Result<i64>) {
    while left().await.expect("the jobs can be read") > 0 {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Updates the statistics of PostgreSQL about its tables, as it would by itself a little later.
pub async fn analyze(product: &Product) -> sqlx::Result<()> {
    if let Some(url) = &product.database_url {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql("VACUUM ANALYZE")
            .execute(&mut connection)
            .await?;
        connection.close().await?;
    }
    Ok(())
}

/// Opens a connection for very many rows, which need not survive a power failure.
pub async fn quick(data_dir: &Path) -> sqlx::Result<SqliteConnection> {
    let options = options(data_dir)
        .pragma("synchronous", "OFF")
        .pragma("cache_size", "-1000000");
    options.connect().await
}

fn options(data_dir: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(data_dir.join("clientela.db"))
}

/// Copies each row of the first customer in a table, with `value` for each column of the copy `n`.
async fn copy(
    connection: &mut SqliteConnection,
    table: &str,
    count: usize,
    value: impl Fn(&str) -> String,
) -> sqlx::Result<()> {
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(&mut *connection)
        .await?;
    let values: Vec<String> = columns.iter().map(|column| value(column)).collect();
    let id = if table == "customers" {
        "id"
    } else {
        "customer_id"
    };
    let insert = format!(
        "WITH RECURSIVE counted (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {count} - 1
         )
         INSERT INTO {table} ({columns})
         SELECT {values} FROM counted
         CROSS JOIN (SELECT * FROM {table} WHERE {id} = '{first}') AS c",
        columns = columns.join(", "),
        values = values.join(", "),
        first = customer_id(0),
    );
    run(connection, insert).await
}

const NUMBER: &str = "printf('%d', 100000000 + n)";

/// Returns the value of a customer's column in copy number `n`.
fn value(column: &str, with: With) -> String {
    match column {
        "search_id" => "n + 1".to_owned(),
        "id" => "printf('customer-%07d', n)".to_owned(),
        "number" => NUMBER.to_owned(),
        "email" | "email_folded" | "email_claim" => {
            "printf('ada.lovelace.%d@example.test', n)".to_owned()
        }
        // A customer that is only read has no search text. A customer that is changed has the text that the
        // change leaves unchanged; it ends with the number.
        "search_text" if with == With::Nothing => "''".to_owned(),
        "search_text" => format!(
            "replace(substr(c.search_text, 1, length(c.search_text) - length(c.number)),
                'ada.lovelace.0@', printf('ada.lovelace.%d@', n)) || {NUMBER}"
        ),
        "doc" => format!(
            "json_set(replace(c.doc, 'ada.lovelace.0@', printf('ada.lovelace.%d@', n)),
                '$.number', {NUMBER})"
        ),
        "create_time" | "update_time" => format!("c.{column} + n"),
        other => format!("c.{other}"),
    }
}

async fn run(connection: &mut SqliteConnection, statement: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .map(drop)
}
