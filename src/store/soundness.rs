//! Whether the files of an embedded store can be relied on.
//!
//! Damage stays until the next start. Files that were moved away count until they are back.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{Class, Trouble, class, described};
use super::folder::LOCK_FILE;

/// How sound a store's files are; without faults, as PostgreSQL's always is here.
#[derive(Debug, Default)]
pub(super) struct Soundness {
    damaged: AtomicBool,
    /// A file is not in its place.
    displaced: AtomicBool,
    /// That file is one of the database, and not only the lock: what is read may be of another one.
    unreadable: AtomicBool,
}

impl Soundness {
    /// Notes a statement's error, which may tell of damage.
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

    /// Notes which of the open files are not in their place any more; none: all are.
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

    /// Why reads are refused.
    pub(super) fn no_reads(&self) -> Option<Trouble> {
        self.unreadable.load(Ordering::Relaxed).then(displaced)
    }

    /// Why writes are refused.
    pub(super) fn no_writes(&self) -> Option<Trouble> {
        if self.damaged.load(Ordering::Relaxed) {
            return Some(Trouble::damaged());
        }
        self.displaced.load(Ordering::Relaxed).then(displaced)
    }
}

fn displaced() -> Trouble {
    Trouble::away("files of the database were removed or replaced under the server")
}
