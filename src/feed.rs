//! The feed: frames on the wire.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};

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
