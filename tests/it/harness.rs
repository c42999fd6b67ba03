//! What the tests stand on: a real server on either engine, clients with keys, and helpers that state
//! only what matters.

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

/// How long a test waits for what must come. Generous, as the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The engines that every behaviour is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Writes each test once and runs it on both engines: `name::on_sqlite` and `name::on_postgres`. The
/// shop is set up as usual, or by what follows: `(shop: Shop with Setup { … })`.
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

/// A running server with one shop.
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

/// Where the shop's data lies; kept while any of its servers may run.
struct Data {
    folder: TempDir,
    database: Database,
}

enum Database {
    /// A file in the folder.
    Embedded,
    /// One of its own in the shared cluster.
    Shared(postgres::TestDatabase),
    /// One that the test looks after.
    Own(String),
}

struct Running {
    store: Store,
    feed: Feed,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Fills the template of the shops' databases: a copy of it costs less than the migrations.
async fn migrate(url: String) {
    let mut connection = PgConnection::connect(&url).await.expect("the cluster runs");
    sqlx_macros::migrate!("migrations/postgres")
        .run(&mut connection)
        .await
        .expect("the migrations apply");
    connection.close().await.expect("it was open");
}

impl Shop {
    /// Starts a server on a fresh database.
    pub async fn start(engine: Engine) -> Self {
        Self::start_with(engine, Setup::default()).await
    }

    /// Starts a server on a fresh database, set up otherwise than usual.
    pub async fn start_with(engine: Engine, setup: Setup) -> Self {
        let database = match engine {
            Engine::Sqlite => Database::Embedded,
            Engine::Postgres => Database::Shared(postgres::database_from("schema", migrate).await),
        };
        Self::on(engine, database, setup).await
    }

    /// Starts a server on an empty PostgreSQL database that the test looks after.
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

    /// Another server on the same database. Only PostgreSQL takes a second one.
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

    /// Stops the server in good order.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Starts the server again, on another port, after [`stop`](Self::stop).
    pub async fn start_again(&mut self, setup: Setup) {
        self.clock = setup.clock.clone();
        let (address, running) = launch(&self.data, setup).await;
        self.address = address;
        self.channel = connect(address).await;
        self.running = Some(running);
    }

    /// The store of the running server.
    pub fn store(&self) -> &Store {
        &self.running.as_ref().expect("the server runs").store
    }

    /// How many streams the running server counts as open.
    pub fn streams(&self) -> usize {
        let running = self.running.as_ref().expect("the server runs");
        running.feed.streams()
    }

    /// How many shops and kinds the running server keeps the latest changes of, and how many bytes.
    pub fn rings(&self) -> (usize, usize) {
        let running = self.running.as_ref().expect("the server runs");
        running.feed.rings()
    }

    /// How many times the running server has judged a change by a filter.
    pub fn judgements(&self) -> u64 {
        let running = self.running.as_ref().expect("the server runs");
        running.feed.evaluations()
    }

    /// The folder of the embedded database and of the key file.
    pub fn folder(&self) -> &std::path::Path {
        self.data.folder.path()
    }

    /// The URL of the PostgreSQL database.
    pub fn database_url(&self) -> &str {
        match &self.data.database {
            Database::Embedded => panic!("an embedded store has no URL"),
            Database::Shared(database) => &database.url,
            Database::Own(url) => url,
        }
    }

    /// A copy of the data, as an operator makes it while no server runs.
    pub async fn back_up(&self) -> Backup {
        assert!(self.running.is_none(), "a copy of files at work is none");
        Backup::of(&self.data).await
    }

    /// Puts the data of a copy in the place of the present ones, while no server runs.
    pub async fn restore(&self, backup: &Backup) {
        assert!(
            self.running.is_none(),
            "the server would go on with what is gone"
        );
        backup.restore(&self.data).await;
    }

    /// Puts the data of a copy in the place of the present ones while the server runs, as when another
    /// database server takes over. Only PostgreSQL can be taken over.
    pub async fn replace_under_the_server(&self, backup: &Backup) {
        backup.restore(&self.data).await;
    }

    /// The database, for tests that look into it or harm it.
    pub fn database(&self) -> DatabaseUrl {
        self.data.url()
    }

    /// The connection to the server.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

/// A further server of a shop.
pub struct Replica {
    pub address: std::net::SocketAddr,
    channel: Channel,
    running: Running,
}

impl Replica {
    pub fn carts_as(&self, key: &str) -> CartServiceClient<Transport> {
        CartServiceClient::with_interceptor(self.channel.clone(), Shop::with_key(key))
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        &self.running.store
    }

    /// The connection to it.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Stops the server in good order.
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
            .expect("the server ends well");
    }
}

impl Data {
    fn url(&self) -> DatabaseUrl {
        let url = match &self.database {
            Database::Embedded => return DatabaseUrl::embedded(self.folder.path()),
            Database::Shared(database) => &database.url,
            Database::Own(url) => url,
        };
        DatabaseUrl::postgres(url).expect("the cluster's URL")
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
    // A test connects before it has anything to ask.
    options.server.first_request_timeout = PATIENCE;
    (setup.server)(&mut options.server);
    // A busy machine may keep the database waiting for longer than a shop would.
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

/// A number that no other test of this process has, for names that must differ.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Waits until `condition` gives something.
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

/// Calls until it is decided, and gives the answer: what passes by itself on a busy machine is repeated,
/// as a client repeats it. A write needs a request id for this.
pub async fn repeated<T, F>(mut call: impl FnMut() -> F) -> Result<T, tonic::Status>
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let passes = |status: &tonic::Status| match status.get_details_error_info() {
        Some(info) => {
            ["DATABASE_UNAVAILABLE", "DEADLINE_PASSED", "CONFLICT"].contains(&info.reason.as_str())
        }
        // The client itself gave up waiting.
        None => status.code() == tonic::Code::Cancelled,
    };
    eventually("an answer that does not pass", || {
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
