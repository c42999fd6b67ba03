//! The order in which the change log is read, and the position up to which it is. That no stream misses a
//! change depends on these two alone.

use crate::store::{Engine, dialect};

/// The order in which the change log is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogOrder {
    /// By transaction and number, up to the horizon below which no transaction is open. A change that commits
    /// late is then still ahead of every reader.
    #[default]
    Transactions,
    /// By number alone, as far as there are rows. On PostgreSQL this loses changes that commit late. It
    /// exists for tests, which must fail with it.
    Numbers,
}

impl LogOrder {
    /// The SQL expression for the transaction of a row.
    pub(super) const fn xid(self) -> &'static str {
        match self {
            Self::Transactions => "xid",
            Self::Numbers => "xid * 0",
        }
    }

    /// The SQL expression for the horizon: rows of lower transactions are read.
    pub(super) const fn horizon(self, engine: Engine) -> &'static str {
        match self {
            Self::Transactions => dialect::horizon(engine),
            Self::Numbers => dialect::horizon(Engine::Sqlite),
        }
    }
}
