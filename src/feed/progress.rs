//! How far a reader of the change log has been told.

use crate::revision::Position;

/// How far a reader has been told of the log: what a resume token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// It has been told everything up to here, and goes on after it.
    pub up_to: Position,
    /// The furthest change that it may have seen. That is after `up_to` where a snapshot was newer than the
    /// log was complete, or where one resource waits for its interval while others do not.
    pub seen: Position,
}

impl Progress {
    /// Of a reader that has seen nothing after `up_to`.
    #[must_use]
    pub const fn at(up_to: Position) -> Self {
        let seen = up_to;
        Self { up_to, seen }
    }

    /// Of a reader that has seen a change at `seen`, wherever that is.
    #[must_use]
    pub fn new(up_to: Position, seen: Position) -> Self {
        Self {
            up_to,
            seen: up_to.or_further(seen),
        }
    }

    /// The change after `up_to` that it may have seen.
    #[must_use]
    pub fn seen_ahead(&self) -> Option<Position> {
        self.seen.is_after(self.up_to).then_some(self.seen)
    }
}
