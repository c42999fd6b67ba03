//! Stores for tests that need no server: one of each engine, with a held clock.

use clientela::caller::Caller;
use clientela::clock::Clock;
use clientela::store::{DatabaseUrl, Store, StoreConfig};

use super::postgres::{self, TestDatabase};

/// A store that is removed with the test.
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// A clock that stands still until the test moves it.
    pub clock: Clock,
    config: StoreConfig,
    _folder: Option<tempfile::TempDir>,
    _database: Option<TestDatabase>,
}

/// The time at which held clocks begin.
pub const START: i64 = 1_800_000_000_000_000;

/// Opens one store of each engine.
pub async fn stores() -> Vec<TestStore> {
    let folder = tempfile::tempdir().expect("a folder for a test can be made");
    let config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));
    let sqlite = TestStore::open(config, Some(folder), None).await;
    let database = postgres::database().await;
    let url = DatabaseUrl::postgres(&database.url).expect("the cluster's own URL");
    let postgres = TestStore::open(StoreConfig::new(url), None, Some(database)).await;
    vec![sqlite, postgres]
}

impl TestStore {
    async fn open(
        config: StoreConfig,
        folder: Option<tempfile::TempDir>,
        database: Option<TestDatabase>,
    ) -> Self {
        // The settings of a large machine, whatever this machine is.
        let config = StoreConfig {
            read_connections: 8,
            ..config
        };
        let clock = Clock::held_at(START);
        let store = Store::open(&config, clock.clone())
            .await
            .expect("a fresh store opens");
        Self {
            store,
            clock,
            config,
            _folder: folder,
            _database: database,
        }
    }

    /// Opens a second replica on the same database, or on SQLite returns the store itself.
    pub async fn replica(&self) -> Store {
        match self.store.engine() {
            clientela::store::Engine::Sqlite => self.store.clone(),
            clientela::store::Engine::Postgres => Store::open(&self.config, self.clock.clone())
                .await
                .expect("a second replica opens"),
        }
    }
}

/// Returns a caller of the shop `s` without a particular identity.
pub fn caller() -> Caller {
    Caller::system("s".into(), Some("staff/anna".into()))
}
