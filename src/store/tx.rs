//! A write in progress.

mod reactions;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

pub use reactions::{Event, Held, Reaction, Reactions};

use super::conn::Conn;
use super::error::StoreFault;
use super::locks::{LockKey, Locks, MAX_LOCKS};
use crate::error::{Error, Result};

type Hook = Box<dyn FnOnce() + Send>;

/// A transaction that a closure writes in; see [`Store::write`](super::Store::write).
///
/// It dereferences to a [`Conn`], so reads need no second text. Effects of the commit, for example on a
/// cache, are left to [`after_commit`](Self::after_commit).
pub struct Tx {
    conn: Conn,
    held: Locks,
    reactions: Arc<Reactions>,
    state: State,
}

/// The state that one run of a closure left behind.
#[derive(Default)]
pub(super) struct State {
    /// Locks that the closure found missing.
    pub(super) needed: Vec<LockKey>,
    /// The closure asked to run again.
    pub(super) again: bool,
    /// The closure has written, or tried to.
    pub(super) wrote: bool,
    /// The closure has appended to the change log.
    pub(super) logged: bool,
    pub(super) hooks: Vec<Hook>,
}

impl Tx {
    pub(super) fn new(conn: Conn) -> Self {
        Self {
            conn,
            held: Locks::none(),
            reactions: Arc::default(),
            state: State::default(),
        }
    }

    /// Prepares the transaction for a closure that holds `locks`.
    pub(super) fn hand_over(&mut self, locks: &Locks, reactions: &Arc<Reactions>) {
        self.held.clone_from(locks);
        self.reactions = Arc::clone(reactions);
        self.state = State::default();
    }

    pub(super) fn take_state(&mut self) -> State {
        std::mem::take(&mut self.state)
    }

    pub(super) fn into_conn(self) -> Conn {
        self.conn
    }

    pub(super) fn conn_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Requires that a lock is held.
    ///
    /// If it is not, the returned error must be passed on: the write is rolled back and runs again with the
    /// lock taken before its first statement.
    ///
    /// # Errors
    /// If the lock is not held. After a write this is a fault of the program.
    pub fn require(&mut self, key: LockKey) -> Result<()> {
        if self.held.contains(key) {
            return Ok(());
        }
        if self.state.wrote {
            return Err(Error::internal(StoreFault(
                "a lock was required after a write".into(),
            )));
        }
        if self.held.len() + self.state.needed.len() >= MAX_LOCKS {
            return Err(Error::internal(StoreFault(format!(
                "more than {MAX_LOCKS} locks"
            ))));
        }
        self.state.needed.push(key);
        Err(Error::internal(StoreFault("a lock is missing".into())))
    }

    /// Like [`require`](Self::require), for several locks: the next run takes all that are missing.
    ///
    /// # Errors
    /// As `require`.
    pub fn require_all(&mut self, keys: impl IntoIterator<Item = LockKey>) -> Result<()> {
        let mut outcome = Ok(());
        for key in keys {
            outcome = outcome.and(self.require(key));
        }
        outcome
    }

    /// Whether a lock is held.
    #[must_use]
    pub fn holds(&self, key: LockKey) -> bool {
        self.held.contains(key)
    }

    /// Asks for another run, at most a few times. It is for a clash that a second run resolves, for example a
    /// unique key that another write took between the read and the write. Pass the error on.
    #[must_use]
    pub fn run_again(&mut self) -> Error {
        self.state.again = true;
        Error::internal(StoreFault("the write has to run again".into()))
    }

    /// Notes that the closure has appended to the change log: the commit wakes the feed.
    pub fn mark_logged(&mut self) {
        self.state.logged = true;
    }

    /// Whether the closure has appended to the change log.
    #[must_use]
    pub fn has_logged(&self) -> bool {
        self.state.logged
    }

    /// Whether the closure has written already.
    #[must_use]
    pub fn wrote(&self) -> bool {
        self.state.wrote
    }

    /// Runs a statement once before the commit, however many writes of the transaction add it. On SQLite the
    /// text may hold several statements. If it fails, nothing is committed, and every write of the
    /// transaction gets the error. A dry run skips it.
    pub fn before_commit(&mut self, statement: &'static str) {
        self.conn.before_commit(statement);
    }

    /// Runs `hook` after the commit and before the caller gets its answer. After a rollback it is dropped. It
    /// must be quick, because other answers wait for it.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.state.hooks.push(Box::new(hook));
    }

    /// Notes that the next statement writes. For [`on_write!`](crate::on_write).
    ///
    /// # Errors
    /// If an earlier statement failed: SQLite may then have ended the transaction by itself, and a later
    /// statement would be committed alone.
    #[doc(hidden)]
    pub fn begin_write(&mut self) -> sqlx::Result<()> {
        if self.conn.has_failed() {
            let text = "an earlier statement failed, and the transaction with it";
            return Err(sqlx::Error::Protocol(text.into()));
        }
        self.state.wrote = true;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

/// Runs one statement that writes and returns no rows. The result is the number of changed rows.
///
/// ```text
/// let deleted = execute!(tx, sqlx::query(DELETE).bind(shop).bind(id))?;
/// ```
#[macro_export]
macro_rules! execute {
    ($tx:expr, $query:expr) => {
        $crate::on_write!($tx, |executor| {
            $query
                .execute(executor)
                .await
                .map(|done| done.rows_affected())
        })
    };
}

/// Runs one statement that writes and returns rows. Like [`on!`](crate::on), on a [`Tx`](crate::store::Tx).
///
/// From here on the transaction takes no further lock.
#[macro_export]
macro_rules! on_write {
    ($tx:expr, |$executor:ident| $body:expr) => {{
        let tx: &mut $crate::store::Tx = &mut *$tx;
        match tx.begin_write() {
            Ok(()) => $crate::on!(tx, |$executor| $body),
            Err(error) => Err(error),
        }
    }};
}
