//! Searches the tables of a shop's database, for tests that ask whether any data was left.

use clientela::store::DatabaseUrl;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::Shop;

/// The file of an embedded store.
const FILE: &str = "clientela.db";

/// Each column of text or bytes with its table, except the generated ones of the search.
const SQLITE_COLUMNS: &str = "SELECT t.name, c.name FROM sqlite_schema t
    JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND c.type IN ('TEXT', 'BLOB') AND t.name NOT LIKE '%search%'";
const POSTGRES_COLUMNS: &str = "SELECT table_name::text, column_name::text
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND data_type IN ('text', 'bytea')";

/// The position of the bytes `$1` in a column. PostgreSQL prints bytes as hexadecimal digits.
const SQLITE_PLACE: &str = "instr(CAST(column_name AS BLOB), $1)";
const POSTGRES_PLACE: &str = "position($1 IN convert_to(column_name::text, 'UTF8'))
    + position(encode($1, 'hex') IN column_name::text)";

/// Finds the columns of all tables that contain a word, once for each row.
macro_rules! search {
    ($connection:expr, $columns:expr, $place:expr, $word:expr) => {{
        let mut connection = $connection.expect("the database can be opened");
        let columns: Vec<(String, String)> = sqlx::query_as($columns)
            .fetch_all(&mut connection)
            .await
            .expect("the schema lists its columns");
        assert!(columns.len() > 50, "these are all columns: {columns:?}");
        let mut found = Vec::new();
        for (table, column) in columns {
            let place = $place.replace("column_name", &format!("\"{column}\""));
            let text = format!("SELECT COUNT(*) FROM \"{table}\" WHERE {place} > 0");
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(text))
                .bind($word.as_bytes())
                .fetch_one(&mut connection)
                .await
                .expect("a column can be searched");
            found.extend((0..count).map(|_| format!("{table}.{column}")));
        }
        connection.close().await.expect("the connection closes");
        found
    }};
}

impl Shop {
    /// Finds where the database contains a word, as `table.column`, once for each row.
    pub async fn mentions(&self, word: &str) -> Vec<String> {
        let mut mentions = match self.database() {
            DatabaseUrl::Embedded { data_dir } => {
                let file = SqliteConnectOptions::new()
                    .filename(data_dir.join(FILE))
                    .read_only(true);
                search!(file.connect().await, SQLITE_COLUMNS, SQLITE_PLACE, word)
            }
            DatabaseUrl::Postgres(options) => {
                search!(
                    options.connect().await,
                    POSTGRES_COLUMNS,
                    POSTGRES_PLACE,
                    word
                )
            }
        };
        mentions.sort_unstable();
        mentions
    }
}
