//! Sets of the contract's roles.

use std::fmt;

use crate::proto::pb;

/// A set of the contract's roles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Roles(u32);
const _: () = assert!(ROLES.len() < u32::BITS as usize);

/// Every role, in the order of the contract.
const ROLES: [pb::Role; 6] = [
    pb::Role::Operator,
    pb::Role::Admin,
    pb::Role::Support,
    pb::Role::Storefront,
    pb::Role::Monitor,
    pb::Role::Ingest,
];

impl Roles {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// All roles.
    pub const ALL: Self = Self((1 << ROLES.len()) - 1);
    /// The roles of the shop's people and of the operators of the server.
    pub const STAFF: Self = Self::of(pb::Role::Operator)
        .with(Self::of(pb::Role::Admin))
        .with(Self::of(pb::Role::Support));

    /// A role that this release does not know.
    #[cfg(test)]
    pub(crate) const UNKNOWN: Self = Self(1 << ROLES.len());

    /// The set of one role; empty for the unspecified one.
    pub const fn of(role: pb::Role) -> Self {
        match role as i32 {
            0 => Self::NONE,
            number => Self(1 << (number - 1)),
        }
    }

    /// The set of the roles with these numbers. Unknown numbers are ignored.
    pub fn from_numbers(numbers: impl IntoIterator<Item = i32>) -> Self {
        numbers
            .into_iter()
            .filter_map(|number| pb::Role::try_from(number).ok())
            .fold(Self::NONE, |set, role| set.with(Self::of(role)))
    }

    /// The union of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set without one role.
    #[must_use]
    pub const fn without(self, role: pb::Role) -> Self {
        Self(self.0 & !Self::of(role).0)
    }

    /// Whether the sets have a role in common.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the role is in the set.
    pub const fn has(self, role: pb::Role) -> bool {
        self.intersects(Self::of(role))
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles, in the order of the contract.
    pub fn iter(self) -> impl Iterator<Item = pb::Role> {
        ROLES.into_iter().filter(move |role| self.has(*role))
    }

    /// The names of the roles in the contract, separated by commas.
    pub fn names(self) -> String {
        let names: Vec<&str> = self.iter().map(|role| role.as_str_name()).collect();
        names.join(", ")
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn every_role_of_the_contract_has_its_own_place() {
        let numbers = || (1..).map_while(|number| pb::Role::try_from(number).ok());

        assert_eq!(numbers().count(), ROLES.len());
        assert_eq!(Roles::from_numbers(1..=6), Roles::ALL);
        assert_eq!(Roles::ALL.iter().collect::<Vec<_>>(), ROLES);
        assert_eq!(Roles::of(pb::Role::Unspecified), Roles::NONE);
        assert!(!Roles::of(pb::Role::Admin).intersects(Roles::of(pb::Role::Operator)));
        let at_once = limits::Rule::of("ApiKey", "roles");
        assert_eq!(at_once, Some(limits::Rule::Values(ROLES.len())));
    }
}
