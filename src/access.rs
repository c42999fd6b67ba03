//! Who may call what: the one place that decides it, from the contract's own options.
//!
//! A call passes the layer once. Key and roles are decided before anything of the request is read; then
//! the bytes are walked against the descriptor, and only then does an area see them. Handlers find who
//! calls in [`Caller`] and never look at headers.

pub mod format;
pub mod keys;
mod layer;
mod sql;
pub mod tables;
mod turns;
pub mod wire;

pub use keys::Keys;
pub use layer::AccessLayer;
pub use turns::Turns;

use std::{fmt, sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;

use crate::feed::Reached;
use crate::proto::pb;
use crate::{clock, limits};

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
    /// No role.
    pub const NONE: Self = Self(0);
    /// All roles.
    pub const ALL: Self = Self((1 << ROLES.len()) - 1);
    /// The people of a shop and those that run the server.
    pub const STAFF: Self = Self::of(pb::Role::Operator)
        .with(Self::of(pb::Role::Admin))
        .with(Self::of(pb::Role::Support));

    /// The set of one role; none for the unspecified.
    pub const fn of(role: pb::Role) -> Self {
        match role as i32 {
            0 => Self::NONE,
            number => Self(1 << (number - 1)),
        }
    }

    /// The set of the roles with these numbers; unknown numbers are passed over.
    pub fn from_numbers(numbers: impl IntoIterator<Item = i32>) -> Self {
        numbers
            .into_iter()
            .filter_map(|number| pb::Role::try_from(number).ok())
            .fold(Self::NONE, |set, role| set.with(Self::of(role)))
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set without one role.
    #[must_use]
    pub const fn without(self, role: pb::Role) -> Self {
        Self(self.0 & !Self::of(role).0)
    }

    /// Whether a role is in both.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the role is in the set.
    pub const fn has(self, role: pb::Role) -> bool {
        self.intersects(Self::of(role))
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles, in the order of the contract.
    pub fn iter(self) -> impl Iterator<Item = pb::Role> {
        ROLES.into_iter().filter(move |role| self.has(*role))
    }

    /// The roles' names, as in the contract, separated by commas.
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

/// Who calls, for whom, and until when: what the layer found out before the handler.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The id of the key.
    pub key_id: Arc<str>,
    /// What the key may do.
    pub roles: Roles,
    /// The id of the shop the call is about. Empty only where an operator key named none though there
    /// are several, in RPCs that do without.
    pub shop: Arc<str>,
    /// The acting person, as the caller named it.
    pub actor: Option<Arc<str>>,
    /// For whom the person acts.
    pub on_behalf_of: Option<Arc<str>>,
    /// The request id and what it stands for, if the caller sent one.
    pub request: Option<RequestId>,
    /// When the caller stops waiting. Always there for unary calls.
    pub deadline: Option<Instant>,
    /// When the call came, by the clock of the store; 0 where no call did.
    pub call_time: i64,
    /// The path of the RPC, as `/clientela.v1.CartService/AddItem`; empty for the service itself.
    pub method: &'static str,
    /// How far into the change log the call has written; the layer answers with it.
    pub revision: Reached,
    /// Cancelled when the key is revoked or expires.
    pub key_ended: CancellationToken,
    /// The turns of the key's calls and streams.
    pub turns: Arc<Turns>,
}

/// What makes a repeated call known.
#[derive(Debug, Clone)]
pub struct RequestId {
    /// As the caller chose it.
    pub id: Arc<str>,
    /// The keyed digest of the request without its request id and what is input only.
    pub digest: [u8; 32],
}

impl Caller {
    /// The service itself, in work that no call waits for. `actor` is who caused the work.
    #[must_use]
    pub fn system(shop: Arc<str>, actor: Option<Arc<str>>) -> Self {
        Self {
            key_id: Arc::from("system"),
            roles: Roles::NONE,
            shop,
            actor,
            on_behalf_of: None,
            request: None,
            deadline: None,
            call_time: 0,
            method: "",
            revision: Reached::default(),
            key_ended: CancellationToken::new(),
            turns: Arc::new(Turns::of_service()),
        }
    }

    /// Whether this is the service itself, in work that no call waits for, whoever caused the work.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.method.is_empty()
    }

    /// A request id that was used at this moment or before may be used again.
    #[must_use]
    pub fn remembered_since(&self) -> i64 {
        self.call_time - clock::micros(limits::REQUEST_ID_RETENTION)
    }

    /// Waits until the key is revoked or expires.
    pub async fn ended(&self) {
        self.key_ended.cancelled().await;
    }

    /// Who makes this call.
    ///
    /// # Panics
    /// If the request did not pass the access layer, which would be a defect of the server's assembly.
    pub fn of<T>(request: &tonic::Request<T>) -> &Self {
        request
            .extensions()
            .get()
            .expect("every route of an area lies behind the access layer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
