//! The common base of the tests: a real server on either engine, clients with keys, and helpers.

mod backup;
mod clients;
mod connection;
pub mod logged;
mod places;
pub mod pooler;
pub mod postgres;
pub mod raw;
mod refusal;
mod setup;
pub mod store;
mod tables;
pub mod taken;
mod watching;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clientela::app::{Options, Program};
use clientela::clock::Clock;
use clientela::feed::Feed;
use clientela::proto::pb::cart_service_client::CartServiceClient;
use clientela::store::{DatabaseUrl, Store};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

pub use backup::Backup;
pub use clients::{Keyed, PATIENT, Transport};
pub use connection::Connection;
pub use places::Places;
pub use refusal::{assert_refused, reason, violations};
pub use setup::Setup;
pub use watching::{CartWatch, Point, Seen};

/// How long a test waits for an event. It is generous, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Runs each test on both engines, as `name::on_sqlite` and `name::on_postgres`. The shop has the
/// default setup, or the one after `with`: `(shop: Shop with Setup { … })`.
#[macro_export]
macro_rules! on_both_engines {
    ($(
        $(#[doc = $doc:literal])*
        async fn $name:ident($shop:ident: Shop $(with $setup:expr)?) $body:block
    )*) => { $(
        $(#[doc = $doc])*
        mod $name {
            use super::*;

            async fn test($shop: $crate::harness::Shop) $body

            async fn on(engine: $crate::harness::Engine) {
                let setups = [$($setup,)? $crate::harness::Setup::default()];
                let [setup, ..] = setups;
                test($crate::harness::Shop::start_with(engine, setup).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                on($crate::harness::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                on($crate::harness::Engine::Postgres).await;
            }
        }
    )* };
    ($($tests:tt)*) => {
        $crate::on_both_engines! { in $crate::harness::Setup::default(); $($tests)* }
    };
}

/// A shop with a running server.
pub struct Shop {
    pub engine: Engine,
    pub clock: Clock,
    pub operator_key: String,
    pub admin_key: String,
    pub address: std::net::SocketAddr,
    channel: Channel,
    data: Data,
    running: Option<Running>,
}

/// The shop's data, which must outlive its servers.
struct Data {
    folder: TempDir,
    database: Database,
}

enum Database {
    /// A file in the folder.
    Embedded,
    /// A database of its own in the shared cluster.
    Shared(postgres::TestDatabase),
    /// A database that the test manages.
    Own(String),
}

struct Running {
    store: Store,
    feed: Feed,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Fills the template of the databases. Copying it takes less time than the migrations.
async fn migrate(url: String) {
    let mut connection = PgConnection::connect(&url).await.expect("the cluster runs");
    sqlx_macros::migrate!("migrations/postgres")
        .run(&mut connection)
        .await
        .expect("the migrations apply");
    connection.close().await.expect("the connection closes");
}

impl Shop {
    /// Starts a server on a fresh database.
    pub async fn start(engine: Engine) -> Self {
        Self::start_with(engine, Setup::default()).await
    }

    /// Starts a server on a fresh database, with the given setup.
    pub async fn start_with(engine: Engine, setup: Setup) -> Self {
        let database = match engine {
            Engine::Sqlite => Database::Embedded,
            Engine::Postgres => Database::Shared(postgres::database_from("schema", migrate).await),
        };
        Self::on(engine, database, setup).await
    }

    /// Starts a server on an empty PostgreSQL database that the test manages.
    pub async fn start_on(url: String, setup: Setup) -> Self {
        Self::on(Engine::Postgres, Database::Own(url), setup).await
    }

    async fn on(engine: Engine, database: Database, setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = Data { folder, database };
        let clock = setup.clock.clone();
        let (address, running) = launch(&data, setup).await;
        let channel = connect(address).await;
        let keys = std::fs::read_to_string(data.folder.path().join("keys")).expect("the key file");
        let key = |role: &str| {
            let line = keys
                .lines()
                .find_map(|line| line.strip_prefix(role)?.strip_prefix('='));
            line.expect("the key file has a line for each role")
                .trim()
                .to_owned()
        };
        Self {
            engine,
            clock,
            operator_key: key("operator"),
            admin_key: key("admin"),
            address,
            channel,
            data,
            running: Some(running),
        }
    }

    /// Starts another server on the same database, which must be PostgreSQL.
    pub async fn replica(&self, setup: Setup) -> Replica {
        assert_eq!(
            self.engine,
            Engine::Postgres,
            "an embedded store belongs to one process"
        );
        let (address, running) = launch(&self.data, setup).await;
        Replica {
            address,
            channel: connect(address).await,
            running,
        }
    }

    /// Stops the server gracefully.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Starts the server again after [`stop`](Self::stop), on another port.
    pub async fn start_again(&mut self, setup: Setup) {
        self.clock = setup.clock.clone();
        let (address, running) = launch(&self.data, setup).await;
        self.address = address;
        self.channel = connect(address).await;
        self.running = Some(running);
    }

    /// Returns the store of the running server.
    pub fn store(&self) -> &Store {
        &self.running.as_ref().expect("the server runs").store
    }

    /// Returns the number of open streams.
    pub fn streams(&self) -> usize {
        let running = self.running.as_ref().expect("the server runs");
        running.feed.streams()
    }

    /// Returns how many rings of the latest changes the server keeps, and their bytes.
    pub fn rings(&self) -> (usize, usize) {
        let running = self.running.as_ref().expect("the server runs");
        running.feed.rings()
    }

    /// Returns how many times the server has evaluated a filter on a change.
    pub fn evaluations(&self) -> u64 {
        let running = self.running.as_ref().expect("the server runs");
        running.feed.evaluations()
    }

    /// Returns the folder of the embedded database and of the key file.
    pub fn folder(&self) -> &std::path::Path {
        self.data.folder.path()
    }

    /// Returns the URL of the PostgreSQL database.
    pub fn database_url(&self) -> &str {
        match &self.data.database {
            Database::Embedded => panic!("an embedded store has no URL"),
            Database::Shared(database) => &database.url,
            Database::Own(url) => url,
        }
    }

    /// Copies the data, as an operator does while no server runs.
    pub async fn back_up(&self) -> Backup {
        assert!(self.running.is_none(), "stop the server before the backup");
        Backup::of(&self.data).await
    }

    /// Replaces the data by a backup, while no server runs.
    pub async fn restore(&self, backup: &Backup) {
        assert!(
            self.running.is_none(),
            "stop the server before the restoration"
        );
        backup.restore(&self.data).await;
    }

    /// Replaces the data by a backup under the running server, as after a failover. It needs PostgreSQL.
    pub async fn replace_under_the_server(&self, backup: &Backup) {
        backup.restore(&self.data).await;
    }

    /// Returns the database, for tests that read or damage it.
    pub fn database(&self) -> DatabaseUrl {
        self.data.url()
    }

    /// Returns the connection to the server.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

/// Another server of a shop.
pub struct Replica {
    pub address: std::net::SocketAddr,
    channel: Channel,
    running: Running,
}

impl Replica {
    pub fn carts_as(&self, key: &str) -> CartServiceClient<Transport> {
        CartServiceClient::with_interceptor(self.channel.clone(), Shop::with_key(key))
    }

    /// Returns the replica's store.
    pub fn store(&self) -> &Store {
        &self.running.store
    }

    /// Returns the connection to the replica.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Stops the server gracefully.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the server ends within its drain limit")
            .expect("the server does not panic")
            .expect("the server ends without an error");
    }
}

impl Data {
    fn url(&self) -> DatabaseUrl {
        let url = match &self.database {
            Database::Embedded => return DatabaseUrl::embedded(self.folder.path()),
            Database::Shared(database) => &database.url,
            Database::Own(url) => url,
        };
        DatabaseUrl::postgres(url).expect("the URL of the cluster is valid")
    }
}

async fn launch(data: &Data, setup: Setup) -> (std::net::SocketAddr, Running) {
    let mut options = Options::new(data.url(), data.folder.path().to_owned());
    options.clock = setup.clock;
    options.store.hints = setup.hints;
    options.feed = setup.feed;
    options.feed_limits = setup.feed_limits;
    options.jobs = setup.jobs;
    options.key_poll_interval = setup.key_poll_interval;
    options.server.connection_age = setup.connection_age;
    (
        options.server.keepalive_interval,
        options.server.keepalive_timeout,
    ) = setup.keepalive;
    options.server.drain_timeout = setup.drain_timeout;
    options.server.closing_timeout = setup.closing_timeout;
    options.open_reflection = setup.open_reflection;
    // A test connects some time before its first request.
    options.server.first_request_timeout = PATIENCE;
    (setup.server)(&mut options.server);
    // On a busy machine the database may take longer than the default limits.
    for limit in [
        &mut options.store.acquire_timeout,
        &mut options.store.busy_timeout,
        &mut options.store.statement_timeout,
        &mut options.store.lock_timeout,
        &mut options.store.silence_limit,
    ] {
        *limit = PATIENCE;
    }
    (setup.store)(&mut options.store);
    options.server.cors_origins = vec!["https://shop.example".into()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    let stop = CancellationToken::new();
    let program = Program::start_faulty(options, setup.fault)
        .await
        .expect("the server starts");
    let (store, feed) = (program.store().clone(), program.feed().clone());
    let task = tokio::spawn(program.serve(listener, stop.clone()));
    let running = Running {
        store,
        feed,
        stop,
        task,
    };
    (address, running)
}

async fn connect(address: std::net::SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}"))
        .expect("an address makes a URL")
        .connect()
        .await
        .expect("the bound socket takes connections")
}

/// Returns a number that is unique in this process, for names that must differ.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Waits until `condition` returns a value.
pub async fn eventually<T, F, R>(what: &str, mut condition: F) -> T
where
    F: FnMut() -> R,
    R: Future<Output = Option<T>>,
{
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < until, "{what} did not come");
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Repeats a call while its failure is temporary, as a client does, and returns the answer. A write
/// needs a request id for this.
pub async fn repeated<T, F>(mut call: impl FnMut() -> F) -> Result<T, tonic::Status>
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let passes = |status: &tonic::Status| match status.get_details_error_info() {
        Some(info) => {
            ["DATABASE_UNAVAILABLE", "DEADLINE_PASSED", "CONFLICT"].contains(&info.reason.as_str())
        }
        // The client's own deadline has passed.
        None => status.code() == tonic::Code::Cancelled,
    };
    eventually("an answer other than a temporary failure", || {
        let called = call();
        async move {
            match called.await {
                Err(status) if passes(&status) => None,
                decided => Some(decided.map(tonic::Response::into_inner)),
            }
        }
    })
    .await
}
