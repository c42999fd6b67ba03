//! The caller of an RPC: its key, roles and shop, and how far its call has written.
//!
//! The access layer makes a [`Caller`] before the handler runs; nothing here decides who may call what.

mod roles;
mod turns;

use std::{borrow::Cow, sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;

use crate::proto::pb;
use crate::revision::Reached;
use crate::{clock, limits};

pub use roles::Roles;
pub use turns::{Turns, UnderWay};

/// The caller of an RPC: its key, shop, actor and deadline, as the access layer found them before the handler runs.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The id of the key.
    pub key_id: Arc<str>,
    /// The roles of the key.
    pub roles: Roles,
    /// The id of the shop the call is about. Empty only where an operator key named none though there
    /// are several, in RPCs that do without.
    pub shop: Arc<str>,
    /// The acting person, as the caller named it.
    pub actor: Option<Arc<str>>,
    /// The party that the person acts for, as the caller named it.
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

    /// Whether the key is an operator's, which is not bound to a shop.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.roles.has(pb::Role::Operator)
    }

    /// The owner of the resources that this caller makes: the acting person, or the key as `apiKeys/{id}` if no person
    /// is named.
    /// A person who is called as a key is not taken for it.
    #[must_use]
    pub fn identity(&self) -> Cow<'_, str> {
        identity(&self.key_id, self.actor.as_deref())
    }

    /// Whether the caller belongs to an audience: the [`identity`](Self::identity) of its only member, or empty if
    /// all belong to it.
    #[must_use]
    pub fn is_among(&self, audience: &str) -> bool {
        audience.is_empty() || audience == self.identity()
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

    /// The caller of a request, and the message of the request.
    ///
    /// # Panics
    /// As [`of`](Self::of).
    pub fn parts<T>(request: tonic::Request<T>) -> (Self, T) {
        (Self::of(&request).clone(), request.into_inner())
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

/// The [`Caller::identity`] of a caller with this key who names this person, or none.
#[must_use]
pub fn identity<'a>(key_id: &str, actor: Option<&'a str>) -> Cow<'a, str> {
    match actor {
        Some(actor) if actor.starts_with("apiKeys/") => format!("actor {actor}").into(),
        Some(actor) => actor.into(),
        None => format!("apiKeys/{key_id}").into(),
    }
}
