//! Resources that belong to those who made them: a caller sees the ones that are shared, and its own.
//!
//! Invariant: a resource that the caller does not see answers as one that does not exist, in each call. Only its id
//! is taken.

use super::Table;
use crate::caller::Caller;
use crate::filter::{self, Filter};

/// How the owner of a resource is found.
pub(super) struct Owned<M> {
    owner: fn(&M) -> &str,
    shared: fn(&M) -> bool,
}

impl<M> Table<M> {
    /// The same table, whose resources are seen by their owner and, if they are shared, by all. Its fields `owner`
    /// and `shared` say so of a row.
    #[must_use]
    pub fn owned(mut self, owner: fn(&M) -> &str, shared: fn(&M) -> bool) -> Self {
        self.owned = Some(Owned { owner, shared });
        self
    }

    /// Who sees a resource: its owner, or all if this is empty. None for a resource that nobody owns.
    pub(super) fn audience<'m>(&self, message: &'m M) -> Option<&'m str> {
        let owned = self.owned.as_ref()?;
        Some(match (owned.shared)(message) {
            true => "",
            false => (owned.owner)(message),
        })
    }

    /// Whether a caller sees a resource.
    pub(super) fn shows(&self, caller: &Caller, message: &M) -> bool {
        let audience = self.audience(message);
        audience.is_none_or(|audience| caller.is_among(audience))
    }

    /// The audience that a change takes a resource from; `after` is None if the resource is gone.
    pub(super) fn left(&self, before: &M, after: Option<&M>) -> Option<String> {
        let was = self.audience(before)?;
        let is = after.and_then(|after| self.audience(after));
        (is != Some(was)).then(|| was.to_owned())
    }

    /// The filter, of what the caller sees.
    pub(super) fn narrowed(&'static self, filter: Filter, caller: &Caller) -> Filter {
        if self.owned.is_none() {
            return filter;
        }
        let owner = filter::quoted(&caller.identity());
        let text = format!("shared = true OR owner = {owner}");
        let seen = Filter::parse(&text, self.schema(), &|_| true);
        filter.and(seen.expect("the table of what is owned has both fields"))
    }
}
