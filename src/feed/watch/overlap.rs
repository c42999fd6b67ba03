//! The changes in the log after the position of a snapshot that its rows already include.

use std::collections::{HashMap, HashSet};

use crate::feed::entry::Entry;
use crate::feed::resource::Rows;

/// The versions that a snapshot includes: changes up to them are not sent again.
///
/// A change whose row is not in the snapshot is included too, if it removed the resource, or if the resource
/// no longer matches the filter.
#[derive(Default)]
pub struct Overlap {
    /// The versions of the resources that the reader holds, by id.
    held: HashMap<Box<str>, i64>,
    /// The last versions of resources that were removed before their page was read, by id.
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

/// The resources with held back changes that belong to a page and are not in it. The page begins after the id
/// `after`. Other pages are read at other moments, so each one answers for its own ids.
pub fn gone(
    mut held_back: Vec<(String, i64)>,
    after: Option<&str>,
    page: &Rows,
) -> Vec<(String, i64)> {
    let shown: HashSet<&str> = page.rows.iter().map(|row| row.id.as_str()).collect();
    held_back.retain(|(id, _)| {
        after.is_none_or(|after| id.as_str() > after)
            && page.next.as_ref().is_none_or(|next| id <= next)
            && !shown.contains(id.as_str())
    });
    held_back
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::resource::Row;
    use bytes::Bytes;

    fn gone_from(after: Option<&str>, shown: &[&str], next: Option<&str>) -> Vec<String> {
        let row = |id: &&str| Row {
            id: (*id).to_owned(),
            version: 1,
            body: Bytes::new(),
        };
        let page = Rows {
            rows: shown.iter().map(row).collect(),
            next: next.map(str::to_owned),
        };
        let held_back = ["a", "b", "c", "d", "e"].map(|id| (id.to_owned(), 2));
        let gone = gone(held_back.into(), after, &page);
        gone.into_iter().map(|(id, _)| id).collect()
    }

    /// Changes of other pages would else be left out although no page shows them.
    #[test]
    fn a_page_answers_for_its_own_ids_only() {
        assert_eq!(gone_from(None, &["a"], Some("b")), ["b"]);
        assert_eq!(gone_from(Some("b"), &["c"], Some("d")), ["d"]);
        assert_eq!(gone_from(Some("d"), &[], None), ["e"]);
    }

    #[test]
    fn a_resource_that_the_page_shows_is_not_gone() {
        assert_eq!(gone_from(None, &["a", "c", "e"], None), ["b", "d"]);
    }
}
