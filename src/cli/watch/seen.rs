//! The versions of the resources that a watch has shown, by which it drops repetitions.

use std::collections::HashMap;

use crate::proto::pb::ChangeKind;

/// The common fields of every change.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The resource's name.
    pub name: &'a str,
    /// Increases with every change of the resource.
    pub version: i64,
}

#[derive(Debug)]
struct Known {
    version: i64,
    present: bool,
    label: String,
    snapshot: u64,
}

/// The resources that a watch has seen.
#[derive(Debug)]
pub struct Seen {
    known: HashMap<String, Known>,
    /// Whether the watch began with a snapshot, so that an unknown resource was never shown.
    whole: bool,
    snapshot: u64,
}

impl Seen {
    /// Creates an empty set.
    pub fn new(whole: bool) -> Self {
        Self {
            known: HashMap::new(),
            whole,
            snapshot: 0,
        }
    }

    /// Notes a change. Returns the name of the resource for people if the change is to be shown: it is new,
    /// and not the end of a resource that was never shown.
    pub fn admit(&mut self, head: &Head<'_>, label: Option<String>) -> Option<String> {
        let present = head.kind == ChangeKind::Upserted;
        let Some(known) = self.known.get_mut(head.name) else {
            let label = label.unwrap_or_else(|| head.name.to_owned());
            let known = Known {
                version: head.version,
                present,
                label: label.clone(),
                snapshot: self.snapshot,
            };
            self.known.insert(head.name.to_owned(), known);
            let never_shown = self.whole || head.kind == ChangeKind::LeftFilter;
            return (present || !never_shown).then_some(label);
        };
        known.snapshot = self.snapshot;
        // A resource that enters or leaves a filter by the clock keeps its version.
        let by_clock = head.version == known.version && present != known.present;
        if head.version <= known.version && !by_clock {
            return None;
        }
        known.version = head.version;
        let was_present = std::mem::replace(&mut known.present, present);
        if let Some(label) = label {
            known.label = label;
        }
        (present || was_present).then(|| known.label.clone())
    }

    /// Begins a snapshot.
    pub fn begin_snapshot(&mut self) {
        self.snapshot += 1;
    }

    /// Ends a snapshot: resources that were not in it are gone. Returns their names and labels.
    pub fn end_snapshot(&mut self) -> Vec<(String, String)> {
        let mut gone = Vec::new();
        for (name, known) in &mut self.known {
            if known.present && known.snapshot != self.snapshot {
                known.present = false;
                gone.push((name.clone(), known.label.clone()));
            }
        }
        gone.sort();
        gone
    }

    /// Forgets all versions, for another store.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: ChangeKind, version: i64) -> Head<'static> {
        Head {
            kind,
            name: "carts/c",
            version,
        }
    }

    fn label() -> Option<String> {
        Some("Ada".to_owned())
    }

    #[test]
    fn a_version_is_shown_once() {
        let mut seen = Seen::new(true);

        assert!(
            seen.admit(&head(ChangeKind::Upserted, 1), label())
                .is_some()
        );
        assert!(
            seen.admit(&head(ChangeKind::Upserted, 2), label())
                .is_some()
        );
        assert!(
            seen.admit(&head(ChangeKind::Upserted, 2), label())
                .is_none()
        );
        assert!(
            seen.admit(&head(ChangeKind::Upserted, 1), label())
                .is_none()
        );
        assert!(
            seen.admit(&head(ChangeKind::Upserted, 3), label())
                .is_some()
        );
    }

    #[test]
    fn a_resource_that_leaves_and_enters_by_the_clock_is_shown() {
        let mut seen = Seen::new(true);
        seen.admit(&head(ChangeKind::Upserted, 3), label());

        assert_eq!(seen.admit(&head(ChangeKind::LeftFilter, 3), None), label());
        assert!(seen.admit(&head(ChangeKind::LeftFilter, 3), None).is_none());
        assert_eq!(seen.admit(&head(ChangeKind::Upserted, 3), None), label());
        assert!(seen.admit(&head(ChangeKind::Upserted, 3), None).is_none());
        assert!(seen.admit(&head(ChangeKind::LeftFilter, 2), None).is_none());
    }

    #[test]
    fn the_end_of_what_was_never_shown_is_not_shown() {
        let mut seen = Seen::new(true);

        assert!(seen.admit(&head(ChangeKind::LeftFilter, 4), None).is_none());
        assert!(seen.admit(&head(ChangeKind::Deleted, 5), None).is_none());
        assert!(
            seen.admit(&head(ChangeKind::Upserted, 6), label())
                .is_some()
        );
        assert_eq!(seen.admit(&head(ChangeKind::Deleted, 7), None), label());
        assert!(seen.admit(&head(ChangeKind::Deleted, 7), None).is_none());
    }

    #[test]
    fn without_a_snapshot_every_deletion_is_news() {
        let mut seen = Seen::new(false);

        assert!(seen.admit(&head(ChangeKind::Deleted, 5), None).is_some());
    }

    #[test]
    fn a_resource_that_a_second_snapshot_lacks_is_gone() {
        let mut seen = Seen::new(true);
        seen.begin_snapshot();
        seen.admit(&head(ChangeKind::Upserted, 1), label());
        assert_eq!(seen.end_snapshot(), []);

        seen.begin_snapshot();
        let other = Head {
            kind: ChangeKind::Upserted,
            name: "carts/d",
            version: 1,
        };
        seen.admit(&other, None);

        assert_eq!(
            seen.end_snapshot(),
            [("carts/c".to_owned(), "Ada".to_owned())]
        );
    }
}
