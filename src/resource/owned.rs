//! Resources that belong to those who made them: a caller sees the ones that are shared, and its own.
//!
//! Invariant: a resource that the caller does not see answers as one that does not exist, in each call. Only its id
//! is taken.

use crate::caller::Caller;
use crate::filter::{self, Filter};

/// Whose the resources of a table are.
pub struct Owned<M>(Option<Getters<M>>);

struct Getters<M> {
    owner: fn(&M) -> &str,
    shared: fn(&M) -> bool,
}

impl<M> Owned<M> {
    /// Nobody's: all callers see them.
    pub(super) const NO: Self = Self(None);

    /// They are seen by their owner and, if they are shared, by all. The fields `owner` and `shared` of the table say
    /// so of a row.
    pub(super) fn by(owner: fn(&M) -> &str, shared: fn(&M) -> bool) -> Self {
        Self(Some(Getters { owner, shared }))
    }

    /// Whether they have owners.
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Who sees a resource: its owner, or all if this is empty. None for a resource that nobody owns.
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

    /// The audience that a change takes a resource from; `after` is None if the resource is gone.
    pub(super) fn left(&self, before: &M, after: Option<&M>) -> Option<String> {
        let was = self.audience(before)?;
        let is = after.and_then(|after| self.audience(after));
        (is != Some(was)).then(|| was.to_owned())
    }

    /// The filter, of what the caller sees.
    pub(super) fn narrowed(&self, filter: Filter, caller: &Caller) -> Filter {
        if !self.is_some() {
            return filter;
        }
        let owner = filter::quoted(&caller.identity());
        let text = format!("shared = true OR owner = {owner}");
        let seen = Filter::parse(&text, filter.schema(), &|_| true);
        filter.and(seen.expect("the table of what is owned has both fields"))
    }
}
