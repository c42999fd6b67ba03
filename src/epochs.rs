//! When what changed last, as far as caches in this process need to know.
//!
//! Every resource hashes to a slot whose epoch moves on with each write to it, after the commit and
//! before the write is answered. Who reads a row notes the epoch first and keeps the row with it: an
//! entry whose epoch is not the present one is not used. So a read that began before a write can
//! never serve its old row after the write was answered. Resources that share a slot by chance, also
//! those of two stores in one process, only cost each other an entry.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::store::Tx;

const SLOTS: usize = 16 * 1024;

static EPOCHS: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Where the epoch of a resource, or of all of a shop's resources of a kind, is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

impl Slot {
    /// The slot of one resource.
    #[must_use]
    pub fn of(kind: i64, shop: &str, id: &str) -> Self {
        let hash = HASHER.hash_one((kind, shop, id));
        Self(usize::try_from(hash % SLOTS as u64).expect("a number of slots fits"))
    }

    /// The slot of all resources of this kind in a shop.
    #[must_use]
    pub fn of_all(kind: i64, shop: &str) -> Self {
        Self::of(kind, shop, "")
    }

    /// The present epoch.
    #[must_use]
    pub fn epoch(self) -> u64 {
        EPOCHS[self.0].load(Ordering::SeqCst)
    }

    fn move_on(self) {
        EPOCHS[self.0].fetch_add(1, Ordering::SeqCst);
    }
}

/// Moves the epochs of a resource on when the transaction has ended, however it ends: a commit whose
/// outcome is unknown may stand.
pub fn changed(tx: &mut Tx, kind: i64, shop: &str, id: &str) {
    let ended = MoveOn([Slot::of(kind, shop, id), Slot::of_all(kind, shop)]);
    tx.after_commit(move || drop(ended));
}

struct MoveOn([Slot; 2]);

impl Drop for MoveOn {
    fn drop(&mut self) {
        for slot in self.0 {
            slot.move_on();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As if a write of the resource had ended.
    pub(crate) fn move_on(kind: i64, shop: &str, id: &str) {
        drop(MoveOn([Slot::of(kind, shop, id), Slot::of_all(kind, shop)]));
    }

    #[test]
    fn the_end_of_a_write_moves_the_epochs_of_its_resource_on() {
        let (one, all) = (Slot::of(1, "shop", "ada"), Slot::of_all(1, "shop"));
        let before = (one.epoch(), all.epoch());

        drop(MoveOn([one, all]));

        assert!(one.epoch() > before.0);
        assert!(all.epoch() > before.1);
    }
}
