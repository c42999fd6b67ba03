//! A pool of connections to either engine.
//!
//! The driver's own pool pings the server whenever a connection is taken and again when it is returned: two
//! round trips for one statement. This one pings only connections that were idle. It drops all idle
//! connections as soon as one is dead, so a restarted server fails only the calls in progress.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cancel::Canceller;
use super::conn::{Conn, Meter};
use super::error::StoreError;
use super::target::Target;

/// A connection that was idle for longer is pinged before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long a connection whose call was cancelled may take to become usable again.
const RECOVERY: Duration = Duration::from_secs(6);

/// How long the statement of a cancelled call may continue before the server is asked to cancel it.
const CANCELLED_AFTER: Duration = Duration::from_millis(50);

/// The settings that the pools of a store share.
#[derive(Clone)]
pub(super) struct PoolSettings {
    pub(super) acquire_timeout: Duration,
    /// None if the other end is this process.
    pub(super) silence_limit: Option<Duration>,
    /// The time limit of a statement of SQLite. PostgreSQL gets its limit at the connection.
    pub(super) statement_timeout: Duration,
    /// The greatest age of a connection, give or take a fifth; None if it cannot lead to another server.
    pub(super) age: Option<Duration>,
    pub(super) trust: Arc<Trust>,
    /// None if the progress handler of the connection ends statements.
    pub(super) canceller: Option<Canceller>,
}

/// The trust in idle connections of all pools of a store.
#[derive(Default)]
pub(super) struct Trust {
    /// Increases when a connection is found dead: connections that were idle then are not trusted any more.
    generation: AtomicU64,
    /// When the trust last ended because a server was read-only.
    read_only_at: Mutex<Option<Instant>>,
}

impl Trust {
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the trust because a server is read-only, but only now and then. It may be the right server all
    /// the same, and each write that it refuses would cost all reads their connections.
    fn end_if_due(&self) {
        let mut last = self
            .read_only_at
            .lock()
            .expect("nothing panics while it holds this lock");
        if last.is_none_or(|last| last.elapsed() > TRUSTED_IDLE) {
            *last = Some(Instant::now());
            self.end();
        }
    }
}

/// A bounded pool of connections.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    target: Target,
    meter: Arc<Meter>,
    size: u32,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    settings: PoolSettings,
}

struct Idle {
    conn: Conn,
    since: Instant,
    generation: u64,
}

impl Pool {
    pub(super) fn new(
        target: Target,
        size: usize,
        settings: PoolSettings,
        meter: Arc<Meter>,
    ) -> Self {
        let size = u32::try_from(size.max(1)).unwrap_or(u32::MAX);
        Self(Arc::new(Inner {
            target,
            meter,
            size,
            permits: Arc::new(Semaphore::new(size as usize)),
            idle: Mutex::new(Vec::new()),
            settings,
        }))
    }

    /// The most connections.
    pub(super) fn size(&self) -> usize {
        self.0.size as usize
    }

    /// Waits for a free connection.
    pub(super) async fn acquire(&self) -> Result<Pooled, StoreError> {
        let inner = &self.0;
        let acquire_timeout = inner.settings.acquire_timeout;
        let permit = match Arc::clone(&inner.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(tokio::sync::TryAcquireError::Closed) => return Err(closed()),
            Err(tokio::sync::TryAcquireError::NoPermits) => {
                let wait = Arc::clone(&inner.permits).acquire_owned();
                match tokio::time::timeout(acquire_timeout, wait).await {
                    Ok(Ok(permit)) => permit,
                    Ok(Err(_)) => return Err(closed()),
                    Err(_) => return Err(StoreError::away("no connection became free in time")),
                }
            }
        };
        while let Some(mut idle) = self.pop_idle() {
            if idle.since.elapsed() < TRUSTED_IDLE {
                return Ok(self.lend(idle.conn, permit));
            }
            // A server whose machine is down does not even refuse.
            let ping = tokio::time::timeout(acquire_timeout, idle.conn.ping());
            if matches!(ping.await, Ok(Ok(()))) {
                return Ok(self.lend(idle.conn, permit));
            }
            self.forget_idle();
        }
        match tokio::time::timeout(acquire_timeout, self.connect()).await {
            Ok(Ok(conn)) => Ok(self.lend(conn, permit)),
            Ok(Err(error)) => {
                inner.meter.note(&error);
                tracing::warn!(%error, "no connection to the database");
                // Whatever the error, a database that cannot be reached is away.
                Err(StoreError::away(&error.to_string()))
            }
            Err(_) => Err(StoreError::away("the database did not answer in time")),
        }
    }

    /// Takes a connection and begins a transaction on it with the text `sql`.
    ///
    /// A dead connection is replaced, because nothing has been done on it yet.
    pub(super) async fn begin(&self, sql: &str) -> Result<Pooled, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut pooled = self.acquire().await?;
            let Some(begun) = self
                .within_silence_limit(pooled.conn().begin(sql.to_owned()))
                .await
            else {
                pooled.give_up();
                return Err(silent());
            };
            match begun {
                Ok(()) => return Ok(pooled),
                Err(_) if pooled.conn().is_broken() && tries < 3 => pooled.release(),
                Err(error) => {
                    pooled.release();
                    return Err(StoreError::of(&error));
                }
            }
        }
    }

    /// Waits for work on a connection of this pool, at most for the silence limit. None means that the server
    /// is silent, and the connection is to be given up.
    pub(super) async fn within_silence_limit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.0.settings.silence_limit {
            Some(limit) => tokio::time::timeout(limit, work).await.ok(),
            None => Some(work.await),
        }
    }

    /// Waits until every connection has been returned, then closes all.
    pub(super) async fn close(&self) {
        if let Ok(all) = self.0.permits.acquire_many(self.0.size).await {
            all.forget();
        }
        self.0.permits.close();
        while let Some(idle) = self.pop_idle() {
            idle.conn.close().await;
        }
    }

    async fn connect(&self) -> sqlx::Result<Conn> {
        let mut conn = self.0.target.connect(&self.0.meter).await?;
        conn.limit(self.0.settings.statement_timeout).await?;
        Ok(conn)
    }

    fn lend(&self, conn: Conn, permit: OwnedSemaphorePermit) -> Pooled {
        Pooled {
            conn: Some(conn),
            pool: self.clone(),
            permit: Some(permit),
            done: false,
        }
    }

    fn pop_idle(&self) -> Option<Idle> {
        let generation = self.0.settings.trust.generation();
        let mut idle = self
            .0
            .idle
            .lock()
            .expect("nothing panics while it holds this lock");
        // The last connection returned is taken first, so that unneeded ones stay idle.
        while let Some(last) = idle.pop() {
            if last.generation == generation && !self.is_old(&last.conn) {
                return Some(last);
            }
        }
        None
    }

    /// Whether a connection has reached its greatest age. An address may have come to lead elsewhere, and
    /// only a new connection follows it.
    fn is_old(&self, conn: &Conn) -> bool {
        let Some(age) = self.0.settings.age else {
            return false;
        };
        // A different age for each, so that not all are replaced at the same moment.
        let spread = f64::from(conn.process().unwrap_or_default().rem_euclid(64)) / 64.0;
        conn.age() > age.mul_f64(0.8 + 0.4 * spread)
    }

    fn push_idle(&self, conn: Conn) {
        if self.is_old(&conn) {
            return;
        }
        let generation = self.0.settings.trust.generation();
        let idle = Idle {
            conn,
            since: Instant::now(),
            generation,
        };
        self.0
            .idle
            .lock()
            .expect("nothing panics while it holds this lock")
            .push(idle);
    }

    fn forget_idle(&self) {
        self.0.settings.trust.end();
    }
}

/// The error of a connection that was given up.
pub(super) fn silent() -> StoreError {
    StoreError::away("the database was silent for too long")
}

fn closed() -> StoreError {
    StoreError::away("the store is closed")
}

/// A connection that is lent to a call.
pub(super) struct Pooled {
    conn: Option<Conn>,
    pool: Pool,
    permit: Option<OwnedSemaphorePermit>,
    /// Whether the loan ended properly, and not because its call was cancelled.
    done: bool,
}

impl Pooled {
    pub(super) fn conn(&mut self) -> &mut Conn {
        self.conn
            .as_mut()
            .expect("only the owner takes the connection, and returns it")
    }

    /// Takes the connection out. If it is dropped instead of returned, it is closed.
    pub(super) fn take(&mut self) -> Conn {
        self.conn
            .take()
            .expect("only the owner takes the connection, and returns it")
    }

    /// Returns a connection that was taken out.
    pub(super) fn give_back(mut self, conn: Conn) {
        self.conn = Some(conn);
        self.release();
    }

    /// Ends the loan of a connection whose answer is no longer awaited.
    pub(super) fn give_up(mut self) {
        self.conn().give_up();
        self.release();
    }

    pub(super) fn release(mut self) {
        self.done = true;
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else {
            return;
        };
        if conn.is_broken() {
            if conn.is_read_only() {
                self.pool.0.settings.trust.end_if_due();
            } else {
                self.pool.forget_idle();
            }
            return;
        }
        if self.done && !conn.in_transaction() {
            conn.forgive();
            self.pool.push_idle(conn);
            return;
        }
        // The call was cancelled amid its work: its answer may still be on the wire, and its transaction
        // open. The permit stays taken until that is settled.
        conn.interrupt();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let pool = self.pool.clone();
        let permit = self.permit.take();
        runtime.spawn(async move {
            if settle(&mut conn, pool.0.settings.canceller.as_ref()).await {
                pool.push_idle(conn);
            }
            drop(permit);
        });
    }
}

/// Ends the statement and the transaction of a cancelled call. Returns whether the connection can be used
/// again.
async fn settle(conn: &mut Conn, canceller: Option<&Canceller>) -> bool {
    let process = conn.process();
    let mut settling = std::pin::pin!(async {
        // The ping follows the statement, so its answer means that the statement has ended.
        if conn.ping().await.is_ok() {
            conn.resume();
            if conn.in_transaction() {
                conn.rollback().await;
            }
        }
        !conn.is_broken()
    });
    if let Ok(usable) = tokio::time::timeout(CANCELLED_AFTER, &mut settling).await {
        return usable;
    }
    if let (Some(canceller), Some(process)) = (canceller, process)
        && canceller.cancel(process).await
    {
        // The connection is closed: a late request to cancel would hit its next statement.
        return false;
    }
    tokio::time::timeout(RECOVERY, settling)
        .await
        .unwrap_or(false)
}
