//! A connection to either engine, and the macro that runs one statement text on both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};

use super::Engine;
use super::error::{Class, class, ends_connection, is_read_only};
use super::progress_handler::ProgressHandler;
use super::soundness::Soundness;
use crate::on;

/// Counts the statements that the store sends to its database.
#[derive(Debug, Default)]
pub(super) struct Meter {
    statements: AtomicU64,
    /// Notes damage. None during the opening of the store, which reports damage itself.
    soundness: Option<Arc<Soundness>>,
}

impl Meter {
    /// Creates a meter that notes damage in `soundness`.
    pub(super) fn noting(soundness: &Arc<Soundness>) -> Self {
        Self {
            statements: AtomicU64::default(),
            soundness: Some(Arc::clone(soundness)),
        }
    }

    /// Notes the failure of a statement or of an attempt to connect.
    pub(super) fn note(&self, error: &sqlx::Error) {
        if let Some(soundness) = &self.soundness {
            soundness.note(error);
        }
    }

    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

/// The native connection inside a [`Conn`].
pub(super) enum Native {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// The native connection, lent to one statement by [`on!`](crate::on).
pub enum Link<'c> {
    /// SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// PostgreSQL.
    Postgres(&'c mut PgConnection),
}

/// A connection that reads. SQL functions that only read take `&mut Conn`. Those that write take
/// [`&mut Tx`](super::Tx), which dereferences to a `Conn`.
pub struct Conn {
    native: Native,
    meter: Arc<Meter>,
    /// A statement failed, so the transaction, if there is one, cannot be committed.
    failed: bool,
    /// The connection can no longer be used.
    broken: bool,
    in_transaction: bool,
    /// A statement lost against another transaction: the same work may succeed when it runs again.
    contended: bool,
    /// The server refused to write.
    read_only: bool,
    /// The server process at the other end; None on SQLite.
    process: Option<i32>,
    /// Ends statements of SQLite; None on the writer and while the store opens.
    progress_handler: Option<Arc<ProgressHandler>>,
    /// Statements that the transaction runs before its commit.
    before_commit: Vec<&'static str>,
    made: Instant,
}

impl Conn {
    pub(super) fn new(native: Native, meter: Arc<Meter>) -> Self {
        Self {
            native,
            meter,
            failed: false,
            broken: false,
            in_transaction: false,
            contended: false,
            read_only: false,
            process: None,
            progress_handler: None,
            before_commit: Vec::new(),
            made: Instant::now(),
        }
    }

    /// Sets the process of the server at the other end.
    pub(super) fn of_process(mut self, pid: i32) -> Self {
        self.process = Some(pid);
        self
    }

    pub(super) fn process(&self) -> Option<i32> {
        self.process
    }

    pub(super) fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// Limits each statement of SQLite to `limit`, and lets [`interrupt`](Self::interrupt) end it. PostgreSQL
    /// has a limit of its own.
    pub(super) async fn limit(&mut self, limit: Duration) -> sqlx::Result<()> {
        if let Native::Sqlite(connection) = &mut self.native {
            self.progress_handler = Some(ProgressHandler::install(connection, limit).await?);
        }
        Ok(())
    }

    /// Ends the statement that SQLite runs, because its caller has gone.
    pub(super) fn interrupt(&self) {
        if let Some(handler) = &self.progress_handler {
            handler.interrupt();
        }
    }

    /// Takes back an interrupt, once the statement has ended.
    pub(super) fn resume(&self) {
        if let Some(handler) = &self.progress_handler {
            handler.resume();
        }
    }

    /// The engine of this connection.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.native {
            Native::Sqlite(_) => Engine::Sqlite,
            Native::Postgres(_) => Engine::Postgres,
        }
    }

    pub(super) fn native(&mut self) -> &mut Native {
        &mut self.native
    }

    /// Lends the native connection to one statement. For [`on!`](crate::on), which also notes the result of
    /// the statement.
    #[doc(hidden)]
    pub fn link(&mut self) -> Link<'_> {
        self.meter.statements.fetch_add(1, Ordering::Relaxed);
        if let Some(handler) = &self.progress_handler {
            handler.begin();
        }
        match &mut self.native {
            Native::Sqlite(connection) => Link::Sqlite(connection),
            Native::Postgres(connection) => Link::Postgres(connection),
        }
    }

    /// Notes the result of a statement. For [`on!`](crate::on).
    #[doc(hidden)]
    pub fn noted<T>(&mut self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        if let Err(error) = &result {
            self.meter.note(error);
            // A row that is absent or does not decode leaves the transaction intact.
            if matches!(error, sqlx::Error::Database(_)) {
                self.failed = true;
                self.contended |= class(error) == Class::Contended;
            }
            self.read_only |= is_read_only(error);
            if ends_connection(error) {
                self.failed = true;
                self.broken = true;
            }
        }
        result
    }

    /// Forgets a failed statement. Outside of a transaction it has no further effect.
    pub(super) fn forgive(&mut self) {
        self.failed = false;
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(super) fn was_contended(&self) -> bool {
        self.contended
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the server refused to write: it is a standby, or was made read-only.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Runs a control statement (begin, commit, rollback …), which is not counted.
    async fn control(&mut self, sql: impl sqlx::SqlSafeStr) -> sqlx::Result<()> {
        let done = match &mut self.native {
            Native::Sqlite(connection) => sqlx::raw_sql(sql).execute(connection).await.map(|_| ()),
            Native::Postgres(connection) => {
                sqlx::raw_sql(sql).execute(connection).await.map(|_| ())
            }
        };
        self.noted(done)
    }

    /// Begins a transaction. After an error there is none.
    ///
    /// The text may hold further statements after the `BEGIN`, in the same round trip. The driver's own
    /// transactions are not used: they lose track of a `BEGIN` whose following statement fails, and would
    /// return the connection to the pool inside a failed transaction.
    pub(super) async fn begin(&mut self, sql: String) -> sqlx::Result<()> {
        self.failed = false;
        self.contended = false;
        self.in_transaction = true;
        self.before_commit.clear();
        let begun = self.control(AssertSqlSafe(sql)).await;
        if begun.is_err() && !self.broken {
            self.rollback().await;
        }
        begun
    }

    /// Commits. After an error nothing of the transaction is stored. If the connection was lost on the way,
    /// the outcome is unknown.
    pub(super) async fn commit(&mut self) -> sqlx::Result<()> {
        let committed = match self.run_before_commit().await {
            Ok(()) => self.control("COMMIT").await,
            Err(error) => Err(error),
        };
        match &committed {
            Ok(()) => self.in_transaction = false,
            Err(_) if !self.broken => self.rollback().await,
            Err(_) => {}
        }
        committed
    }

    /// Runs a statement once before the commit, however often it is given.
    pub(super) fn before_commit(&mut self, statement: &'static str) {
        if !self.before_commit.contains(&statement) {
            self.before_commit.push(statement);
        }
    }

    async fn run_before_commit(&mut self) -> sqlx::Result<()> {
        for statement in std::mem::take(&mut self.before_commit) {
            on!(self, |e| sqlx::query(statement).execute(e).await.map(drop))?;
        }
        Ok(())
    }

    /// Rolls back. A connection that cannot roll back is broken.
    pub(super) async fn rollback(&mut self) {
        let rolled_back = self.control("ROLLBACK").await;
        // SQLite may have rolled back by itself (full disk, I/O error); that is no error here.
        let by_itself = self.engine() == Engine::Sqlite
            && rolled_back
                .as_ref()
                .is_err_and(|error| matches!(error, sqlx::Error::Database(_)));
        if rolled_back.is_err() && !by_itself {
            self.broken = true;
        }
        self.in_transaction = false;
        self.failed = false;
    }

    /// Marks the connection as broken: no answer to a sent statement is awaited.
    pub(super) fn give_up(&mut self) {
        self.broken = true;
    }

    /// Checks that the other end answers.
    pub(super) async fn ping(&mut self) -> sqlx::Result<()> {
        use sqlx::Connection as _;
        let pong = match &mut self.native {
            Native::Sqlite(connection) => connection.ping().await,
            Native::Postgres(connection) => connection.ping().await,
        };
        if pong.is_err() {
            self.broken = true;
        }
        pong
    }

    /// Closes the connection properly.
    pub(super) async fn close(self) {
        use sqlx::Connection as _;
        let closed = match self.native {
            Native::Sqlite(connection) => connection.close().await,
            Native::Postgres(connection) => connection.close().await,
        };
        if let Err(error) = closed {
            tracing::debug!(%error, "a connection was not closed properly");
        }
    }
}

/// Runs one statement on a connection of either engine.
///
/// The body is type-checked once for each driver and returns a `sqlx::Result`:
/// ```text
/// let row: Option<ShopRow> =
///     on!(conn, |e| sqlx::query_as(GET).bind(id).fetch_optional(e).await)?;
/// ```
/// A statement that fails has ended its transaction, on either engine.
#[macro_export]
macro_rules! on {
    ($conn:expr, |$executor:ident| $body:expr) => {{
        let conn: &mut $crate::store::Conn = &mut *$conn;
        let result = match conn.link() {
            $crate::store::Link::Sqlite($executor) => $body,
            $crate::store::Link::Postgres($executor) => $body,
        };
        conn.noted(result)
    }};
}
