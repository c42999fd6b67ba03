//! Faults that tests inject into the feed of a server in their own process. The checkers of streams must
//! notice them.
//!
//! A fault is no setting: only [`Feed::start_faulty`](super::Feed::start_faulty) takes one. No option,
//! variable or build feature leads there.

use std::sync::Arc;

use tokio::sync::Barrier;

use super::LogOrder;

/// A fault of the feed.
#[derive(Clone, Debug, Default)]
pub enum FaultInjection {
    /// No fault.
    #[default]
    None,
    /// A stream resumes at the position of its token without a check that the log ever held it.
    ForgottenMark,
    /// The position of a snapshot is read after its rows. The reader waits at the barrier twice:
    /// after it has read the rows, and before it reads the position.
    LatePosition(Arc<Barrier>),
    /// A filtered stream does not send that a resource stopped matching.
    LostLeaving,
    /// The log is read in the order of numbers alone: on PostgreSQL a change that commits late is never sent.
    OrderOfNumbers,
    /// A stream that was outrun continues with the changes that arrive now.
    SkippedLag,
}

impl FaultInjection {
    pub(super) const fn order(&self) -> LogOrder {
        match self {
            Self::OrderOfNumbers => LogOrder::Numbers,
            _ => LogOrder::Transactions,
        }
    }

    /// Whether the history of a token is checked.
    pub(super) const fn checks_history(&self) -> bool {
        !matches!(self, Self::ForgottenMark)
    }

    /// Whether a stream sends that a resource stopped matching.
    pub(super) const fn sends_leaving(&self) -> bool {
        !matches!(self, Self::LostLeaving)
    }

    /// Whether a stream that was outrun reads the log.
    pub(super) const fn catches_up(&self) -> bool {
        !matches!(self, Self::SkippedLag)
    }

    /// The barrier of [`LatePosition`](Self::LatePosition).
    pub(super) const fn late_position(&self) -> Option<&Arc<Barrier>> {
        match self {
            Self::LatePosition(barrier) => Some(barrier),
            _ => None,
        }
    }
}
