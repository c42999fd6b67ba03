//! Faults that tests plant into the feed of a server in their own process, to see that a judge of its streams
//! notices them.
//!
//! A fault is no setting: only [`Feed::start_faulty`](super::Feed::start_faulty) takes one, and no option,
//! variable or feature of the build leads there.

use std::sync::Arc;

use tokio::sync::Barrier;

use super::LogOrder;

/// A fault of the feed.
#[derive(Clone, Debug, Default)]
pub enum FaultInjection {
    /// There is none.
    #[default]
    None,
    /// A stream resumes wherever its token says, whether the log ever was there or not.
    ForgottenMark,
    /// The position of a snapshot is read after its rows. Two meet at the barrier, twice: when the rows
    /// have been read, and before the position is.
    LatePosition(Arc<Barrier>),
    /// A filtered stream is not told what leaves.
    LostLeaving,
    /// The log is read by number alone: on PostgreSQL a change that commits late is never told.
    OrderOfNumbers,
    /// A stream that was outrun goes on with what comes now.
    SkippedLag,
}

impl FaultInjection {
    /// The order in which the log is read.
    pub(super) const fn order(&self) -> LogOrder {
        match self {
            Self::OrderOfNumbers => LogOrder::Numbers,
            _ => LogOrder::Transactions,
        }
    }

    /// Whether the history of a token is to be looked for.
    pub(super) const fn checks_history(&self) -> bool {
        !matches!(self, Self::ForgottenMark)
    }

    /// Whether a stream is told what leaves.
    pub(super) const fn tells_leaving(&self) -> bool {
        !matches!(self, Self::LostLeaving)
    }

    /// Whether a stream that was outrun reads the log.
    pub(super) const fn catches_up(&self) -> bool {
        !matches!(self, Self::SkippedLag)
    }

    /// What a snapshot waits at, if its position is read late.
    pub(super) const fn late_position(&self) -> Option<&Arc<Barrier>> {
        match self {
            Self::LatePosition(barrier) => Some(barrier),
            _ => None,
        }
    }
}
