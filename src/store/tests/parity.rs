//! Tests that both engines have the same migrations, tables and columns, except for the search index of
//! SQLite.

use std::collections::BTreeMap;

use super::*;

/// Table -> (column -> type and whether it may be NULL), with the type names that both engines share.
type Schema = BTreeMap<String, BTreeMap<String, (String, bool)>>;

async fn schema(fixture: &Fixture) -> Schema {
    let rows: Vec<(String, String, String, bool)> = fixture
        .store
        .read(|conn| {
            async move {
                let sql = conn.engine().pick(
                    // The shadow tables of a search index exist only on SQLite.
                    "SELECT t.name, c.name, c.type, c.\"notnull\" = 0 AND c.pk = 0 \
                     FROM pragma_table_list AS t JOIN pragma_table_info(t.name) AS c \
                     WHERE t.schema = 'main' AND t.type = 'table'",
                    "SELECT table_name::text, column_name::text, data_type::text, \
                     is_nullable = 'YES' FROM information_schema.columns \
                     WHERE table_schema = current_schema()",
                );
                Ok(on!(conn, |e| sqlx::query_as(sql).fetch_all(e).await)?)
            }
            .boxed()
        })
        .await
        .unwrap();
    let mut schema = Schema::new();
    for (table, column, kind, nullable) in rows {
        // Only SQLite needs this table.
        let is_apart = table == "customers_search_due";
        if table.starts_with("_sqlx") || table.starts_with("sqlite_") || is_apart {
            continue;
        }
        let kind = match kind.to_uppercase().as_str() {
            "INTEGER" | "BIGINT" => "number",
            // SQLite stores truth values as numbers.
            "BOOLEAN" => "number",
            "BLOB" | "BYTEA" => "bytes",
            "TEXT" => "text",
            other => panic!("{table}.{column} is {other}, which is not of the portable subset"),
        };
        schema
            .entry(table)
            .or_default()
            .insert(column, (kind.to_owned(), nullable));
    }
    schema
}

#[tokio::test]
async fn both_engines_have_the_same_tables_and_columns() {
    let postgres = postgres().await;

    let (one, other) = (schema(&sqlite().await).await, schema(&postgres).await);

    assert!(one.contains_key("change_log"));
    assert_eq!(one, other);
}

#[test]
fn both_engines_have_the_same_migrations() {
    let names = |migrator: sqlx::migrate::Migrator| -> Vec<(i64, String)> {
        migrator
            .iter()
            .map(|step| (step.version, step.description.to_string()))
            .collect()
    };

    let sqlite = names(sqlx_macros::migrate!("migrations/sqlite"));

    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, names(sqlx_macros::migrate!("migrations/postgres")));
}

#[tokio::test]
async fn texts_that_are_ordered_by_sort_alike() {
    let postgres = postgres().await;
    let mut orders = Vec::new();
    for fixture in [sqlite().await, postgres] {
        for name in ["b", "A", "a", "_", "é", "Z", "10", "9"] {
            fixture.increment(name).await.unwrap();
        }
        let order: Vec<String> = fixture
            .store
            .read(|conn| {
                async move {
                    Ok(on!(conn, |e| {
                        sqlx::query_scalar("SELECT name FROM sequences ORDER BY name")
                            .fetch_all(e)
                            .await
                    })?)
                }
                .boxed()
            })
            .await
            .unwrap();
        orders.push(order);
    }
    assert_eq!(orders[0], orders[1]);
}
