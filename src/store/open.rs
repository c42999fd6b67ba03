//! What both engines check before a store is served: version, migrations, identity.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};

use super::Engine;
use super::conn::{Conn, Meter, Native};
use super::error::{self, Class};
use crate::{ids, on};

/// The version of the schema's meaning that this release understands. A release that changes a
/// table so that older ones would misread it writes its own number as `minimum_reader_version`.
pub(super) const READER_VERSION: i64 = 1;

/// Why a store is not opened; each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database URL cannot be used.
    #[error("the database URL cannot be read: {0}")]
    BadUrl(String),
    /// A URL of NATS cannot be used.
    #[error("the NATS URLs cannot be read: {0}")]
    BadNatsUrl(String),
    /// A mode of encryption that may fall back to none.
    #[error(
        "the database is on another machine, and sslmode=allow and sslmode=prefer may send \
         everything in plain text; use verify-full, or sslmode=disable to do so knowingly"
    )]
    PlainAllowed,
    /// Another process has the folder.
    #[error("another clientela process is using {}; stop it first", .0.display())]
    InUse(PathBuf),
    /// An empty or missing database in a folder that had one.
    #[error(
        "{} is empty or missing, but {sign} lies beside it, so this is no first start; nothing was \
         changed. Put the database back or restore a backup; for a new store, name an empty folder \
         with --data-dir", .file.display()
    )]
    NoDatabase {
        /// The file.
        file: PathBuf,
        /// Which file says that there was one.
        sign: &'static str,
    },
    /// A folder whose path SQLite does not take.
    #[error(
        "the path of the data folder has {length} bytes, and SQLite takes at most {most}; choose a \
         shorter one with --data-dir"
    )]
    LongPath {
        /// How long it is.
        length: usize,
        /// How long it may be.
        most: usize,
    },
    /// Not an SQLite file.
    #[error("{} is not a Clientela database: its header is wrong", .0.display())]
    WrongHeader(PathBuf),
    /// An SQLite file of another program.
    #[error("{} is a database of another program", .0.display())]
    Foreign(PathBuf),
    /// A file whose content cannot be read.
    #[error("{} is damaged and is left as it is; restore a copy of it", .0.display())]
    DamagedFile(PathBuf),
    /// A release that is too old for the data.
    #[error(
        "the database was written by a newer release, which asks for reader version {needed}, \
         and this one has {own}; install the newer release"
    )]
    TooNew {
        /// What the data asks for.
        needed: i64,
        /// What this release has.
        own: i64,
    },
    /// A library or server that is too old.
    #[error("{what} is version {found}, and at least {needed} is needed")]
    OldEngine {
        /// Which one.
        what: &'static str,
        /// Its version.
        found: String,
        /// The version that is needed.
        needed: &'static str,
    },
    /// A setting that durability rests on did not take.
    #[error("the database does not accept the setting {0}, without which commits may be lost")]
    Setting(&'static str),
    /// A PostgreSQL database that does not store every text.
    #[error(
        "the database's encoding is {0}, and it has to be UTF8; make another with CREATE DATABASE … \
         ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    /// A pooler that hands one session of PostgreSQL to several clients in turn.
    #[error(
        "a pooler before PostgreSQL shares sessions between transactions; it has to keep a session for \
         each connection, as PgBouncer does with pool_mode=session"
    )]
    SharedSessions,
    /// What the store knows of itself is damaged.
    #[error("the database's own description is damaged: {0}")]
    Damaged(String),
    /// A file or folder cannot be used.
    #[error("cannot use {}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A migration failed.
    #[error("the database could not be brought up to date: {}", refused_migration(.0))]
    Migration(#[from] MigrateError),
    /// The database refused.
    #[error("{}", refusal(.0))]
    Database(#[from] sqlx::Error),
}

/// What the operator can do about a database that refuses, where that is known.
fn refusal(error: &sqlx::Error) -> String {
    let code = match error {
        sqlx::Error::Database(database) => database.code().unwrap_or_default(),
        sqlx::Error::Io(error) => return format!("the database cannot be reached: {error}"),
        _ => Cow::Borrowed(""),
    };
    if error::class(error) == Class::Full {
        return "there is no room left on the database's disk".to_owned();
    }
    match &*code {
        "28P01" | "28000" => {
            "PostgreSQL does not accept the user or the password of the database URL".to_owned()
        }
        "3D000" => "there is no database of the URL's name; create it first".to_owned(),
        "42501" => "the user of the database URL may not do this in the database: it has to own \
                    its schema, or have the right to create in it (GRANT CREATE ON SCHEMA)"
            .to_owned(),
        // Where no schema of the search path may be used.
        "3F000" => "the user of the database URL may use no schema of the database: GRANT USAGE, \
                    CREATE ON SCHEMA gives it the right"
            .to_owned(),
        "25006" => {
            "PostgreSQL only reads: it is a standby, or default_transaction_read_only is on; \
                    lead the URL to a primary that takes writes"
                .to_owned()
        }
        "53300" => "PostgreSQL has no connection left; raise its max_connections".to_owned(),
        "57P03" => "PostgreSQL is starting or stopping; try again".to_owned(),
        _ => format!("the database cannot be opened: {error}"),
    }
}

/// The same for a database that refuses in the middle of a migration.
fn refused_migration(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => refusal(error),
        error => error.to_string(),
    }
}

/// What a store knows of itself.
#[derive(Clone)]
pub struct StoreMeta {
    store_id: String,
    epoch: String,
    secret: [u8; 32],
}

impl StoreMeta {
    /// That of a store of its own.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            store_id: ids::new_id(),
            epoch: ids::new_id(),
            secret: ids::random_bytes(),
        }
    }

    /// The id that the store got when it was made.
    #[must_use]
    pub fn store_id(&self) -> &str {
        &self.store_id
    }

    /// Changes when the history of the store broke: a restored copy whose transaction numbers
    /// began again.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The secret behind the keyed digests and signatures of this store; the same at all replicas.
    /// Use a key of its own for each purpose: [`key`](Self::key).
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// A key for one purpose, from the store's secret.
    #[must_use]
    pub fn key(&self, purpose: &'static str) -> [u8; 32] {
        super::page::keyed_digest(&self.secret, purpose.as_bytes())
    }
}

/// Whether a database has tables of Clientela. The first start makes them.
///
/// # Errors
/// The database's.
pub async fn has_tables(conn: &mut Conn) -> sqlx::Result<bool> {
    let there = conn.engine().pick(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'store_meta')",
        "SELECT to_regclass('store_meta') IS NOT NULL",
    );
    on!(conn, |e| sqlx::query_scalar(there).fetch_one(e).await)
}

/// Refuses data of a newer release before anything is changed.
pub(super) async fn check_reader_version(conn: &mut Conn) -> Result<(), OpenError> {
    if !has_tables(conn).await? {
        return Ok(());
    }
    let needed: Option<String> = on!(conn, |e| {
        sqlx::query_scalar("SELECT value FROM store_meta WHERE key = 'minimum_reader_version'")
            .fetch_optional(e)
            .await
    })?;
    match needed.as_deref().unwrap_or("0").parse() {
        Ok(needed) if needed > READER_VERSION => Err(OpenError::TooNew {
            needed,
            own: READER_VERSION,
        }),
        Ok(_) => Ok(()),
        Err(_) => Err(OpenError::Damaged(
            "minimum_reader_version is no number".into(),
        )),
    }
}

/// The number of the newest migration of this release.
pub(super) fn newest_migration(engine: Engine) -> i64 {
    let migrator = match engine {
        Engine::Sqlite => sqlx::migrate!("migrations/sqlite"),
        Engine::Postgres => sqlx::migrate!("migrations/postgres"),
    };
    let versions = migrator.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

/// Brings the schema up to date.
pub(super) async fn migrate(conn: &mut Conn) -> Result<(), OpenError> {
    // A newer release may have added migrations beside which this one still runs.
    let migrator = |mut migrator: Migrator| {
        migrator.set_ignore_missing(true);
        migrator
    };
    match conn.native() {
        Native::Sqlite(connection) => {
            migrator(sqlx::migrate!("migrations/sqlite"))
                .run(connection)
                .await?;
        }
        Native::Postgres(connection) => {
            migrator(sqlx::migrate!("migrations/postgres"))
                .run(connection)
                .await?;
        }
    }
    Ok(())
}

/// Reads what the store knows of itself, and makes it up where this is its first start.
pub(super) async fn identity(conn: &mut Conn) -> Result<StoreMeta, OpenError> {
    let made_up = [
        ("store_id", ids::new_id()),
        ("epoch", ids::new_id()),
        ("secret", ids::hex(&ids::random_bytes::<32>())),
        ("minimum_reader_version", READER_VERSION.to_string()),
    ];
    for (key, value) in &made_up {
        on!(conn, |e| {
            sqlx::query(
                "INSERT INTO store_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
            )
            .bind(*key)
            .bind(value)
            .execute(e)
            .await
            .map(|_| ())
        })?;
    }
    let rows: Vec<(String, String)> = on!(conn, |e| {
        sqlx::query_as("SELECT key, value FROM store_meta")
            .fetch_all(e)
            .await
    })?;
    let mut rows: HashMap<String, String> = rows.into_iter().collect();
    let mut take = |key: &str| {
        rows.remove(key)
            .ok_or_else(|| OpenError::Damaged(format!("{key} is missing")))
    };
    let secret = unhex(&take("secret")?)
        .ok_or_else(|| OpenError::Damaged("the secret cannot be read".into()))?;
    Ok(StoreMeta {
        store_id: take("store_id")?,
        epoch: take("epoch")?,
        secret,
    })
}

/// A connection for opening only.
pub(super) async fn connect(
    target: &super::target::Target,
    meter: &Arc<Meter>,
) -> Result<Conn, OpenError> {
    Ok(target.connect(meter).await?)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}
