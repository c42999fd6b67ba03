//! Epochs of resources, by which the caches of this process notice changes.
//!
//! Every resource hashes to a slot. Each write to the resource increases the slot's epoch, after the commit
//! and before the write is answered. A reader notes the epoch before it reads a row, and caches both. An
//! entry with an older epoch is not used. So a read that began before a write can never serve its old row
//! after the write was answered. Resources that share a slot by chance, also those of two stores in one
//! process, only cost each other an entry.

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

/// The place of the epoch of a resource, or of all of a shop's resources of a kind.
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

/// Increases the epochs of a resource when the transaction has ended, however it ends: a commit whose outcome
/// is unknown may have taken effect.
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

    /// Simulates the end of a write of the resource.
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
