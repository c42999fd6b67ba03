//! Fills a large shop. SQL copies the rows, because only their number matters to the plans.

use clientela::customers::INDEX_NOTED;
use clientela::store::DatabaseUrl;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use crate::contract::world::World;
use crate::harness::{Engine, Setup, Shop};

/// The file of an embedded store.
const FILE: &str = "clientela.db";

/// A second connection to the database, beside the server's.
pub enum Beside {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Runs an expression with the connection of either engine.
macro_rules! beside {
    ($connection:expr, |$executor:ident| $body:expr) => {
        match $connection {
            Beside::Sqlite($executor) => $body,
            Beside::Postgres($executor) => $body,
        }
    };
}

impl Beside {
    pub async fn connect(shop: &Shop) -> Self {
        match shop.database() {
            DatabaseUrl::Embedded { data_dir } => {
                let file = SqliteConnectOptions::new()
                    .filename(data_dir.join(FILE))
                    .disable_statement_logging();
                Self::Sqlite(file.connect().await.expect("the file opens"))
            }
            DatabaseUrl::Postgres(options) => {
                let options = options.disable_statement_logging();
                Self::Postgres(options.connect().await.expect("the cluster runs"))
            }
        }
    }

    /// Runs statements without results.
    pub async fn run(&mut self, text: &str) {
        let text = AssertSqlSafe(text.to_owned());
        beside!(self, |e| sqlx::raw_sql(text).execute(e).await.map(drop))
            .expect("the statements run");
    }

    pub async fn close(self) {
        beside!(self, |e| e.close().await).expect("the connection closes");
    }

    /// Returns the columns of a table that a statement may set.
    async fn columns(&mut self, table: &str) -> Vec<String> {
        let sqlite = format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> $1");
        let postgres = format!(
            "SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}'
             AND table_schema = current_schema() AND column_name <> $1 AND is_identity = 'NO'"
        );
        // The column that the database numbers itself.
        let given = match table {
            "customers" => "search_id",
            _ => "seq",
        };
        match self {
            Self::Sqlite(e) => {
                sqlx::query_scalar(AssertSqlSafe(sqlite))
                    .bind(given)
                    .fetch_all(e)
                    .await
            }
            Self::Postgres(e) => {
                sqlx::query_scalar(AssertSqlSafe(postgres))
                    .bind(given)
                    .fetch_all(e)
                    .await
            }
        }
        .expect("the schema has the table")
    }

    /// Copies a row of a table `times` times. `other` has an expression for each column that must
    /// differ, in which `i` is the number of the copy.
    pub async fn copy(&mut self, table: &str, row: &str, times: u32, other: &[(&str, &str)]) {
        let columns = self.columns(table).await;
        let values: Vec<String> = columns
            .iter()
            .map(|column| {
                let other = other.iter().find(|(name, _)| name == column);
                other.map_or_else(|| format!("t.{column}"), |(_, value)| (*value).to_owned())
            })
            .collect();
        let text = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times}),
             t AS (SELECT * FROM {table} WHERE {row} LIMIT 1)
             INSERT INTO {table} ({columns}) SELECT {values} FROM n CROSS JOIN t",
            columns = columns.join(", "),
            values = values.join(", "),
        );
        self.run(&text).await;
    }
}

/// Stops the server, fills the shop with `rows` customers and carts, and starts the server again.
pub async fn fill_up(shop: &mut Shop, rows: u32, setup: Setup) {
    let (customer, cart) = {
        let world = World::new(shop, &shop.admin_key, "copied");
        world.make_all().await;
        let cart = world.ordered_cart().await.name;
        (world.name("customers/{id}").await, cart)
    };
    let id = |name: &str| name.rsplit('/').next().map(str::to_owned);
    let (customer, cart) = (id(&customer).unwrap(), id(&cart).unwrap());
    shop.stop().await;
    let mut beside = Beside::connect(shop).await;
    fill(&mut beside, &customer, &cart, rows).await;
    let bytes = match shop.engine {
        Engine::Sqlite => "x'00'",
        Engine::Postgres => "'\\x00'::bytea",
    };
    for text in OTHERS {
        beside.run(&text.replace("{bytes}", bytes)).await;
    }
    beside
        .run(match shop.engine {
            Engine::Sqlite => INDEX_NOTED,
            Engine::Postgres => "ANALYZE",
        })
        .await;
    beside.close().await;
    shop.start_again(setup).await;
}

/// Copies the customer, the ordered cart and their other rows. The copies have the ids `c-1`, `c-2` and
/// so on. Of a hundred carts, one is open and one is merged.
async fn fill(beside: &mut Beside, customer: &str, cart: &str, rows: u32) {
    let of_customer = format!("customer_id = '{customer}'");
    let id = ("id", "'c-' || n.i");
    let customer_id = ("customer_id", "'c-' || n.i");
    let customers = [
        id,
        ("number", "'c-' || n.i"),
        ("email", "'c-' || n.i || '@example.test'"),
        ("email_claim", "'c-' || n.i || '@example.test'"),
        ("last_name", "'name-' || (n.i % 1000)"),
        ("last_name_folded", "'name-' || (n.i % 1000)"),
        ("last_name_key", "'name-' || (n.i % 1000)"),
        (
            "search_text",
            "' first name-' || (n.i % 1000) || ' c-' || n.i || '@example.test'",
        ),
        ("create_time", "t.create_time - n.i"),
        ("update_time", "t.update_time - n.i"),
    ];
    let row = format!("id = '{customer}'");
    beside.copy("customers", &row, rows, &customers).await;
    let carts = [
        id,
        ("number", "'c-' || n.i"),
        customer_id,
        ("owner", "'customer:c-' || n.i"),
        (
            "state",
            "CASE n.i % 100 WHEN 0 THEN 1 WHEN 50 THEN 3 ELSE 2 END",
        ),
        (
            "order_reference",
            "CASE WHEN n.i % 50 = 0 THEN NULL ELSE 'c-' || n.i END",
        ),
        ("activity_time", "t.activity_time - n.i"),
        ("create_time", "t.create_time - n.i"),
        ("update_time", "t.update_time - n.i"),
        ("pricing_group", "'g-' || (n.i % 7)"),
        // One in a thousand is locked.
        (
            "lock_expire_time",
            "CASE WHEN n.i % 1000 = 0 THEN t.update_time * 2 END",
        ),
    ];
    let row = format!("id = '{cart}'");
    beside.copy("carts", &row, rows, &carts).await;
    for table in ["memberships", "membership_grants"] {
        for group in ["customer", "copied-group"] {
            let row = format!("{of_customer} AND group_id = '{group}'");
            beside.copy(table, &row, rows, &[customer_id]).await;
        }
    }
    beside
        .copy("addresses", &of_customer, rows, &[customer_id])
        .await;
    let external = [customer_id, ("external_id", "'c-' || n.i")];
    beside
        .copy("customer_external_ids", &of_customer, rows, &external)
        .await;
    // A late time keeps the rows from compaction and purging.
    let later = ("commit_time", "t.commit_time * 2");
    let log = [
        later,
        ("resource_id", "'c-' || n.i"),
        ("request_id", "'c-' || n.i"),
    ];
    beside.copy("change_log", "1 = 1", rows, &log).await;
    let jobs = [id, ("state", "3"), ("end_time", "t.create_time * 2")];
    beside.copy("jobs", "1 = 1", rows, &jobs).await;
}

/// Statements for tables of which a test's requests fill only a few rows. `{bytes}` stands for any value
/// of bytes.
const OTHERS: &[&str] = &[
    "INSERT INTO credentials (shop_id, customer_id, digest, update_time)
        SELECT shop_id, id, '', 1 FROM customers WHERE id LIKE 'c-%'",
    "INSERT INTO visits (shop_id, customer_id, last_visit_time)
        SELECT shop_id, id, 1 FROM customers WHERE id LIKE 'c-%'",
    "INSERT INTO tombstones (shop_id, kind, id, version, delete_time)
        SELECT shop_id, 3, id, 1, 1 FROM customers WHERE id LIKE 'c-%'",
    "INSERT INTO member_counts (shop_id, group_id, delta)
        SELECT shop_id, id, 1 FROM customers WHERE id LIKE 'c-%'",
    "INSERT INTO used_links (shop_id, nonce, expire_time)
        SELECT shop_id, id, 4000000000000000 FROM customers WHERE id LIKE 'c-%'",
    "INSERT INTO answers (shop_id, request_id, digest, names, create_time)
        SELECT shop_id, id, {bytes}, '[]', 4000000000000000 FROM customers WHERE id LIKE 'c-%'",
];
