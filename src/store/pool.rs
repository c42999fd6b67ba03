//! A pool of connections to either engine.
//!
//! The driver's own pool asks the server whether a connection lives each time it is taken and each
//! time it comes back: two round trips for one statement. This one asks only what has been idle,
//! and forgets all idle connections as soon as one is found dead, so that a restarted server costs
//! the calls that were under way and no others.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cancel::Canceller;
use super::conn::{Conn, Meter};
use super::error::Trouble;
use super::target::Target;

/// A connection that has been idle for longer is asked before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long a connection whose call vanished may take to become usable again.
const RECOVERY: Duration = Duration::from_secs(6);

/// How long the statement of a call that vanished may go on before the server is told to end it.
const CANCELLED_AFTER: Duration = Duration::from_millis(50);

/// The settings that the pools of a store have in common.
#[derive(Clone)]
pub(super) struct PoolSettings {
    pub(super) acquire_timeout: Duration,
    /// None where the other end is this process.
    pub(super) silence_limit: Option<Duration>,
    /// How long SQLite works on one statement; PostgreSQL is told when connecting.
    pub(super) statement_timeout: Duration,
    /// How old a connection becomes, give or take a fifth; none where it cannot lead to another server.
    pub(super) age: Option<Duration>,
    pub(super) trust: Arc<Trust>,
    /// None where statements are ended by the connection's own leash.
    pub(super) canceller: Option<Canceller>,
}

/// Which idle connections are trusted, in all pools of a store.
#[derive(Default)]
pub(super) struct Trust {
    /// Moves on when a connection is found dead: what was idle then is not trusted any more.
    generation: AtomicU64,
    /// When it moved on last because a server only reads.
    astray: Mutex<Option<Instant>>,
}

impl Trust {
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the trust because a server only reads: now and then, as it may be the right one all the same, and
    /// each write that it refuses would cost all reads their connections.
    fn end_now_and_then(&self) {
        let mut last = self
            .astray
            .lock()
            .expect("nothing panics while it holds this lock");
        if last.is_none_or(|last| last.elapsed() > TRUSTED_IDLE) {
            *last = Some(Instant::now());
            self.end();
        }
    }
}

/// Connections, at most a fixed number at a time.
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

    /// How many connections there are at most.
    pub(super) fn size(&self) -> usize {
        self.0.size as usize
    }

    /// A connection, when one is free.
    pub(super) async fn acquire(&self) -> Result<Pooled, Trouble> {
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
                    Err(_) => return Err(Trouble::away("no connection became free in time")),
                }
            }
        };
        while let Some(mut idle) = self.pop_idle() {
            if idle.since.elapsed() < TRUSTED_IDLE {
                return Ok(self.lend(idle.conn, permit));
            }
            // A server whose machine is gone does not even refuse.
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
                // Whatever the words, a database that cannot be reached is away.
                Err(Trouble::away(&error.to_string()))
            }
            Err(_) => Err(Trouble::away("the database did not answer in time")),
        }
    }

    /// A connection on which a transaction has begun with the text `sql`.
    ///
    /// A connection that turns out to be dead is replaced: nothing has been done on it yet.
    pub(super) async fn begin(&self, sql: &str) -> Result<Pooled, Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut pooled = self.acquire().await?;
            let Some(begun) = self.heard(pooled.conn().begin(sql.to_owned())).await else {
                pooled.give_up();
                return Err(silent());
            };
            match begun {
                Ok(()) => return Ok(pooled),
                Err(_) if pooled.conn().is_broken() && tries < 3 => pooled.release(),
                Err(error) => {
                    pooled.release();
                    return Err(Trouble::of(&error));
                }
            }
        }
    }

    /// What work on a connection of this pool gives; none if it takes so long that nothing can be
    /// behind it but silence. The connection is to be given up then.
    pub(super) async fn heard<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.0.settings.silence_limit {
            Some(limit) => tokio::time::timeout(limit, work).await.ok(),
            None => Some(work.await),
        }
    }

    /// Waits until every connection has come back, then closes all.
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
        // The last one back is the first one out: what is not needed stays idle.
        while let Some(last) = idle.pop() {
            if last.generation == generation && !self.is_old(&last.conn) {
                return Some(last);
            }
        }
        None
    }

    /// Whether a connection has had its time. An address may have come to lead elsewhere, and only a new
    /// connection follows it.
    fn is_old(&self, conn: &Conn) -> bool {
        let Some(age) = self.0.settings.age else {
            return false;
        };
        // Another age for each, so that not all are made anew at the same moment.
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

/// The trouble with a connection that was given up.
pub(super) fn silent() -> Trouble {
    Trouble::away("the database said nothing for too long")
}

fn closed() -> Trouble {
    Trouble::away("the store is closed")
}

/// A connection on loan.
pub(super) struct Pooled {
    conn: Option<Conn>,
    pool: Pool,
    permit: Option<OwnedSemaphorePermit>,
    /// The loan ended in good order, and not because its call vanished.
    done: bool,
}

impl Pooled {
    pub(super) fn conn(&mut self) -> &mut Conn {
        self.conn
            .as_mut()
            .expect("the connection is only taken by the one who gives it back")
    }

    /// Takes the connection out; dropped instead of given back, it is closed.
    pub(super) fn take(&mut self) -> Conn {
        self.conn
            .take()
            .expect("the connection is only taken by the one who gives it back")
    }

    /// Gives a taken connection back.
    pub(super) fn give_back(mut self, conn: Conn) {
        self.conn = Some(conn);
        self.release();
    }

    /// Ends the loan of a connection that is waited for no longer.
    pub(super) fn give_up(mut self) {
        self.conn().give_up();
        self.release();
    }

    /// Ends the loan.
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
                self.pool.0.settings.trust.end_now_and_then();
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
        // The call vanished in the middle: its answer may still be on the wire, and its
        // transaction open. The permit stays taken until that is settled.
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

/// Ends what a call that vanished has left on its connection; tells whether the connection can be used
/// again.
async fn settle(conn: &mut Conn, canceller: Option<&Canceller>) -> bool {
    let process = conn.process();
    let mut settling = std::pin::pin!(async {
        // Behind the statement, so that it has ended when this is answered.
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
        // The connection is closed: the order to cancel may come late, and would hit its next statement.
        return false;
    }
    tokio::time::timeout(RECOVERY, settling)
        .await
        .unwrap_or(false)
}
