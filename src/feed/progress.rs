//! The progress of a reader of the change log.

use crate::revision::Position;

/// How far a reader has got in the log: the content of a resume token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The reader has all changes up to here, and continues after it.
    pub up_to: Position,
    /// The furthest change that the reader may have seen. It is after `up_to` in two cases: a snapshot was
    /// newer than the complete part of the log, or one resource waits for its interval while others do not.
    pub seen: Position,
}

impl Progress {
    /// The progress of a reader that has seen nothing after `up_to`.
    #[must_use]
    pub const fn at(up_to: Position) -> Self {
        let seen = up_to;
        Self { up_to, seen }
    }

    /// The progress of a reader that has seen a change at `seen`, before or after `up_to`.
    #[must_use]
    pub fn new(up_to: Position, seen: Position) -> Self {
        Self {
            up_to,
            seen: up_to.or_further(seen),
        }
    }

    /// The furthest change after `up_to` that the reader may have seen.
    #[must_use]
    pub fn seen_ahead(&self) -> Option<Position> {
        self.seen.is_after(self.up_to).then_some(self.seen)
    }
}
