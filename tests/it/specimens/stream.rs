//! The messages of any watch. The messages of all watches have the same fields under the same numbers.

use bytes::Bytes;
use clientela::proto::pb::{self, ChangeKind, watch_carts_response::Signal as Sent};
use futures::stream::BoxStream;
use prost::Message as _;
use tonic::Status;

/// The messages of a watch.
pub type Stream = BoxStream<'static, Result<Received, Status>>;

/// A change of any resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub kind: ChangeKind,
    pub name: String,
    pub version: i64,
    pub conflated: i32,
}

/// The part of a message that is neither a change nor a token.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    Begin(pb::snapshot_begin::Cause),
    End,
    Heartbeat(pb::Heartbeat),
    Draining,
}

/// A message of any watch.
#[derive(Clone, Debug)]
pub struct Received {
    pub changes: Vec<Change>,
    pub token: String,
    pub signal: Option<Signal>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyResponse {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<AnyChange>,
    #[prost(string, tag = "2")]
    resume_token: String,
    #[prost(oneof = "Sent", tags = "3, 4, 5, 6")]
    signal: Option<Sent>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyChange {
    #[prost(enumeration = "ChangeKind", tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(int64, tag = "3")]
    version: i64,
    #[prost(int32, tag = "6")]
    conflated: i32,
}

impl Received {
    /// Decodes a message.
    pub fn of(message: Bytes) -> Self {
        let message =
            AnyResponse::decode(message).expect("the messages of all watches have these fields");
        let change = |change: AnyChange| Change {
            kind: change.kind(),
            name: change.name,
            version: change.version,
            conflated: change.conflated,
        };
        let signal = |signal| match signal {
            Sent::SnapshotBegin(begin) => Signal::Begin(begin.cause()),
            Sent::SnapshotEnd(_) => Signal::End,
            Sent::Heartbeat(beat) => Signal::Heartbeat(beat),
            Sent::Draining(_) => Signal::Draining,
        };
        Self {
            changes: message.changes.into_iter().map(change).collect(),
            token: message.resume_token,
            signal: message.signal.map(signal),
        }
    }
}
