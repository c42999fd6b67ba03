//! The generated contract: messages and clients in [`pb`], server traits in [`server`], and the descriptors
//! for reflection and the access layer.

use std::{marker::PhantomData, sync::LazyLock};

use prost_reflect::DescriptorPool;
use tonic::codec::{BufferSettings, Codec as TonicCodec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Messages, enums and clients of `clientela.v1`.
pub mod pb {
    #![expect(clippy::large_enum_variant, reason = "generated code")]
    include!(concat!(env!("OUT_DIR"), "/messages/clientela.v1.rs"));
}

/// Server traits of `clientela.v1`. Watches answer with [`crate::feed::Frame`], whose bytes are those of the
/// response message.
pub mod server {
    #![expect(clippy::allow_attributes, reason = "generated code")]
    include!(concat!(env!("OUT_DIR"), "/services/clientela.v1.rs"));
}

/// The encoded `FileDescriptorSet` of the contract with options and comments.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clientela.fds"));

/// The contract as reflected messages.
pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(DESCRIPTORS).expect("build.rs wrote descriptors that resolve")
});

/// tonic's protobuf codec with small buffers. An idle stream keeps one, and the default of 8 KiB would be
/// most of its cost.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// The first size of a stream's buffer, and the size from which it is flushed.
const BUFFER_BYTES: usize = 512;
const FLUSH_BYTES: usize = 32 * 1024;

impl<T, U> TonicCodec for Codec<T, U>
where
    T: prost::Message + Send + 'static,
    U: prost::Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFER_BYTES, FLUSH_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(BUFFER_BYTES, FLUSH_BYTES))
    }
}
