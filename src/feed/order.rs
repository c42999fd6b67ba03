//! The order in which the change log is read, and how far: the one thing on which it depends that a stream
//! misses nothing.

use crate::store::{Engine, dialect};

/// The order in which the change log is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogOrder {
    /// By transaction and number, up to the horizon below which no transaction is open. A change that
    /// commits late is then still ahead of every reader.
    #[default]
    Transactions,
    /// By number alone, as far as there are rows. On PostgreSQL that loses what commits late, so it is
    /// here for tests only: what they say of the feed must fail with it.
    Numbers,
}

impl LogOrder {
    /// What stands for the transaction of a row.
    pub(super) const fn xid(self) -> &'static str {
        match self {
            Self::Transactions => "xid",
            Self::Numbers => "xid * 0",
        }
    }

    /// Below which transaction rows are read.
    pub(super) const fn horizon(self, engine: Engine) -> &'static str {
        match self {
            Self::Transactions => dialect::horizon(engine),
            Self::Numbers => dialect::horizon(Engine::Sqlite),
        }
    }
}
