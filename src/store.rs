//! The store: two engines behind one face.
//!
//! Reads borrow a connection; the only way to write is [`Store::write`]. One SQL text serves both
//! engines ([`on!`](crate::on)), and what must differ lies in [`dialect`]. An answer leaves only
//! after its commit, and a read never sees what is not durable.

mod batch;
mod config;
mod conn;
pub mod dialect;
mod dynamic;
mod error;
mod group;
mod hints;
mod inspect;
mod lanes;
mod locks;
mod open;
mod page;
mod pool;
mod postgres;
mod seal;
mod search;
mod sqlite;
mod tx;
mod types;
mod wake;
mod work;
mod workshop;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use config::{DatabaseUrl, POSTGRES_CONNECTIONS, StoreConfig};
pub use conn::{Conn, Link};
pub use dynamic::{Bind, Statement};
pub use error::{described, is_unique_violation};
pub use hints::{Hints, NatsUrls};
pub use inspect::{Schema, inspect, schema};
pub use locks::{LockKey, Locks, MAX_LOCKS};
pub use open::{OpenError, StoreMeta};
pub use page::{BadPageToken, PageToken, RequestDigest, keyed_digest, page_size};
pub use seal::Sealer;
pub use search::{SearchColumn, SearchTerms, index_text, joined_name};
pub use sqlite::{DATABASE_FILE, LOCK_FILE};
pub use tx::Tx;
pub use types::Texts;

use crate::clock::Clock;
use crate::error::{Error, Result};
use conn::Meter;
use error::{StoreFault, Trouble};
use group::Writer;
use pool::Pool;
use wake::Wake;
use work::Closure;
use workshop::Workshop;

/// The two databases that a store may lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of this process.
    Sqlite,
    /// A server, shared with other replicas.
    Postgres,
}

impl Engine {
    /// The one of two texts that is this engine's.
    #[must_use]
    pub const fn pick(self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// An open store; cheap to clone, and all clones are one store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Engine,
    clock: Clock,
    meta: StoreMeta,
    /// Counts the statements of reads, and those of writes.
    read_meter: Arc<Meter>,
    write_meter: Arc<Meter>,
    readers: Pool,
    writers: Writers,
    wake: Wake,
    stop: CancellationToken,
}

enum Writers {
    Sqlite(Writer),
    Postgres(Workshop),
}

impl Store {
    /// Opens a store; makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// Each [`OpenError`] says what the operator can do.
    pub async fn open(config: &StoreConfig, clock: Clock) -> std::result::Result<Self, OpenError> {
        let (read_meter, write_meter) = (Arc::new(Meter::default()), Arc::new(Meter::default()));
        let wake = Wake::new();
        let stop = CancellationToken::new();
        let silence_limit = match config.database {
            DatabaseUrl::Embedded { .. } => None,
            DatabaseUrl::Postgres(_) => Some(config.silence_limit),
        };
        let pool = |target, size, meter: &Arc<Meter>| {
            let meter = Arc::clone(meter);
            Pool::new(target, size, config.acquire_timeout, silence_limit, meter)
        };
        let (engine, meta, readers, writers) = match &config.database {
            DatabaseUrl::Embedded { data_dir } => {
                let opened = sqlite::open(data_dir, config.busy_timeout, &write_meter).await?;
                let writer = Writer::start(
                    opened.writer,
                    opened.write_target,
                    Arc::clone(&write_meter),
                    wake.clone(),
                    config.commit_delay,
                    opened.premises,
                );
                let readers = pool(opened.read_target, config.read_connections, &read_meter);
                let writers = Writers::Sqlite(writer);
                (Engine::Sqlite, opened.meta, readers, writers)
            }
            DatabaseUrl::Postgres(options) => {
                let opened = postgres::open(options, config, &write_meter).await?;
                hints::start(
                    &config.hints,
                    opened.patient,
                    opened.meta.store_id(),
                    config.silence_limit,
                    &wake,
                    &stop,
                );
                let readers = pool(opened.target.clone(), config.read_connections, &read_meter);
                let writing = pool(opened.target, config.write_connections, &write_meter);
                let writers = Writers::Postgres(Workshop::new(writing, wake.clone()));
                (Engine::Postgres, opened.meta, readers, writers)
            }
        };
        Ok(Self(Arc::new(Inner {
            engine,
            clock,
            meta,
            read_meter,
            write_meter,
            readers,
            writers,
            wake,
            stop,
        })))
    }

    /// Which engine this store lies in.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.0.engine
    }

    /// The clock that the store was opened with.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// What the store knows of itself.
    #[must_use]
    pub fn meta(&self) -> &StoreMeta {
        &self.0.meta
    }

    /// How many statements have been sent to the database, not counting begin and commit.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.0.read_meter.statements() + self.written_statements()
    }

    /// How many of them belonged to writes, what a write reads included.
    #[must_use]
    pub fn written_statements(&self) -> u64 {
        self.0.write_meter.statements()
    }

    /// Changes whenever the change log may have grown, by a commit of this process or by a hint of
    /// another. A follower must also look by itself now and then: hints may be lost.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.0.wake.anywhere()
    }

    /// How many hints of other replicas were heard.
    #[must_use]
    pub fn hints_heard(&self) -> u64 {
        self.0.wake.hints()
    }

    /// Reads, each statement for itself.
    ///
    /// # Errors
    /// The closure's own, or that the database is not available.
    pub async fn read<T, F>(&self, f: F) -> Result<T>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>>,
    {
        let mut pooled = self
            .0
            .readers
            .acquire()
            .await
            .map_err(|trouble| trouble.to_error())?;
        let Some(result) = self.0.readers.heard(f(pooled.conn())).await else {
            pooled.give_up();
            return Err(pool::silent().to_error());
        };
        pooled.release();
        result
    }

    /// Reads what was committed at one moment: all statements see the same.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn snapshot<T, F>(&self, f: F) -> Result<T>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>>,
    {
        let begin = self
            .engine()
            .pick("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let mut pooled = self
            .0
            .readers
            .begin(begin)
            .await
            .map_err(|trouble| trouble.to_error())?;
        let Some(result) = self.0.readers.heard(f(pooled.conn())).await else {
            pooled.give_up();
            return Err(pool::silent().to_error());
        };
        if pooled.conn().is_broken() {
            pooled.release();
            return result;
        }
        match self.0.readers.heard(pooled.conn().rollback()).await {
            Some(()) => pooled.release(),
            None => pooled.give_up(),
        }
        result
    }

    /// Writes: the only way to.
    ///
    /// `f` owns its data and may be run more than once, each time on the state of that moment; it
    /// does nothing but speak to the database, and quickly (200 rows or 5 ms). All of it stands when
    /// this returns `Ok`, and nothing when it returns an error, except for `UNAVAILABLE`, after which
    /// it may be either. A caller that goes away does not stop it. It must not call the store again.
    ///
    /// # Errors
    /// The closure's own, or that the database is not available or full.
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

    /// Like [`write`](Self::write), for background work: calls go before it.
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

    /// Runs a write and takes it back: the answer is what it would have been, and nothing stands.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn rehearse<T, D, F>(&self, locks: Locks, data: D, f: F) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t D) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let answer = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&answer);
        let keep = move |value: Option<T>| {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = value;
        };
        let outcome: Result<()> = self
            .write_with(locks, (data, f, keep), rehearsal::<T, D, F, _>)
            .await;
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (answer, outcome) {
            (Some(answer), _) => Ok(answer),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => unreachable!("a rehearsal ends with an error"),
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
        match &self.0.writers {
            Writers::Sqlite(writer) => writer.submit(Box::new(work), job).await,
            Writers::Postgres(_) if self.0.stop.is_cancelled() => {
                return Err(Trouble::away("the store is closed").to_error());
            }
            Writers::Postgres(workshop) => workshop.submit(Box::new(work), job),
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::away("the write was dropped").to_error()),
        }
    }

    /// Finishes the writes that were handed over, then closes all connections. Later calls are
    /// told that the store is not available.
    pub async fn close(&self) {
        self.0.stop.cancel();
        match &self.0.writers {
            Writers::Sqlite(writer) => {
                // The readers first, so that the last connection to close can fold the log in.
                self.0.readers.close().await;
                writer.close().await;
            }
            Writers::Postgres(workshop) => {
                workshop.close().await;
                self.0.readers.close().await;
            }
        }
    }
}

/// One run of a rehearsal: the error rolls it back, after the answer was kept.
fn rehearsal<'t, T, D, F, K>(
    tx: &'t mut Tx,
    (data, f, keep): &'t (D, F, K),
) -> BoxFuture<'t, Result<()>>
where
    T: Send,
    D: Sync,
    F: for<'a> Fn(&'a mut Tx, &'a D) -> BoxFuture<'a, Result<T>> + Sync,
    K: Fn(Option<T>) + Sync,
{
    Box::pin(async move {
        keep(None);
        let answer = f(tx, data).await?;
        keep(Some(answer));
        Err(Error::internal(StoreFault(
            "the write was a rehearsal".into(),
        )))
    })
}

/// A closure without data, as one with the data `()`.
fn ignoring_data<T, F>(f: F) -> impl for<'t> Fn(&'t mut Tx, &'t ()) -> BoxFuture<'t, Result<T>>
where
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
{
    move |tx, &()| f(tx)
}
