//! The state of an embedded store's files: whether they can be relied on.
//!
//! Damage is remembered until the next start. Files that were moved away count until they are back.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{Class, StoreError, class, described};
use super::folder::LOCK_FILE;

/// The state of a store's files. It never changes for PostgreSQL.
#[derive(Debug, Default)]
pub(super) struct Soundness {
    damaged: AtomicBool,
    /// A file is missing or was replaced.
    displaced: AtomicBool,
    /// That file belongs to the database and is not only the lock: reads may come from another database.
    unreadable: AtomicBool,
}

impl Soundness {
    /// Notes the error of a statement, which may show damage.
    pub(super) fn note(&self, error: &sqlx::Error) {
        if class(error) == Class::Damaged {
            self.set_damaged(&described(error));
        }
    }

    /// Notes that the database file is damaged. The first finding is logged.
    pub(super) fn set_damaged(&self, finding: &str) {
        if !self.damaged.swap(true, Ordering::Relaxed) {
            tracing::error!(
                finding,
                "the database file is damaged: writes are refused from now on, and so is what cannot \
                 be read. Stop the server, keep a copy of the data folder, run `clientela doctor`, and \
                 restore the last backup"
            );
        }
    }

    /// Notes the open files that are missing or were replaced; empty if all are in place.
    pub(super) fn set_displaced(&self, names: &[&str]) {
        let displaced = !names.is_empty();
        let unreadable = names.iter().any(|name| *name != LOCK_FILE);
        self.unreadable.store(unreadable, Ordering::Relaxed);
        if self.displaced.swap(displaced, Ordering::Relaxed) == displaced {
            return;
        }
        if displaced {
            tracing::error!(
                files = names.join(", "),
                "files of the database were removed or replaced under the running server: writes are refused \
                 until they are back, and reads unless it is the lock alone. If they do not come back, stop \
                 the server, restore a backup where the database or its log is gone, and start it again"
            );
        } else {
            tracing::info!("the files of the database are in their place again");
        }
    }

    /// The error with which reads are refused.
    pub(super) fn no_reads(&self) -> Option<StoreError> {
        self.unreadable.load(Ordering::Relaxed).then(displaced)
    }

    /// The error with which writes are refused.
    pub(super) fn no_writes(&self) -> Option<StoreError> {
        if self.damaged.load(Ordering::Relaxed) {
            return Some(StoreError::damaged());
        }
        self.displaced.load(Ordering::Relaxed).then(displaced)
    }
}

fn displaced() -> StoreError {
    StoreError::away("files of the database were removed or replaced under the server")
}
