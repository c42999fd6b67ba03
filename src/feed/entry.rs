//! A change as streams send it: encoded once, shared as bytes.
//!
//! The watch responses of all services carry the same field numbers, so one encoder serves them all. A test
//! checks that against the contract.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use prost_types::Timestamp;

use super::history::{self, LogRow};
use super::log::Payload;
use super::progress::Progress;
use super::resource::{Decoded, Resource, Row};
use super::shared_filter::Verdicts;
use super::token::Tokens;
use crate::error::{Error, Result};
use crate::proto::pb::ChangeKind;
use crate::revision::Position;

/// Field numbers of `WatchCartsResponse` and its sisters.
mod response {
    pub(super) const CHANGES: u32 = 1;
    pub(super) const RESUME_TOKEN: u32 = 2;
}

/// Field numbers of `CartChange` and its sisters.
mod change {
    pub(super) const KIND: u32 = 1;
    pub(super) const NAME: u32 = 2;
    pub(super) const VERSION: u32 = 3;
    pub(super) const RESOURCE: u32 = 4;
    pub(super) const COMMIT_TIME: u32 = 5;
    pub(super) const CONFLATED: u32 = 6;
}

/// A row of the change log in the form in which streams send it.
pub struct Entry {
    pub position: Position,
    /// The last segment of the resource's name.
    pub id: Box<str>,
    /// The version that the change made.
    pub version: i64,
    /// Whether the change deleted the resource.
    pub deleted: bool,
    /// The topic that the resource left with this change.
    pub left_topic: Option<Box<str>>,
    /// The encoded `changes` element, for streams that conflated nothing.
    whole: Bytes,
    /// The offset in `whole` at which the content begins, after tag and length.
    content_at: usize,
    body: Option<Bytes>,
    decoded: OnceLock<Option<Arc<dyn Decoded>>>,
    /// The results of filters on this change.
    pub verdicts: Verdicts,
    token: OnceLock<Box<str>>,
    /// The number of streams that hold it back.
    pub(super) keepers: AtomicUsize,
}

impl Entry {
    /// Creates an entry from a `payload` that [`append`](super::append) wrote.
    ///
    /// # Errors
    /// If the payload cannot be read.
    pub fn new(
        resource: &'static dyn Resource,
        position: Position,
        id: String,
        version: i64,
        deleted: bool,
        payload: &[u8],
        commit_time: i64,
    ) -> Result<Self> {
        let kind = if deleted {
            ChangeKind::Deleted
        } else {
            ChangeKind::Upserted
        };
        let mut content = Vec::with_capacity(payload.len() + 96);
        put_head(&mut content, kind, resource.collection(), &id, version);
        content.extend_from_slice(payload);
        if commit_time != 0 {
            put_message(&mut content, change::COMMIT_TIME, &timestamp(commit_time));
        }
        let (whole, content_at) = element(&content);
        // The payload's fields are among those of the content, so the resource is a slice of its bytes.
        let body = Payload::decode(whole.slice(content_at..))
            .map_err(|error| Error::corrupt("change_log", &id, error))?
            .resource;
        Ok(Self {
            position,
            id: id.into(),
            version,
            deleted,
            left_topic: None,
            whole,
            content_at,
            body,
            decoded: OnceLock::new(),
            verdicts: Verdicts::default(),
            token: OnceLock::new(),
            keepers: AtomicUsize::new(0),
        })
    }

    /// Sets the topic that the resource left with the change.
    pub fn leaving(mut self, topic: Option<String>) -> Self {
        self.left_topic = topic.map(String::into_boxed_str);
        self
    }

    /// Creates the entry of a row of the log.
    ///
    /// # Errors
    /// If the payload was compacted or cannot be read.
    pub fn of_log(resource: &'static dyn Resource, row: LogRow) -> Result<Self> {
        let position = row.position();
        let payload = row.payload.ok_or_else(history::expired)?;
        let LogRow {
            resource_id,
            version,
            deleted,
            commit_time,
            left_topic,
            ..
        } = row;
        let entry = Self::new(
            resource,
            position,
            resource_id,
            version,
            deleted,
            &payload,
            commit_time,
        )?;
        Ok(entry.leaving(left_topic))
    }

    /// Creates the entry of a row of a snapshot, as if the row had changed just before `position`.
    ///
    /// # Errors
    /// If the row cannot be read.
    pub fn of_row(resource: &'static dyn Resource, position: Position, row: &Row) -> Result<Self> {
        let payload = Payload {
            resource: Some(row.body.clone()),
            causes: Vec::new(),
        };
        let payload = payload.encode_to_vec();
        Self::new(
            resource,
            position,
            row.id.clone(),
            row.version,
            false,
            &payload,
            0,
        )
    }

    /// The resource for filters, decoded at first use; None if it is deleted or cannot be decoded.
    pub fn decoded(&self, resource: &'static dyn Resource) -> Option<&Arc<dyn Decoded>> {
        let decode = || match resource.decode(self.body.as_deref()?) {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                tracing::error!(%error, cause = error.cause(), id = %self.id, "a change cannot be decoded for filters");
                None
            }
        };
        self.decoded.get_or_init(decode).as_ref()
    }

    /// Whether the entry has a resource that cannot be decoded.
    pub fn is_undecodable(&self, resource: &'static dyn Resource) -> bool {
        self.body.is_some() && self.decoded(resource).is_none()
    }

    /// The first half of the token of this entry's position, sealed at first use.
    pub fn token(&self, tokens: &Tokens, shop: &str, resource: &'static dyn Resource) -> &str {
        let seal = || {
            tokens
                .seal_progress(shop, resource.kind(), Progress::at(self.position))
                .into()
        };
        self.token.get_or_init(seal)
    }

    /// The `changes` element, with the number of changes that it replaces.
    pub fn element(&self, conflated: i32) -> Element {
        if conflated == 0 {
            return Element {
                head: None,
                rest: self.whole.clone(),
            };
        }
        let content = self.whole.slice(self.content_at..);
        let conflated = u64::from(conflated.unsigned_abs());
        let extra = key_len(change::CONFLATED) + encoded_len_varint(conflated);
        let mut head = BytesMut::with_capacity(24);
        encode_key(response::CHANGES, WireType::LengthDelimited, &mut head);
        encode_varint((extra + content.len()) as u64, &mut head);
        encode_key(change::CONFLATED, WireType::Varint, &mut head);
        encode_varint(conflated, &mut head);
        Element {
            head: Some(head.freeze()),
            rest: content,
        }
    }

    /// The approximate memory of the entry: its bytes, and as many again for the decoded resource.
    pub fn size(&self) -> usize {
        let topic = self.left_topic.as_ref().map_or(0, |topic| topic.len());
        let body = self.body.as_ref().map_or(0, Bytes::len);
        self.whole.len() + body + self.id.len() + topic + size_of::<Self>()
    }
}

/// One encoded `changes` element, in at most two pieces.
pub struct Element {
    head: Option<Bytes>,
    rest: Bytes,
}

impl Element {
    /// The element of a resource in a snapshot.
    pub fn snapshot(resource: &'static dyn Resource, id: &str, version: i64, body: &[u8]) -> Self {
        let mut content = Vec::with_capacity(body.len() + 64);
        put_head(
            &mut content,
            ChangeKind::Upserted,
            resource.collection(),
            id,
            version,
        );
        encode_key(change::RESOURCE, WireType::LengthDelimited, &mut content);
        encode_varint(body.len() as u64, &mut content);
        content.extend_from_slice(body);
        Self {
            head: None,
            rest: element(&content).0,
        }
    }

    /// The element of a resource that stopped matching. It has no body, because the reader may not see the
    /// new one.
    pub fn left(resource: &'static dyn Resource, id: &str, version: i64) -> Self {
        let mut content = Vec::with_capacity(64);
        put_head(
            &mut content,
            ChangeKind::LeftFilter,
            resource.collection(),
            id,
            version,
        );
        Self {
            head: None,
            rest: element(&content).0,
        }
    }

    pub fn len(&self) -> usize {
        self.rest.len() + self.head.as_ref().map_or(0, Bytes::len)
    }

    /// Appends the bytes to the pieces of a frame.
    pub fn append_to(self, pieces: &mut Vec<Bytes>) {
        pieces.extend(self.head);
        pieces.push(self.rest);
    }
}

/// The `resume_token` field of a response.
pub fn token_field(position: &str, stream: &str) -> Bytes {
    let length = position.len() + stream.len();
    let mut field = BytesMut::with_capacity(length + 4);
    encode_key(
        response::RESUME_TOKEN,
        WireType::LengthDelimited,
        &mut field,
    );
    encode_varint(length as u64, &mut field);
    field.put_slice(position.as_bytes());
    field.put_slice(stream.as_bytes());
    field.freeze()
}

/// Converts microseconds since the epoch to the contract's message.
#[must_use]
pub fn timestamp(micros: i64) -> Timestamp {
    let nanos = micros.rem_euclid(1_000_000) * 1_000;
    Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(nanos).expect("less than a second"),
    }
}

/// Converts a time of the contract to microseconds. The access layer has checked the range of a received
/// time.
#[must_use]
pub fn micros(time: &Timestamp) -> i64 {
    time.seconds
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(time.nanos) / 1_000)
}

fn put_head(content: &mut Vec<u8>, kind: ChangeKind, collection: &str, id: &str, version: i64) {
    encode_key(change::KIND, WireType::Varint, content);
    encode_varint(kind as u64, content);
    encode_key(change::NAME, WireType::LengthDelimited, content);
    encode_varint((collection.len() + 1 + id.len()) as u64, content);
    content.extend_from_slice(collection.as_bytes());
    content.push(b'/');
    content.extend_from_slice(id.as_bytes());
    encode_key(change::VERSION, WireType::Varint, content);
    encode_varint(version.cast_unsigned(), content);
}

fn put_message(content: &mut Vec<u8>, field: u32, message: &impl Message) {
    encode_key(field, WireType::LengthDelimited, content);
    encode_varint(message.encoded_len() as u64, content);
    message.encode_raw(content);
}

/// Encodes a `changes` element; the second value is the offset of the content.
fn element(content: &[u8]) -> (Bytes, usize) {
    let mut whole = BytesMut::with_capacity(content.len() + 6);
    encode_key(response::CHANGES, WireType::LengthDelimited, &mut whole);
    encode_varint(content.len() as u64, &mut whole);
    let content_at = whole.len();
    whole.put_slice(content);
    (whole.freeze(), content_at)
}
