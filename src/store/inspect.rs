//! Inspection of a store from outside: a connection that only reads, whether or not a server runs.
//!
//! It creates, migrates and locks nothing.

use std::path::Path;
use std::sync::Arc;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::config::DatabaseUrl;
use super::conn::{Conn, Meter};
use super::folder::DATABASE_FILE;
use super::open::{self, OpenError, READER_VERSION};
use super::sqlite;
use super::target::{Session, Target};
use crate::on;

/// The schema of a store, and the schema that this release knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The newest migration that was applied.
    pub applied: i64,
    /// The newest migration of this release.
    pub known: i64,
    /// Whether a migration was begun and not finished.
    pub failed: bool,
    /// The reader version that the data requires.
    pub minimum_reader: i64,
    /// The reader version of this release.
    pub own_reader: i64,
}

/// Connects to an existing store, to read only.
///
/// # Errors
/// If there is none, if it cannot be reached, or if a start would refuse its file.
pub async fn inspect(database: &DatabaseUrl) -> Result<Conn, OpenError> {
    let target = match database {
        DatabaseUrl::Embedded { data_dir } => Target::Sqlite(Box::new(embedded(data_dir)?)),
        DatabaseUrl::Postgres(options) => {
            let options = options
                .as_ref()
                .clone()
                .application_name("clientela doctor")
                .disable_statement_logging();
            let session = Session::new(options)
                .with("default_transaction_read_only", "on")
                .with("statement_timeout", "30s")
                .with("lock_timeout", "2s")
                .on_standby_too();
            Target::Postgres(Box::new(session))
        }
    };
    let mut conn = target.connect(&Arc::new(Meter::default())).await?;
    if let DatabaseUrl::Embedded { data_dir } = database {
        sqlite::check_owner(&mut conn, &data_dir.join(DATABASE_FILE)).await?;
    }
    Ok(conn)
}

fn embedded(data_dir: &Path) -> Result<SqliteConnectOptions, OpenError> {
    let path = data_dir.join(DATABASE_FILE);
    // A mistyped path must not create a store.
    if let Err(source) = std::fs::metadata(&path) {
        return Err(OpenError::File { path, source });
    }
    sqlite::check_header(data_dir, &path)?;
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .disable_statement_logging())
}

const READ_SCHEMA: &str = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT),
    CAST(COALESCE(SUM(CASE WHEN success THEN 0 ELSE 1 END), 0) AS BIGINT)
    FROM _sqlx_migrations";

const READ_MINIMUM: &str = "SELECT value FROM store_meta WHERE key = 'minimum_reader_version'";

/// Reads the schema of the store.
///
/// # Errors
/// An error of the database, for example if it belongs to another program.
pub async fn schema(conn: &mut Conn) -> Result<Schema, OpenError> {
    let (applied, failed): (i64, i64) =
        on!(conn, |e| sqlx::query_as(READ_SCHEMA).fetch_one(e).await)?;
    let minimum: Option<String> = on!(conn, |e| sqlx::query_scalar(READ_MINIMUM)
        .fetch_optional(e)
        .await)?;
    let minimum = minimum.as_deref().unwrap_or("0").parse();
    Ok(Schema {
        applied,
        known: open::newest_migration(conn.engine()),
        failed: failed > 0,
        minimum_reader: minimum
            .map_err(|_| OpenError::Damaged("minimum_reader_version is no number".into()))?,
        own_reader: READER_VERSION,
    })
}
