//! The store: one interface to two engines.
//!
//! Reads borrow a connection; the only way to write is [`Store::write`]. One SQL text serves both engines
//! ([`on!`](crate::on)); [`dialect`] holds the texts that must differ. An answer leaves only after its
//! commit, and a read never sees a change that is not durable.

mod batch;
mod cancel;
mod condition;
mod config;
mod conn;
pub mod dialect;
mod digest;
mod dynamic;
mod error;
mod file_size;
mod folder;
mod hints;
mod inspect;
mod lock_queues;
mod locks;
mod open;
mod page;
mod pg_writers;
mod pool;
mod postgres;
mod progress_handler;
mod purpose;
mod seal;
mod search;
mod soundness;
mod sqlite;
mod sqlite_writer;
mod target;
mod tx;
mod types;
mod wake;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use condition::Condition;
pub use config::{DatabaseUrl, Hints, NatsUrls, StoreConfig};
pub use conn::{Conn, Link};
pub use digest::keyed_digest;
pub use dynamic::{Bind, Statement};
pub use error::{described, is_unique_violation};
pub use folder::{DATABASE_FILE, LOCK_FILE, close_to_others, make_folder};
pub use inspect::{Schema, inspect, schema};
pub use locks::{LockKey, Locks, MAX_LOCKS};
pub use open::{OpenError, StoreMeta, has_tables};
pub use page::{BadPageToken, PageToken, RequestDigest, page_size};
pub use postgres::POSTGRES_CONNECTIONS;
pub use purpose::{Purpose, holding, reading_lists};
pub use seal::Sealer;
pub use search::{SearchColumn, SearchTerms, index_text, joined_name};
pub use tx::{Event, Held, Reaction, Reactions, Tx};
pub use types::{Digests, Texts};

use crate::clock::Clock;
use crate::error::Result;
use cancel::Canceller;
use conn::Meter;
use error::StoreError;
use pg_writers::PgWriters;
use pool::{Pool, PoolSettings};
use purpose::Pools;
use soundness::Soundness;
use sqlite_writer::Writer;
use wake::Wake;
use work::Closure;

/// The two supported databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file that only this process opens.
    Sqlite,
    /// A server that replicas share.
    Postgres,
}

impl Engine {
    /// Picks the text of this engine.
    #[must_use]
    pub const fn pick(self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// An open store. Cheap to clone; all clones are one store. A clone may read on connections that are reserved
/// for a purpose: [`reserved_for`](Store::reserved_for).
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    purpose: Option<Purpose>,
    reactions: Arc<Reactions>,
}

struct Inner {
    engine: Engine,
    clock: Clock,
    meta: StoreMeta,
    /// The meters of reads and of writes count statements.
    read_meter: Arc<Meter>,
    write_meter: Arc<Meter>,
    readers: Pools,
    canceller: Option<Canceller>,
    writers: Writers,
    wake: Wake,
    stop: CancellationToken,
    soundness: Arc<Soundness>,
    /// The background tasks, which run until `stop`.
    tasks: TaskTracker,
}

enum Writers {
    Sqlite(Writer),
    Postgres(PgWriters),
}

impl Store {
    /// Opens a store, creates it if it does not exist, and migrates its schema.
    ///
    /// # Errors
    /// An [`OpenError`], which tells the operator how to correct it.
    pub async fn open(config: &StoreConfig, clock: Clock) -> std::result::Result<Self, OpenError> {
        let soundness = Arc::new(Soundness::default());
        let meter = || Arc::new(Meter::noting(&soundness));
        let (read_meter, write_meter) = (meter(), meter());
        let tasks = TaskTracker::new();
        let wake = Wake::new();
        let stop = CancellationToken::new();
        let settings = |canceller| {
            let embedded = matches!(config.database, DatabaseUrl::Embedded { .. });
            PoolSettings {
                acquire_timeout: config.acquire_timeout,
                silence_limit: (!embedded).then_some(config.silence_limit),
                statement_timeout: config.statement_timeout,
                age: (!embedded).then_some(config.connection_age),
                trust: Arc::default(),
                canceller,
            }
        };
        let (engine, meta, readers, canceller, writers) = match &config.database {
            DatabaseUrl::Embedded { data_dir } => {
                let opened = sqlite::open(data_dir, config, &write_meter).await?;
                let watched = Arc::downgrade(&soundness);
                if opened.unchecked {
                    let (target, meter) = (opened.read_target.clone(), Arc::clone(&read_meter));
                    let check = sqlite::check_in_background;
                    tasks.spawn(check(target, meter, watched.clone(), stop.clone()));
                }
                tasks.spawn(opened.places.watch(watched, stop.clone()));
                let writer = Writer::start(
                    opened.writer,
                    opened.write_target,
                    Arc::clone(&write_meter),
                    wake.clone(),
                    config.commit_delay,
                    opened.data_dir,
                );
                let readers = Pools::new(&opened.read_target, config, &settings(None), &read_meter);
                let writers = Writers::Sqlite(writer);
                (Engine::Sqlite, opened.meta, readers, None, writers)
            }
            DatabaseUrl::Postgres(options) => {
                let opened = postgres::open(options, config, &clock, &write_meter).await?;
                hints::start(
                    &config.hints,
                    opened.patient,
                    opened.meta.store_id(),
                    config,
                    &wake,
                    &stop,
                );
                let canceller = Canceller::new(opened.target.clone());
                let settings = settings(Some(canceller.clone()));
                let readers = Pools::new(&opened.target, config, &settings, &read_meter);
                let writing = |connections| {
                    let (target, settings) = (opened.target.clone(), settings.clone());
                    Pool::new(target, connections, settings, Arc::clone(&write_meter))
                };
                let calls = writing(config.write_connections);
                let jobs = writing(pg_writers::JOBS_AT_ONCE);
                let writers = Writers::Postgres(PgWriters::new(calls, jobs, wake.clone()));
                let canceller = Some(canceller);
                (Engine::Postgres, opened.meta, readers, canceller, writers)
            }
        };
        let inner = Inner {
            engine,
            clock,
            meta,
            read_meter,
            write_meter,
            readers,
            canceller,
            writers,
            wake,
            stop,
            soundness,
            tasks,
        };
        Ok(Self {
            inner: Arc::new(inner),
            purpose: None,
            reactions: Arc::default(),
        })
    }

    /// The same store, with reads on connections that are reserved for `purpose`.
    #[must_use]
    pub fn reserved_for(&self, purpose: Purpose) -> Self {
        Self {
            purpose: Some(purpose),
            ..self.clone()
        }
    }

    /// Adds the reactions of areas to the writes of others, in this order. Other clones of the store do not
    /// have them, so a program adds them before it passes the store on.
    #[must_use]
    pub fn reacting(self, reactions: Reactions) -> Self {
        let reactions = Arc::new(reactions);
        Self { reactions, ..self }
    }

    /// How many reads for `purpose` can run at the same time.
    #[must_use]
    pub fn connections_for(&self, purpose: Purpose) -> usize {
        self.inner.readers.of(purpose).size()
    }

    fn readers(&self) -> &Pool {
        let purpose = self.purpose.unwrap_or_else(purpose::purpose_here);
        self.inner.readers.of(purpose)
    }

    /// The engine of this store.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.inner.engine
    }

    /// The clock that the store was opened with.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The identity of the store.
    #[must_use]
    pub fn meta(&self) -> &StoreMeta {
        &self.inner.meta
    }

    /// The number of statements sent to the database, without begin and commit.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.inner.read_meter.statements() + self.written_statements()
    }

    /// How many of them belonged to writes, reads within writes included.
    #[must_use]
    pub fn written_statements(&self) -> u64 {
        self.inner.write_meter.statements()
    }

    /// Changes whenever the change log may have grown, by a commit of this process or by a hint of another.
    /// Hints may be lost, so a follower must also poll.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.inner.wake.anywhere()
    }

    /// The number of hints received from other replicas.
    #[must_use]
    pub fn hints_received(&self) -> u64 {
        self.inner.wake.hints()
    }

    /// Runs reads, each statement on its own state of the database.
    ///
    /// # Errors
    /// The closure's error, or an error if the database is unavailable.
    pub async fn read<T, F>(&self, f: F) -> Result<T>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>>,
    {
        self.may_read()?;
        let readers = self.readers();
        let acquired = readers.acquire().await;
        let mut pooled = acquired.map_err(|error| error.to_error())?;
        let Some(result) = readers.within_silence_limit(f(pooled.conn())).await else {
            pooled.give_up();
            return Err(pool::silent().to_error());
        };
        pooled.release();
        result
    }

    /// Runs reads that all see the state of one moment.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn snapshot<T, F>(&self, f: F) -> Result<T>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>>,
    {
        self.may_read()?;
        let begin = self
            .engine()
            .pick("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let readers = self.readers();
        let begun = readers.begin(begin).await;
        let mut pooled = begun.map_err(|error| error.to_error())?;
        let Some(result) = readers.within_silence_limit(f(pooled.conn())).await else {
            pooled.give_up();
            return Err(pool::silent().to_error());
        };
        if pooled.conn().is_broken() {
            pooled.release();
            return result;
        }
        match readers.within_silence_limit(pooled.conn().rollback()).await {
            Some(()) => pooled.release(),
            None => pooled.give_up(),
        }
        result
    }

    /// Runs a write. There is no other way to write.
    ///
    /// `f` owns its data and may run more than once, each time on the state of that moment. It only uses the
    /// database, and is quick: 200 rows or 5 ms. All its effects are durable when this returns `Ok`, and none
    /// are when it returns an error. After `UNAVAILABLE` they may be either. The write continues if its
    /// caller leaves. `f` must not call the store again.
    ///
    /// # Errors
    /// The closure's error, or an error if the database is unavailable or full.
    pub async fn write<T, F>(&self, locks: Locks, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        self.submit(false, Closure::new(locks, (), ignoring_data(f)))
            .await
    }

    /// Like [`write`](Self::write), with data that every run borrows instead of cloning it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_with<T, D, F>(&self, locks: Locks, data: D, f: F) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t D) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        self.submit(false, Closure::new(locks, data, f)).await
    }

    /// Like [`write`](Self::write), for background work: calls have priority.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_job<T, F>(&self, locks: Locks, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        self.submit(true, Closure::new(locks, (), ignoring_data(f)))
            .await
    }

    /// Like [`write_job`](Self::write_job), with data that every run borrows.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_job_with<T, D, F>(&self, locks: Locks, data: D, f: F) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t D) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        self.submit(true, Closure::new(locks, data, f)).await
    }

    /// Runs a write and rolls it back. The answer is that of a real write, and nothing is stored.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn dry_run<T, D, F>(&self, locks: Locks, data: D, f: F) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t D) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (work, answer) = Closure::new(locks, data, f);
        self.submit(false, (work.into_dry_run(), answer)).await
    }

    fn may_read(&self) -> Result<()> {
        match self.inner.soundness.no_reads() {
            Some(error) => Err(error.to_error()),
            None => Ok(()),
        }
    }

    async fn submit<T, D, F>(
        &self,
        job: bool,
        (work, answer): (Closure<T, D, F>, tokio::sync::oneshot::Receiver<Result<T>>),
    ) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t D) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        if let Some(error) = self.inner.soundness.no_writes() {
            return Err(error.to_error());
        }
        let work = work.reacting(Arc::clone(&self.reactions));
        match &self.inner.writers {
            Writers::Sqlite(writer) => writer.submit(Box::new(work), job).await,
            Writers::Postgres(_) if self.inner.stop.is_cancelled() => {
                return Err(StoreError::away("the store is closed").to_error());
            }
            Writers::Postgres(writers) => writers.submit(Box::new(work), job),
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::away("the write was dropped").to_error()),
        }
    }

    /// Finishes the writes that were submitted, then closes all connections. Later calls fail as unavailable.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        match &self.inner.writers {
            Writers::Sqlite(writer) => {
                // Closes the readers first, so that the last connection to close can checkpoint the log.
                self.inner.readers.close().await;
                writer.close().await;
            }
            Writers::Postgres(writers) => {
                writers.close().await;
                self.inner.readers.close().await;
            }
        }
        if let Some(canceller) = &self.inner.canceller {
            canceller.close().await;
        }
    }
}

/// Adapts a closure without data.
fn ignoring_data<T, F>(f: F) -> impl for<'t> Fn(&'t mut Tx, &'t ()) -> BoxFuture<'t, Result<T>>
where
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
{
    move |tx, &()| f(tx)
}
