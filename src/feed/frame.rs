//! A message of a watch stream as it goes onto the wire.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};

use crate::proto::pb;

/// One message of a watch stream as finished bytes: pieces that streams share and pieces of its own.
///
/// Encoding it copies the pieces; it cannot be decoded, as no server receives one.
#[derive(Debug, Default, Clone)]
pub struct Frame {
    pieces: Vec<Bytes>,
}

impl Frame {
    /// A frame of these pieces, which together are one encoded response message.
    pub fn new(pieces: Vec<Bytes>) -> Self {
        Self { pieces }
    }
}

impl Message for Frame {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        for piece in &self.pieces {
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
        self.pieces.iter().map(Bytes::len).sum()
    }

    fn clear(&mut self) {
        self.pieces.clear();
    }
}

/// What a stream says beside its changes.
pub enum Signal {
    /// A whole state follows.
    SnapshotBegin(pb::SnapshotBegin),
    /// The state is whole.
    SnapshotEnd(pb::SnapshotEnd),
    /// The stream lives.
    Heartbeat(pb::Heartbeat),
    /// The stream will end.
    Draining(pb::Draining),
}

impl Signal {
    /// The field of the response.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::SnapshotBegin(signal) => field(3, signal),
            Self::SnapshotEnd(signal) => field(4, signal),
            Self::Heartbeat(signal) => field(5, signal),
            Self::Draining(signal) => field(6, signal),
        }
    }
}

fn field(number: u32, message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(message.encoded_len() + 8);
    prost::encoding::message::encode(number, message, &mut bytes);
    bytes.freeze()
}
