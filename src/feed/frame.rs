//! Messages of a watch stream as they go onto the wire.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType},
};

use super::progress::Progress;
use crate::proto::pb;

/// One message of a watch stream as finished bytes: pieces that streams share, and pieces of its own.
///
/// Encoding copies the pieces. A frame cannot be decoded, because no server receives one.
#[derive(Debug, Clone)]
pub struct Frame(Pieces);

#[derive(Debug, Clone)]
enum Pieces {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Frame {
    /// Creates a frame from pieces that together are one encoded response message.
    pub fn new(pieces: Vec<Bytes>) -> Self {
        Self(Pieces::Many(pieces))
    }

    /// The same frame in one piece, for streams that share the whole of it.
    pub fn joined(&self) -> Self {
        Self(Pieces::One(self.pieces().concat().into()))
    }

    fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Many(pieces) => pieces,
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl prost::Message for Frame {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        for piece in self.pieces() {
            buffer.put_slice(piece);
        }
    }

    fn merge_field(
        &mut self,
        _tag: u32,
        _wire_type: WireType,
        _buffer: &mut impl Buf,
        _context: DecodeContext,
    ) -> Result<(), DecodeError> {
        unreachable!("the server only sends frames")
    }

    fn encoded_len(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A message that waits to be sent.
#[derive(Clone)]
pub struct Message {
    pub frame: Frame,
    /// The progress of its reader after it; None if it has no token.
    pub progress: Option<Progress>,
}

impl Message {
    /// The same message in one piece, for streams that share the whole of it.
    pub fn joined(&self) -> Self {
        Self {
            frame: self.frame.joined(),
            progress: self.progress,
        }
    }
}

/// A message of a stream that carries no change.
pub enum Signal {
    /// A snapshot follows.
    SnapshotBegin(pb::SnapshotBegin),
    /// The snapshot is complete.
    SnapshotEnd(pb::SnapshotEnd),
    /// The stream is alive.
    Heartbeat(pb::Heartbeat),
    /// The stream will end.
    Draining(pb::Draining),
}

impl Signal {
    /// Encodes the field of the response.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::SnapshotBegin(signal) => field(3, signal),
            Self::SnapshotEnd(signal) => field(4, signal),
            Self::Heartbeat(signal) => field(5, signal),
            Self::Draining(signal) => field(6, signal),
        }
    }
}

fn field(number: u32, message: &impl prost::Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(message.encoded_len() + 8);
    prost::encoding::message::encode(number, message, &mut bytes);
    bytes.freeze()
}
