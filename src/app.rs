//! How the program is put together: what the areas share, and the order in which it starts and ends.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::access::{AccessLayer, Keys};
use crate::clock::Clock;
use crate::feed::{Feed, FeedSettings};
use crate::jobs::{FeedLimits, Jobs, JobsSettings};
use crate::numbers::Numbers;
use crate::passwords::Passwords;
use crate::proto::server::{
    admin_service_server::AdminServiceServer, cart_service_server::CartServiceServer,
    customer_service_server::CustomerServiceServer, group_service_server::GroupServiceServer,
    operation_service_server::OperationServiceServer,
};
use crate::proto::{DESCRIPTORS, POOL};
use crate::server::{self, Health, ServerSettings};
use crate::shops::{self, FirstKeys};
use crate::store::{DatabaseUrl, Store, StoreConfig};
use crate::{carts, customers, groups, jobs, limits, operations};

/// What every area's service holds.
pub struct App {
    /// The database.
    pub store: Store,
    /// The change log and its streams.
    pub feed: Feed,
    /// The threads that hash passwords.
    pub passwords: Passwords,
    /// The numbers of customers and carts.
    pub numbers: Numbers,
}

/// How a program is set up.
#[derive(Clone)]
pub struct Options {
    /// Where the database is and how it is used.
    pub store: StoreConfig,
    /// Where the key file lies.
    pub data_dir: PathBuf,
    /// The time.
    pub clock: Clock,
    /// How the feed behaves.
    pub feed: FeedSettings,
    /// How much history the feed keeps.
    pub feed_limits: FeedLimits,
    /// How background work behaves.
    pub jobs: JobsSettings,
    /// How the listener behaves.
    pub server: ServerSettings,
    /// Whether reflection answers without a key.
    pub open_reflection: bool,
}

impl Options {
    /// The ordinary setup on a database; the key file lies in `data_dir`.
    #[must_use]
    pub fn new(database: DatabaseUrl, data_dir: PathBuf) -> Self {
        Self {
            store: StoreConfig::new(database),
            data_dir,
            clock: Clock::system(),
            feed: FeedSettings::default(),
            feed_limits: FeedLimits::default(),
            jobs: JobsSettings::default(),
            server: ServerSettings {
                cors_origins: Vec::new(),
                drain_timeout: limits::DRAIN_TIMEOUT_DEFAULT,
            },
            open_reflection: false,
        }
    }
}

/// A program that has started and can serve.
pub struct Program {
    app: Arc<App>,
    jobs: Jobs,
    keys: Keys,
    draining: CancellationToken,
    options: Options,
    first_keys: Option<FirstKeys>,
}

impl Program {
    /// Opens the store, makes the first shop and keys where there are none, and begins to follow the
    /// change log.
    ///
    /// # Errors
    /// When the store cannot be opened; the text says what the operator can do.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let store = Store::open(&options.store, options.clock.clone()).await?;
        let first_keys = shops::first_start(&store, &options.data_dir)
            .await
            .context("the first shop could not be made")?;
        let draining = CancellationToken::new();
        let feed = Feed::start(store.clone(), options.feed.clone(), draining.clone()).await?;
        let keys = Keys::start(store.clone(), draining.clone()).await?;
        let app = Arc::new(App {
            passwords: Passwords::start().context("the hashing threads could not be started")?,
            numbers: Numbers::new(store.clone()),
            store,
            feed,
        });
        let jobs = background_work(&app, &options);
        Ok(Self { app, jobs, keys, draining, options, first_keys })
    }

    /// The keys that this start made, if it was the first.
    #[must_use]
    pub fn first_keys(&self) -> Option<&FirstKeys> {
        self.first_keys.as_ref()
    }

    /// What the areas share, for benchmarks.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `stop` is cancelled, then ends in good order: health says so, streams are told
    /// where to resume, calls may finish, writes that were taken are finished, the store is closed.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { app, jobs, keys, draining, options, .. } = self;
        let (reporter, health) = tonic_health::server::health_reporter();
        let readiness =
            server::watch_readiness(Health(reporter), app.store.clone(), stop.clone());
        let readiness = tokio::spawn(readiness);
        let working = tokio::spawn(jobs.run(app.store.clone(), stop.clone()));
        let told = tokio::spawn({
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                draining.cancel();
            }
        });
        let layer = AccessLayer::new(
            keys,
            &app.store,
            app.feed.clone(),
            options.open_reflection,
        );
        let grpc = services(&app, health).layer(layer);
        let served = server::serve(listener, grpc, &options.server, stop.clone()).await;
        stop.cancel();
        for task in [readiness, working, told] {
            task.await.context("a background task panicked")?;
        }
        app.store.close().await;
        served
    }
}

/// The services of the contract, with health and reflection.
fn services(app: &Arc<App>, health: tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>) -> Router {
    let customers = CustomerServiceServer::new(customers::Service::new(Arc::clone(app)));
    let groups = GroupServiceServer::new(groups::Service::new(Arc::clone(app)));
    let carts = CartServiceServer::new(carts::Service::new(Arc::clone(app)));
    let admin = AdminServiceServer::new(shops::Service::new(Arc::clone(app)));
    let operations = OperationServiceServer::new(operations::Service::new(Arc::clone(app)));
    let decode = limits::REQUEST_BYTES_MAX;
    let encode = limits::RESPONSE_BYTES_MAX;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let built = "the descriptors of the build resolve";
    Routes::new(customers.max_decoding_message_size(decode).max_encoding_message_size(encode))
        .add_service(groups.max_decoding_message_size(decode).max_encoding_message_size(encode))
        .add_service(carts.max_decoding_message_size(decode).max_encoding_message_size(encode))
        .add_service(admin.max_decoding_message_size(decode).max_encoding_message_size(encode))
        .add_service(operations.max_decoding_message_size(decode).max_encoding_message_size(encode))
        .add_service(health)
        .add_service(reflection().build_v1().expect(built))
        .add_service(reflection().build_v1alpha().expect(built))
        .into_axum_router()
}

/// Everything that is done without a call waiting for it.
fn background_work(app: &Arc<App>, options: &Options) -> Jobs {
    let jobs = Jobs::new(options.jobs.clone());
    let jobs = jobs::register(jobs, &options.feed_limits);
    let jobs = groups::register(jobs);
    carts::register(jobs, app)
}
