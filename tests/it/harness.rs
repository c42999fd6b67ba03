//! What the tests stand on: a real server on either engine, clients with keys, and helpers that state
//! only what matters.

mod backup;
pub mod postgres;
mod refusal;
pub mod store;
mod tables;
mod watching;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clientela::app::{Options, Program};
use clientela::clock::Clock;
use clientela::feed::{Feed, FeedSettings};
use clientela::jobs::{FeedLimits, JobsSettings};
use clientela::limits;
use clientela::proto::pb::{
    self, admin_service_client::AdminServiceClient, cart_service_client::CartServiceClient,
    customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
    operation_service_client::OperationServiceClient,
};
use clientela::store::{DatabaseUrl, Hints, Store, StoreConfig};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::{Interceptor, interceptor::InterceptedService};
use tonic::transport::Channel;

pub use backup::Backup;
pub use refusal::{assert_refused, reason, violations};
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

/// Puts a key, and what else a test wants, into the metadata of calls.
#[derive(Clone)]
pub struct Keyed(Vec<(&'static str, MetadataValue<Ascii>)>);

impl Interceptor for Keyed {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().insert(*name, value.clone());
        }
        Ok(request)
    }
}

impl Keyed {
    /// With a further piece of metadata.
    pub fn and(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.parse().expect("ASCII")));
        self
    }
}

/// The connection of a client with a key.
pub type Transport = InterceptedService<Channel, Keyed>;

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
    sqlx::migrate!("migrations/postgres")
        .run(&mut connection)
        .await
        .expect("the migrations apply");
    connection.close().await.expect("it was open");
}

/// What a test may want different from the ordinary.
#[derive(Clone)]
pub struct Setup {
    pub clock: Clock,
    pub feed: FeedSettings,
    pub feed_limits: FeedLimits,
    pub jobs: JobsSettings,
    pub key_poll_interval: Duration,
    /// None: as the age of streams has it.
    pub connection_age: Option<Duration>,
    /// How often a silent connection is asked whether it lives, and how long it has to answer.
    pub keepalive: (Duration, Duration),
    pub drain_timeout: Duration,
    pub hints: Hints,
    pub closing_timeout: Duration,
    pub open_reflection: bool,
    /// Changes how the store is opened.
    pub store: fn(&mut StoreConfig),
}

impl Default for Setup {
    fn default() -> Self {
        let feed = FeedSettings {
            poll_interval: Duration::from_millis(100),
            ..Default::default()
        };
        Self {
            clock: Clock::system(),
            feed,
            feed_limits: FeedLimits::default(),
            jobs: JobsSettings {
                poll_interval: Duration::from_millis(50),
                schedule_interval_max: Duration::from_millis(100),
                ..JobsSettings::default()
            },
            key_poll_interval: Duration::from_millis(100),
            // A call that is put on a connection as it is told to go is lost to tonic's client.
            connection_age: Some(Duration::from_secs(24 * 60 * 60)),
            keepalive: (limits::KEEPALIVE_INTERVAL, limits::KEEPALIVE_TIMEOUT),
            drain_timeout: Duration::from_secs(10),
            hints: Hints::Notify,
            closing_timeout: Duration::from_secs(30),
            open_reflection: false,
            store: |_| {},
        }
    }
}

impl Setup {
    /// As usual, with a clock that stands still until it is moved. However far it is moved, streams do not
    /// end for their age.
    pub fn held() -> Self {
        Self::held_at(store::START)
    }

    /// As [`held`](Self::held), at another time.
    pub fn held_at(micros: i64) -> Self {
        let usual = Self::default();
        Self {
            clock: Clock::held_at(micros),
            feed: FeedSettings {
                stream_age: Duration::from_secs(100 * 365 * 24 * 60 * 60),
                ..usual.feed.clone()
            },
            ..usual
        }
    }

    /// As usual, but nobody does the work that is asked for.
    pub fn idle() -> Self {
        let usual = Self::default();
        Self {
            jobs: JobsSettings {
                workers: 0,
                ..usual.jobs.clone()
            },
            ..usual
        }
    }
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

    /// The database, for tests that look into it or harm it.
    pub fn database(&self) -> DatabaseUrl {
        self.data.url()
    }

    /// The connection to the server.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The metadata of a key.
    pub fn with_key(key: &str) -> Keyed {
        let bearer = format!("Bearer {key}").parse().expect("a key is ASCII");
        Keyed(vec![("authorization", bearer)])
    }

    /// A key of the shop with these roles.
    pub async fn key(&self, roles: &[pb::Role]) -> String {
        let api_key = pb::ApiKey {
            display_name: "a test".into(),
            roles: roles.iter().map(|role| *role as i32).collect(),
            may_act: true,
            ..Default::default()
        };
        let request = pb::CreateApiKeyRequest {
            api_key: Some(api_key),
            request_id: String::new(),
        };
        let answer = self.admin().create_api_key(request).await.expect("a key");
        answer.into_inner().secret
    }

    /// A key of another shop of the installation with these roles.
    pub async fn key_of(&self, shop: &str, roles: &[pb::Role]) -> String {
        let keyed = Self::with_key(&self.operator_key).and("clientela-shop", shop);
        let mut admin = AdminServiceClient::with_interceptor(self.channel(), keyed);
        let api_key = pb::ApiKey {
            display_name: "a test".into(),
            roles: roles.iter().map(|role| *role as i32).collect(),
            ..Default::default()
        };
        let request = pb::CreateApiKeyRequest {
            api_key: Some(api_key),
            request_id: String::new(),
        };
        let answer = admin.create_api_key(request).await.expect("a key");
        answer.into_inner().secret
    }

    pub fn customers(&self) -> CustomerServiceClient<Transport> {
        self.customers_as(&self.admin_key)
    }

    pub fn customers_as(&self, key: &str) -> CustomerServiceClient<Transport> {
        CustomerServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }

    pub fn groups(&self) -> GroupServiceClient<Transport> {
        self.groups_as(&self.admin_key)
    }

    pub fn groups_as(&self, key: &str) -> GroupServiceClient<Transport> {
        GroupServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }

    pub fn carts(&self) -> CartServiceClient<Transport> {
        self.carts_as(&self.admin_key)
    }

    pub fn carts_as(&self, key: &str) -> CartServiceClient<Transport> {
        CartServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }

    pub fn admin(&self) -> AdminServiceClient<Transport> {
        self.admin_as(&self.admin_key)
    }

    pub fn admin_as(&self, key: &str) -> AdminServiceClient<Transport> {
        AdminServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }

    pub fn operations(&self) -> OperationServiceClient<Transport> {
        self.operations_as(&self.admin_key)
    }

    pub fn operations_as(&self, key: &str) -> OperationServiceClient<Transport> {
        OperationServiceClient::with_interceptor(self.channel(), Self::with_key(key))
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
    (setup.store)(&mut options.store);
    options.server.cors_origins = vec!["https://shop.example".into()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    let stop = CancellationToken::new();
    let program = Program::start(options).await.expect("the server starts");
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
