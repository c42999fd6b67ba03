//! Positions in the change log, and how far a call has written there.

use std::sync::{Arc, Mutex, PoisonError};

/// A position in the change log: the last row that was read.
///
/// Positions are ordered by `xid`, then `seq`. The random `mark` distinguishes the row that was read from one
/// at the same place in another history, for example after a restored backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The transaction; always 0 on SQLite.
    pub xid: i64,
    /// The row's number.
    pub seq: i64,
    /// The row's mark; 0 before the first row.
    pub mark: i64,
}

impl Position {
    /// The position before the first row.
    pub const ORIGIN: Self = Self {
        xid: 0,
        seq: 0,
        mark: 0,
    };

    /// The key by which positions are ordered.
    #[must_use]
    pub const fn key(self) -> (i64, i64) {
        (self.xid, self.seq)
    }

    /// Whether this is further than `other`.
    #[must_use]
    pub fn is_after(self, other: Self) -> bool {
        self.key() > other.key()
    }

    /// The further of the two.
    #[must_use]
    pub fn or_further(self, other: Self) -> Self {
        if other.is_after(self) { other } else { self }
    }
}

/// The furthest position that a call has written. Its commit sets it, and the layer that answers with
/// `clientela-revision` reads it.
#[derive(Clone, Debug, Default)]
pub struct Reached(Arc<Mutex<Option<Position>>>);

impl Reached {
    /// Notes a position; the furthest one stays.
    pub fn reach(&self, position: Position) {
        let mut reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reached.is_none_or(|known| position.is_after(known)) {
            *reached = Some(position);
        }
    }

    /// The furthest noted position.
    #[must_use]
    pub fn get(&self) -> Option<Position> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
