//! The change log. Every mutation appends to it in its own transaction, and its row is also the record of the
//! mutation's request id.
//!
//! Invariant: a change is appended while the lock of its resource is held. So the order of the log (`xid`,
//! then `seq`) follows the order of each resource's versions.

mod append;
mod requests;

pub use append::{LogRow, WithAppend, append, append_row};
pub use requests::{
    Replay, answer, answer_part, answered, answered_part, is_repeated_by_its_caller, locks,
    remember, replay, replayed, request_id_reused,
};

use bytes::Bytes;
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// The kind of resource that a row of the change log describes. Each area has its own numbers, below 256.
/// They are stored, so a retired number is never used again: 1 customers, 2 groups, 3 carts, 4 addresses, 5
/// titles, 6 shops, 7 settings, 8 API keys, 9 operations, 11 saved filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(i64);

impl Kind {
    /// The record of a request id without a change of its own: nothing changed, or several resources did.
    /// Streams skip it.
    pub const REQUEST: Self = Self(10);

    /// Creates the kind of this number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The stored number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// The most causes of one change.
pub const MAX_CAUSES: usize = 16;

/// One change of one resource, as a mutation appends it.
#[derive(Debug, Clone)]
pub struct Change {
    /// The kind of the resource.
    pub kind: Kind,
    /// The last segment of the resource's name.
    pub id: String,
    /// The version that the change made.
    pub version: i64,
    /// Whether the change deletes the resource.
    pub deleted: bool,
    /// The encoded resource without its derived fields; empty if it is deleted.
    pub body: Vec<u8>,
    /// The causes: encoded messages of the area. Causes beyond [`MAX_CAUSES`] are dropped.
    pub causes: Vec<Vec<u8>>,
    /// The topic that the resource leaves with this change.
    pub left_topic: Option<String>,
}

impl Change {
    /// The change of a new or updated resource.
    pub fn upserted(kind: Kind, id: impl Into<String>, version: i64, body: &impl Message) -> Self {
        let (body, causes) = (body.encode_to_vec(), Vec::new());
        Self {
            kind,
            id: id.into(),
            version,
            deleted: false,
            body,
            causes,
            left_topic: None,
        }
    }

    /// The change of a deleted resource; `version` is one more than its last.
    pub fn deleted(kind: Kind, id: impl Into<String>, version: i64) -> Self {
        let (body, causes) = (Vec::new(), Vec::new());
        Self {
            kind,
            id: id.into(),
            version,
            deleted: true,
            body,
            causes,
            left_topic: None,
        }
    }

    /// Sets the causes.
    #[must_use]
    pub fn because<M: Message>(mut self, causes: &[M]) -> Self {
        self.causes = causes.iter().map(Message::encode_to_vec).collect();
        self
    }

    /// Sets the topic that the resource leaves. The topic's watchers then receive the change even where the
    /// resource no longer shows that it had the topic.
    #[must_use]
    pub fn leaving(mut self, topic: Option<String>) -> Self {
        self.left_topic = topic;
        self
    }
}

/// The payload of a row: fields of the contract's change message, by their numbers there, so that a stream
/// can send it unchanged.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    /// `CartChange.cart`, `CustomerChange.customer`, `GroupChange.group`.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(super) resource: Option<Bytes>,
    /// `CartChange.causes`.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(super) causes: Vec<Vec<u8>>,
}

/// The etag of a version of a resource, quoted as in RFC 9110. `name` is the full name.
#[must_use]
pub fn etag(name: &str, version: i64) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let [a, b, c, d, ..] = *digest else {
        unreachable!("SHA-256 has 32 bytes")
    };
    format!("\"{version}-{:08x}\"", u32::from_be_bytes([a, b, c, d]))
}

/// Checks the etag of a request, if it has one.
///
/// # Errors
/// ETAG_MISMATCH with the current one.
pub fn check_etag(sent: &str, name: &str, version: i64) -> Result<()> {
    if sent.is_empty() {
        return Ok(());
    }
    let current = etag(name, version);
    if sent == current {
        Ok(())
    } else {
        Err(Error::etag_mismatch(&current))
    }
}
