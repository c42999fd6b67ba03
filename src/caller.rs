//! The caller of an RPC: its key, roles and shop, and how far its call has written.
//!
//! The access layer makes a [`Caller`] before the handler runs. Nothing here decides who may call which RPC.

mod roles;
mod turns;

use std::{borrow::Cow, sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;

use crate::proto::pb;
use crate::revision::Reached;
use crate::{clock, limits};

pub use roles::Roles;
pub use turns::{CallInProgress, Turns};

/// The caller of an RPC: its key, shop, actor and deadline, as the access layer found them before the handler
/// runs.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The id of the key.
    pub key_id: Arc<str>,
    /// The roles of the key.
    pub roles: Roles,
    /// The id of the shop of the call. It is empty only if an operator key named none of several shops, in
    /// RPCs that need none.
    pub shop: Arc<str>,
    /// The acting person, as the caller named it.
    pub actor: Option<Arc<str>>,
    /// The party for which the person acts, as the caller named it.
    pub on_behalf_of: Option<Arc<str>>,
    /// The request id and the digest of its request, if the caller sent an id.
    pub request: Option<RequestId>,
    /// When the caller stops waiting. Unary calls always have a deadline.
    pub deadline: Option<Instant>,
    /// The time of the call by the clock of the store; 0 if there was no call.
    pub call_time: i64,
    /// The path of the RPC, for example `/clientela.v1.CartService/AddItem`; empty for the service itself.
    pub method: &'static str,
    /// How far into the change log the call has written. The layer returns it with the answer.
    pub revision: Reached,
    /// Cancelled when the key is revoked or expires.
    pub key_ended: CancellationToken,
    /// The turns of the key's calls and streams.
    pub turns: Arc<Turns>,
}

/// The identification of a repeated call.
#[derive(Debug, Clone)]
pub struct RequestId {
    /// The id that the caller chose.
    pub id: Arc<str>,
    /// The keyed digest of the request without its request id and its input-only fields.
    pub digest: [u8; 32],
}

impl Caller {
    /// The service itself, in work that no call waits for. `actor` caused the work.
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

    /// Whether the key is an operator key, which is not bound to a shop.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.roles.has(pb::Role::Operator)
    }

    /// The owner of the resources that this caller creates: the acting person, or the key as `apiKeys/{id}`
    /// if no person is named. A person with the name of a key does not count as that key.
    #[must_use]
    pub fn identity(&self) -> Cow<'_, str> {
        identity(&self.key_id, self.actor.as_deref())
    }

    /// Whether the caller belongs to an audience. An audience is the [`identity`](Self::identity) of its only
    /// member, or empty if everybody belongs to it.
    #[must_use]
    pub fn is_among(&self, audience: &str) -> bool {
        audience.is_empty() || audience == self.identity()
    }

    /// The time up to which used request ids may be used again.
    #[must_use]
    pub fn remembered_since(&self) -> i64 {
        self.call_time - clock::micros(limits::REQUEST_ID_RETENTION)
    }

    /// Waits until the key is revoked or expires.
    pub async fn ended(&self) {
        self.key_ended.cancelled().await;
    }

    /// Splits a request into its caller and its message.
    ///
    /// # Panics
    /// As [`of`](Self::of).
    pub fn parts<T>(request: tonic::Request<T>) -> (Self, T) {
        (Self::of(&request).clone(), request.into_inner())
    }

    /// The caller of a request.
    ///
    /// # Panics
    /// If the request did not pass the access layer, which would be a defect in the assembly of the server.
    pub fn of<T>(request: &tonic::Request<T>) -> &Self {
        request
            .extensions()
            .get()
            .expect("every route of an area lies behind the access layer")
    }
}

/// The [`Caller::identity`] of a caller with this key that names this person, or none.
#[must_use]
pub fn identity<'a>(key_id: &str, actor: Option<&'a str>) -> Cow<'a, str> {
    match actor {
        Some(actor) if actor.starts_with("apiKeys/") => format!("actor {actor}").into(),
        Some(actor) => actor.into(),
        None => format!("apiKeys/{key_id}").into(),
    }
}
