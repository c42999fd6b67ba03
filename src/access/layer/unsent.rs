//! Answers on their way to clients. Bounds their bytes, and closes answers that clients do not receive.
//!
//! The transport keeps bytes until the client has received them, however long that takes. So it is given an
//! answer piece by piece, and every byte is counted until the transport frees it.
//!
//! Invariant: every byte of an answer in memory is counted. It leaves the counts when its buffer is freed:
//! sent, dropped, or lost with its connection. Large requests in progress are counted, too. So is, for the
//! key, the room that its writes reserve for their answers.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyStream;
use tonic::Status;

use super::answer;
use crate::{
    connection::Connection,
    error::{Error, Result},
    feed::Feed,
    limits,
    proto::pb::ErrorReason,
};

/// The room that a call needs to begin. Most answers are much smaller; the largest have 4 MiB.
const ROOM: usize = 1024 * 1024;

/// The answers of a process that clients have not received. Cheap to clone.
#[derive(Clone, Default)]
pub struct Unsent(Arc<Counts>);

#[derive(Default)]
struct Counts {
    total: AtomicUsize,
    /// The number of keys whose clients have something to receive.
    keys: AtomicUsize,
}

/// The connection and the key to which an answer is sent.
#[derive(Clone)]
pub struct Recipient {
    pub connection: Connection,
    /// Bytes of answers that the key's clients have not received, of its large requests in progress, and of
    /// the room that its writes reserve.
    pub of_key: Arc<AtomicUsize>,
}

impl Unsent {
    /// Checks that `recipient` has enough room to begin a call.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn admit(&self, recipient: &Recipient) -> Result<()> {
        check_connection(recipient, ROOM, 0)?;
        self.check_key(recipient, ROOM, (0, 0))
    }

    /// Counts an answer of `bytes` until the charge is dropped, if the limits allow it.
    ///
    /// # Errors
    /// OVERLOADED if the connection or the key has reached its limit of unreceived bytes. When the process
    /// has reached its limit, keys that hold more than an equal share are refused.
    pub fn take(&self, recipient: Recipient, bytes: usize) -> Result<Charge> {
        // Counted before the check, so that two answers at once do not both get the last room.
        let charge = self.charge(recipient, bytes);
        check_connection(&charge.recipient, bytes, bytes)?;
        self.check_key(&charge.recipient, bytes, (bytes, bytes))?;
        Ok(charge)
    }

    /// Counts a request of `bytes` among the answers while its call is in progress. A small one is not
    /// counted: it needs hardly more room than its call.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_request(&self, recipient: &Recipient, bytes: usize) -> Result<Option<Charge>> {
        if bytes < limits::COUNTED_REQUEST_BYTES {
            return Ok(None);
        }
        self.take(recipient.clone(), bytes).map(Some)
    }

    /// Reserves room for the answer of a write until the size of the answer is known.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn keep_room(&self, recipient: &Recipient) -> Result<Room> {
        let bytes = limits::WRITE_ANSWER_ROOM;
        check_connection(recipient, bytes, 0)?;
        self.0.add(&recipient.of_key, bytes);
        let room = Room {
            unsent: self.clone(),
            of_key: Arc::clone(&recipient.of_key),
        };
        self.check_key(recipient, bytes, (bytes, 0))?;
        Ok(room)
    }

    /// Counts `bytes` of an answer until the charge is dropped.
    pub fn charge(&self, recipient: Recipient, bytes: usize) -> Charge {
        let of_connection = recipient.connection.unsent_bytes();
        of_connection.fetch_add(bytes, Ordering::Relaxed);
        self.0.total.fetch_add(bytes, Ordering::Relaxed);
        self.0.add(&recipient.of_key, bytes);
        Charge {
            unsent: self.clone(),
            recipient,
            bytes,
        }
    }

    /// Checks whether the key of `recipient` may have `more`. `counted` says how many of these are already in
    /// the counts of the key and of the process.
    fn check_key(&self, recipient: &Recipient, more: usize, counted: (usize, usize)) -> Result<()> {
        let there = |count: &AtomicUsize, counted| {
            let count = count.load(Ordering::Relaxed);
            count.saturating_sub(counted)
        };
        let of_key = there(&recipient.of_key, counted.0);
        if is_over(of_key, more, limits::UNSENT_BYTES_PER_KEY_MAX) {
            let text = "the key has too many bytes of requests and of unreceived answers under way: wait for \
                        calls to end, and receive their answers";
            return Err(overloaded(text, limits::UNSENT_BYTES_PER_KEY_MAX));
        }
        let total = there(&self.0.total, counted.1);
        let part = limits::UNSENT_BYTES_MAX / self.0.keys.load(Ordering::Relaxed).max(1);
        if is_over(total, more, limits::UNSENT_BYTES_MAX) && of_key >= part {
            let text = "the server holds as many bytes of requests and of unreceived answers as it may, and the \
                        key at least an equal share of them";
            return Err(overloaded(text, limits::UNSENT_BYTES_MAX));
        }
        Ok(())
    }
}

/// Checks whether the connection of `recipient` may have `more`, of which `counted` are counted already.
fn check_connection(recipient: &Recipient, more: usize, counted: usize) -> Result<()> {
    let of_connection = recipient.connection.unsent_bytes().load(Ordering::Relaxed);
    let max = limits::UNSENT_BYTES_PER_CONNECTION_MAX;
    if is_over(of_connection.saturating_sub(counted), more, max) {
        let text = "the connection has too many bytes of requests and of unreceived answers under way: wait for \
                    calls to end, and receive their answers";
        return Err(overloaded(text, max));
    }
    Ok(())
}

impl Counts {
    fn add(&self, of_key: &AtomicUsize, bytes: usize) {
        if bytes > 0 && of_key.fetch_add(bytes, Ordering::AcqRel) == 0 {
            self.keys.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_away(&self, of_key: &AtomicUsize, bytes: usize) {
        if bytes > 0 && of_key.fetch_sub(bytes, Ordering::AcqRel) == bytes {
            self.keys.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Room that is reserved for the answer of a write.
///
/// It counts for the key alone: a connection has room for answers that it can receive, and the process has
/// room for [`limits::WRITES_MAX`] writes beside its limit.
pub struct Room {
    unsent: Unsent,
    of_key: Arc<AtomicUsize>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.unsent
            .0
            .take_away(&self.of_key, limits::WRITE_ANSWER_ROOM);
    }
}

/// Whether `more` exceeds the limit. A single answer always has room.
fn is_over(there: usize, more: usize, max: usize) -> bool {
    there > 0 && there + more > max
}

fn overloaded(text: &'static str, limit: usize) -> Error {
    Error::exhausted(ErrorReason::Overloaded, text).with("limit", limit.to_string())
}

pub struct Charge {
    unsent: Unsent,
    recipient: Recipient,
    bytes: usize,
}

impl Charge {
    /// Splits off `bytes`, which are counted separately from here on.
    fn split(&mut self, bytes: usize) -> Self {
        self.bytes -= bytes;
        Self {
            unsent: self.unsent.clone(),
            recipient: self.recipient.clone(),
            bytes,
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // A charge from which everything was split off is empty.
        if self.bytes == 0 {
            return;
        }
        let of_connection = self.recipient.connection.unsent_bytes();
        of_connection.fetch_sub(self.bytes, Ordering::Relaxed);
        let counts = &self.unsent.0;
        counts.total.fetch_sub(self.bytes, Ordering::Relaxed);
        counts.take_away(&self.recipient.of_key, self.bytes);
    }
}

/// The outcome of an answer, shared by all its parts.
struct Fate {
    connection: Connection,
    /// Whether the transport dropped the answer, as after its client has left.
    is_left: AtomicBool,
    /// Whether the server dropped it before the client read it.
    is_abandoned: AtomicBool,
}

impl Fate {
    fn of(charge: &Charge) -> Arc<Self> {
        Arc::new(Self {
            connection: charge.recipient.connection.clone(),
            is_left: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
        })
    }

    fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
        self.connection.abandon_answer();
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        if *self.is_abandoned.get_mut() {
            self.connection.forget_answer();
        }
    }
}

/// Bytes that stay counted until they are freed.
struct Charged {
    bytes: Bytes,
    _charge: Charge,
    _fate: Arc<Fate>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of an answer of one message, which the server drops when its connection does not take it.
pub fn body(feed: &Feed, message: Bytes, trailers: Option<HeaderMap>, charge: Charge) -> Body {
    let fate = Fate::of(&charge);
    let frames = Frames {
        comes_in_pieces: message.len() > limits::ANSWER_CHUNK_BYTES,
        message,
        trailers,
        charge,
        is_done: false,
        fate: Arc::clone(&fate),
    };
    Body::new(Guarded {
        frames: feed.guard(frames),
        fate: Some(fate),
    })
}

/// A stream that the server drops, with everything that it holds, when its connection does not take it.
pub fn stream(feed: &Feed, body: Body) -> Body {
    let frames = BodyStream::new(body).map_err(|error| Status::from(Error::internal(error)));
    Body::new(Guarded {
        frames: feed.guard(frames),
        fate: None,
    })
}

/// The frames of an answer.
struct Frames {
    message: Bytes,
    comes_in_pieces: bool,
    trailers: Option<HeaderMap>,
    charge: Charge,
    is_done: bool,
    fate: Arc<Fate>,
}

impl Frames {
    /// The next piece of the message. If there are several, each is copied, so that it is freed when it is
    /// sent, and the rest when the answer is dropped.
    fn piece(&mut self) -> Bytes {
        let length = self.message.len().min(limits::ANSWER_CHUNK_BYTES);
        let piece = self.message.split_to(length);
        let bytes = if self.comes_in_pieces {
            Bytes::copy_from_slice(&piece)
        } else {
            piece
        };
        Bytes::from_owner(Charged {
            bytes,
            _charge: self.charge.split(length),
            _fate: Arc::clone(&self.fate),
        })
    }
}

impl Stream for Frames {
    type Item = Result<Frame<Bytes>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.message.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.piece()))));
        }
        self.is_done = true;
        let trailers = self.trailers.take().map(Frame::trailers);
        Poll::Ready(trailers.map(Ok))
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if !self.is_done && !self.fate.is_left.load(Ordering::Relaxed) {
            self.fate.abandon();
        }
    }
}

/// The frames of an answer as a body.
struct Guarded<S> {
    frames: S,
    fate: Option<Arc<Fate>>,
}

impl<S> http_body::Body for Guarded<S>
where
    S: Stream<Item = Result<Frame<Bytes>, Status>> + Unpin,
{
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Poll::Ready(
            match ready!(Pin::new(&mut self.frames).poll_next(context)) {
                Some(Ok(frame)) => Some(Ok(frame)),
                Some(Err(status)) => Some(Ok(answer::last_frame(&status))),
                None => None,
            },
        )
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        if let Some(fate) = &self.fate {
            fate.is_left.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
