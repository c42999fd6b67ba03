//! Assembles the program: the parts that areas share, and the order in which they start and end.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::access::{AccessLayer, Keys};
use crate::area::{Area, Parts};
use crate::clock::Clock;
use crate::feed::{FaultInjection, Feed, FeedSettings};
use crate::jobs::{Compact, FeedLimits, Hold, Jobs, JobsSettings, Purge};
use crate::numbers::Numbers;
use crate::passwords::Passwords;
use crate::proto::DESCRIPTORS;
use crate::server::{self, Health, ServerSettings};
use crate::store::{DatabaseUrl, OpenError, Purpose, Store, StoreConfig, StoreMeta};
use crate::{carts, customers, groups, limits, operations, saved_filters, shops};

/// The areas of the program, each above those that it imports. A lower area gets the traits of higher areas
/// here.
fn areas(meta: &StoreMeta) -> Area {
    let areas = [
        shops::area(groups::Hidden),
        groups::area(customers::Members),
        customers::area(),
        carts::area(meta),
        operations::area(),
        saved_filters::area(),
    ];
    areas.into_iter().fold(Area::default(), Area::and)
}

/// Opens a store without serving it. Its writes have all their effects.
///
/// # Errors
/// An [`OpenError`], which tells the operator how to correct it.
pub async fn open(config: &StoreConfig, clock: Clock) -> Result<Store, OpenError> {
    Ok(open_with_areas(config, clock).await?.0)
}

async fn open_with_areas(config: &StoreConfig, clock: Clock) -> Result<(Store, Area), OpenError> {
    let store = Store::open(config, clock).await?;
    let mut area = areas(store.meta());
    let reactions = std::mem::take(&mut area.reactions);
    Ok((store.reacting(reactions), area))
}

/// The settings of a program.
#[derive(Clone)]
pub struct Options {
    /// The database and its settings.
    pub store: StoreConfig,
    /// The folder of the key file.
    pub data_dir: PathBuf,
    /// The clock of the program.
    pub clock: Clock,
    /// Settings of the feed.
    pub feed: FeedSettings,
    /// How much history the feed keeps.
    pub feed_limits: FeedLimits,
    /// Settings of background work.
    pub jobs: JobsSettings,
    /// How often the API keys are read again.
    pub key_poll_interval: Duration,
    /// Settings of the listener.
    pub server: ServerSettings,
    /// Whether reflection answers without a key.
    pub open_reflection: bool,
}

impl Options {
    /// The default settings on a database. The key file is in `data_dir`.
    #[must_use]
    pub fn new(database: DatabaseUrl, data_dir: PathBuf) -> Self {
        Self {
            store: StoreConfig::new(database),
            data_dir,
            clock: Clock::system(),
            feed: FeedSettings::default(),
            feed_limits: FeedLimits::default(),
            jobs: JobsSettings::default(),
            key_poll_interval: limits::KEY_POLL_INTERVAL,
            server: ServerSettings::default(),
            open_reflection: false,
        }
    }
}

/// A program that has started and can serve.
pub struct Program {
    area: Area,
    parts: Parts,
    options: Options,
    first_keys: Option<shops::Keys>,
    hold: Hold,
    /// Cancelled when the program is asked to stop.
    stop: CancellationToken,
}

impl Program {
    /// Opens the store, creates the first shop and keys if there are none, and begins to follow the change
    /// log.
    ///
    /// # Errors
    /// If the store cannot be opened. The text tells the operator how to correct it.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        Self::start_faulty(options, FaultInjection::None).await
    }

    /// As [`start`](Self::start), with a fault in the feed, for tests of the programs that check its streams.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_faulty(options: Options, fault: FaultInjection) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let (store, area) = open_with_areas(&options.store, options.clock.clone()).await?;
        let first_keys = shops::first_start(&store, &options.data_dir).await?;
        let hold = Hold::begin(&store).await?;
        let feed =
            Feed::start_faulty(store.clone(), options.feed.clone(), fault, stop.clone()).await?;
        let keys = Keys::start(store.clone(), options.key_poll_interval, stop.clone()).await?;
        let passwords = Passwords::start().context("the hashing threads cannot be started")?;
        let numbers = Numbers::new(store.clone());
        let area = area
            .handler(Compact::to(options.feed_limits).held_by(hold.clone()))
            .upkeep(hold.clone());
        let parts = Parts {
            store,
            feed,
            keys,
            passwords,
            numbers,
        };
        Ok(Self {
            area,
            parts,
            options,
            first_keys,
            hold,
            stop,
        })
    }

    /// The keys that this start created, if it was the first.
    #[must_use]
    pub fn first_keys(&self) -> Option<&shops::Keys> {
        self.first_keys.as_ref()
    }

    /// The database, for benchmarks and tests.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The feed, for benchmarks and tests.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.parts.feed
    }

    /// Serves until `stop` is cancelled, then shuts down: health reports it, streams are told where to
    /// resume, calls may finish, submitted writes are finished, and the store is closed. Work that misses its
    /// time limit is cut off as by `kill -9`; answered writes stay.
    ///
    /// # Errors
    /// If the listener fails, or a background task panicked.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let (reporter, health) = tonic_health::server::health_reporter();
        let mut tasks = JoinSet::new();
        tasks.spawn(server::watch_readiness(
            Health(reporter),
            self.parts.store.clone(),
            self.stop.clone(),
        ));
        let work = self.background_work();
        let store = self.parts.store.reserved_for(Purpose::Jobs);
        tasks.spawn(work.run(store, self.stop.clone()));
        tasks.spawn(pass_on(stop, self.stop.clone()));
        let layer = AccessLayer::new(
            self.parts.keys.clone(),
            self.parts.store.meta().secret(),
            self.parts.feed.clone(),
            self.options.open_reflection,
        );
        let grpc = self
            .routes()
            .add_service(health)
            .into_axum_router()
            .layer(layer);
        let age = self.options.feed.stream_age_min();
        let settings = &self.options.server;
        let served = server::serve(listener, grpc, settings, age, self.stop.clone()).await;
        self.stop.cancel();
        let limit = self.options.server.closing_timeout;
        match tokio::time::timeout(limit, self.close(&mut tasks)).await {
            Ok(closed) => closed?,
            // A database that does not answer must not keep the process from ending.
            Err(_) => tracing::warn!("the store did not close in time and is left"),
        }
        served
    }

    /// Waits for the background tasks and closes the store.
    async fn close(&self, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            outcome = outcome.and(ended.context("a background task panicked"));
        }
        for upkeep in &self.area.upkeep {
            // Other code has reported a store that cannot be written.
            if let Err(error) = upkeep.finish(&self.parts.store).await {
                tracing::debug!(%error, "the last notes of this process were not written");
            }
        }
        self.parts.store.close().await;
        outcome
    }

    /// The services of the contract, and reflection.
    fn routes(&self) -> Routes {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // Tools that know the contract by reflection alone read the details of refusals with it.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        let resolves = "the descriptors of the build resolve";
        self.area
            .routes(&self.parts)
            .add_service(reflection().build_v1().expect(resolves))
            .add_service(reflection().build_v1alpha().expect(resolves))
    }

    /// The work that no call waits for.
    fn background_work(&self) -> Jobs {
        let Area {
            handlers,
            sweepers,
            upkeep,
            ..
        } = &self.area;
        let purge = Purge::new().held_by(self.hold.clone());
        let purge = sweepers.iter().cloned().fold(purge, Purge::with_shared);
        let jobs = Jobs::new(self.options.jobs.clone()).with(purge);
        let jobs = handlers.iter().cloned().fold(jobs, Jobs::with_shared);
        upkeep.iter().cloned().fold(jobs, Jobs::with_shared_upkeep)
    }
}

async fn pass_on(from: CancellationToken, to: CancellationToken) {
    tokio::select! {
        () = from.cancelled() => to.cancel(),
        () = to.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JobKind;

    #[tokio::test]
    async fn every_kind_of_job_has_one_handler() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));
        let opened = open_with_areas(&config, Clock::system()).await;
        let handlers = opened.expect("a new store opens").1.handlers;
        let own = [JobKind::Compact, JobKind::Purge].map(JobKind::number);
        let mut kinds: Vec<i64> = handlers
            .iter()
            .map(|handler| handler.kind().number())
            .collect();
        kinds.extend(own);
        kinds.sort_unstable();

        assert_eq!(kinds, JobKind::ALL.map(JobKind::number));
    }
}
