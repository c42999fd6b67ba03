//! Stores of their own for tests that need no server: one of each engine, with a clock that is held.

use clientela::caller::Caller;
use clientela::clock::Clock;
use clientela::store::{DatabaseUrl, Store, StoreConfig};

use super::postgres::{self, TestDatabase};

/// A store that is gone with the test.
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// Its clock, which stands still until it is moved.
    pub clock: Clock,
    config: StoreConfig,
    _folder: Option<tempfile::TempDir>,
    _database: Option<TestDatabase>,
}

/// The moment at which held clocks begin.
pub const START: i64 = 1_800_000_000_000_000;

/// One store of each engine.
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
        // As on a large machine, whatever this one is.
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

    /// A second replica on the same database; on SQLite, which has none, the store itself.
    pub async fn replica(&self) -> Store {
        match self.store.engine() {
            clientela::store::Engine::Sqlite => self.store.clone(),
            clientela::store::Engine::Postgres => Store::open(&self.config, self.clock.clone())
                .await
                .expect("a second replica opens"),
        }
    }
}

/// A caller of the shop `s` who is nobody in particular.
pub fn caller() -> Caller {
    Caller::system("s".into(), Some("staff/anna".into()))
}
