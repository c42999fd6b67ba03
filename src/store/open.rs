//! The checks of both engines before a store is served: version, migrations, identity.

mod error;

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::migrate::Migrator;

pub use error::OpenError;

use super::Engine;
use super::conn::{Conn, Meter, Native};
use super::digest::keyed_digest;
use crate::{ids, on};

/// The version of the schema's meaning that this release understands. A release that changes a table so that
/// older ones would misread it writes its own number as `minimum_reader_version`.
pub(super) const READER_VERSION: i64 = 1;

/// The identity of a store.
#[derive(Clone)]
pub struct StoreMeta {
    store_id: String,
    epoch: String,
    secret: [u8; 32],
}

impl StoreMeta {
    /// The identity of a store for tests.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            store_id: ids::new_id(),
            epoch: ids::new_id(),
            secret: ids::random_bytes(),
        }
    }

    /// The id that the store got when it was created.
    #[must_use]
    pub fn store_id(&self) -> &str {
        &self.store_id
    }

    /// Changes when the history of the store breaks, as in a restored copy whose transaction numbers begin
    /// again.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The secret behind the keyed digests and signatures of this store. It is the same at all replicas. Use
    /// a separate key for each purpose: [`key`](Self::key).
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Derives the key for one purpose from the store's secret.
    #[must_use]
    pub fn key(&self, purpose: &'static str) -> [u8; 32] {
        keyed_digest(&self.secret, purpose.as_bytes())
    }
}

/// Whether a database has tables of Clientela. The first start creates them.
///
/// # Errors
/// An error of the database.
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

/// The number of this release's newest migration.
pub(super) fn newest_migration(engine: Engine) -> i64 {
    let migrator = match engine {
        Engine::Sqlite => sqlx_macros::migrate!("migrations/sqlite"),
        Engine::Postgres => sqlx_macros::migrate!("migrations/postgres"),
    };
    let versions = migrator.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

/// Migrates the schema.
pub(super) async fn migrate(conn: &mut Conn) -> Result<(), OpenError> {
    // A newer release may have added migrations with which this one still runs.
    let migrator = |mut migrator: Migrator| {
        migrator.set_ignore_missing(true);
        migrator
    };
    match conn.native() {
        Native::Sqlite(connection) => {
            migrator(sqlx_macros::migrate!("migrations/sqlite"))
                .run(connection)
                .await?;
        }
        Native::Postgres(connection) => {
            migrator(sqlx_macros::migrate!("migrations/postgres"))
                .run(connection)
                .await?;
        }
    }
    Ok(())
}

/// Reads the identity of the store, and creates it on the first start.
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
