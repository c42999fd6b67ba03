//! What the rows of a snapshot have already shown of the log behind the position at which they were read.

use std::collections::HashMap;

use crate::feed::entry::Entry;

/// The versions that a snapshot includes: changes up to them are not sent again.
///
/// A change is included although the row is not in the snapshot when it removed the resource, or when the
/// resource does not match the filter any more.
#[derive(Default)]
pub struct Overlap {
    /// By id, the versions of the resources that the reader holds.
    held: HashMap<Box<str>, i64>,
    /// By id, the last versions of resources that went away before their page was read.
    gone: HashMap<Box<str>, i64>,
}

impl Overlap {
    /// Adds a row that is shown.
    pub fn add_held(&mut self, id: &str, version: i64) {
        self.held.insert(id.into(), version);
    }

    /// Adds a resource whose page was read after this version, and that is not in the page.
    pub fn add_gone(&mut self, id: &str, version: i64) {
        self.gone.insert(id.into(), version);
    }

    /// Whether the snapshot includes a change.
    pub fn includes(&self, entry: &Entry) -> bool {
        [&self.held, &self.gone]
            .iter()
            .filter_map(|versions| versions.get(&entry.id))
            .any(|version| entry.version <= *version)
    }

    /// Notes a change that is sent before the snapshot is whole.
    pub fn note(&mut self, entry: &Entry) {
        if entry.deleted {
            self.held.remove(&entry.id);
        } else {
            self.held.insert(entry.id.clone(), entry.version);
        }
    }

    /// How many resources the reader holds if no filter takes any away.
    pub fn held(&self) -> usize {
        self.held.len()
    }
}
