//! The versions that a watch has yielded. It finds the changes that arrive twice.

use std::collections::HashMap;

/// The last version of each resource that was yielded.
#[derive(Debug, Default)]
pub(super) struct Seen {
    present: HashMap<String, i64>,
    /// Only names that were removed lately can arrive again, after a new connection. Older ones are dropped.
    gone: HashMap<String, i64>,
    gone_before: HashMap<String, i64>,
    whole: bool,
}

impl Seen {
    const GONE_MAX: usize = 10_000;

    /// A snapshot follows: a name that is not known after it never existed.
    pub(super) fn reset(&mut self) {
        *self = Self {
            whole: true,
            ..Self::default()
        };
    }

    /// Records a change and returns whether the reader does not know it yet.
    pub(super) fn admit(&mut self, upserted: bool, name: &str, version: i64) -> bool {
        let left = self
            .gone
            .get(name)
            .or_else(|| self.gone_before.get(name))
            .copied();
        if upserted {
            // A resource that leaves a filter because time goes by may enter it again with the same version.
            let news = match self.present.get_mut(name) {
                Some(known) => version > std::mem::replace(known, version.max(*known)),
                None => left.is_none_or(|left| version >= left),
            };
            if news {
                self.present.entry(name.to_owned()).or_insert(version);
            }
            return news;
        }
        let news = match self.present.get(name) {
            Some(known) => version >= *known,
            None => !self.whole && left.is_none_or(|left| version > left),
        };
        if news {
            self.present.remove(name);
            if self.gone.len() >= Self::GONE_MAX {
                self.gone_before = std::mem::take(&mut self.gone);
            }
            self.gone.insert(name.to_owned(), version);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_gone_takes_no_room() {
        let mut seen = Seen::default();
        seen.reset();
        for cart in 0..100_000 {
            assert!(seen.admit(true, &format!("carts/{cart}"), 1));
            assert!(seen.admit(false, &format!("carts/{cart}"), 2));
        }

        assert!(!seen.admit(true, "carts/99999", 1));
        assert!(seen.present.len() + seen.gone.len() + seen.gone_before.len() <= 20_000);
    }
}
