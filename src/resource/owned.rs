//! Resources with an owner: a caller sees its own and the shared ones.
//!
//! Invariant: each call treats a resource that the caller does not see as one that does not exist. Only its id is
//! taken.

use crate::caller::Caller;
use crate::filter::{self, Filter};

/// The owners of the resources of a table, if they have any.
pub struct Owned<M>(Option<Getters<M>>);

struct Getters<M> {
    owner: fn(&M) -> &str,
    shared: fn(&M) -> bool,
}

impl<M> Owned<M> {
    /// No owners: all callers see all resources.
    pub(super) const NO: Self = Self(None);

    /// The owner and, if the resource is shared, all callers see it. The table must have the fields `owner` and
    /// `shared`.
    pub(super) fn by(owner: fn(&M) -> &str, shared: fn(&M) -> bool) -> Self {
        Self(Some(Getters { owner, shared }))
    }

    /// Whether the resources have owners.
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The owner, who alone sees the resource; empty if all callers see it. None if resources have no owners.
    pub(super) fn audience<'m>(&self, message: &'m M) -> Option<&'m str> {
        let getters = self.0.as_ref()?;
        Some(match (getters.shared)(message) {
            true => "",
            false => (getters.owner)(message),
        })
    }

    /// Whether a caller sees a resource.
    pub(super) fn shows(&self, caller: &Caller, message: &M) -> bool {
        let audience = self.audience(message);
        audience.is_none_or(|audience| caller.is_among(audience))
    }

    /// The audience that loses sight of a resource by a change. `after` is None for a deleted resource.
    pub(super) fn left(&self, before: &M, after: Option<&M>) -> Option<String> {
        let was = self.audience(before)?;
        let is = after.and_then(|after| self.audience(after));
        (is != Some(was)).then(|| was.to_owned())
    }

    /// Narrows a filter to the resources that the caller sees.
    pub(super) fn narrowed(&self, filter: Filter, caller: &Caller) -> Filter {
        if !self.is_some() {
            return filter;
        }
        let owner = filter::quoted(&caller.identity());
        let text = format!("shared = true OR owner = {owner}");
        let seen = Filter::parse(&text, filter.schema(), &|_| true);
        filter.and(seen.expect("an owned table has both fields"))
    }
}
