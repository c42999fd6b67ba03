//! Seals positions in the change log and in orders, which clients store but must not read.
//!
//! AES-256-GCM-SIV with a random nonce. Two sealed texts do not reveal whether their contents are equal or
//! how far apart they are. A text that was altered or made for another purpose is not opened. A nonce that is
//! drawn twice reveals only that two contents are equal.

use aes_gcm_siv::aead::AeadInOut as _;
use aes_gcm_siv::{Aes256GcmSiv, KeyInit as _, Nonce, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::ids;

/// The first byte of every sealed text. Versions 1 and 2 were signed and readable.
const VERSION: u8 = 3;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + NONCE_BYTES;

/// Seals and opens texts of one purpose.
#[derive(Clone)]
pub struct Sealer(Aes256GcmSiv);

impl Sealer {
    /// Creates a sealer from the key of its purpose.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Aes256GcmSiv::new(key.into()))
    }

    /// Seals `content` so that only [`open`](Self::open) with the same `bound` reads it.
    #[must_use]
    pub fn seal(&self, bound: &[u8], content: &[u8]) -> String {
        let nonce: [u8; NONCE_BYTES] = ids::random_bytes();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + content.len() + TAG_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(content);
        let tag = self
            .0
            .encrypt_inout_detached(
                &Nonce::from(nonce),
                bound,
                (&mut bytes[HEAD_BYTES..]).into(),
            )
            .expect("a content is far shorter than the limit of the cipher");
        bytes.extend_from_slice(&tag);
        BASE64.encode(bytes)
    }

    /// Returns the content of a sealed text; None if it was altered, or sealed with another key or `bound`.
    #[must_use]
    pub fn open(&self, bound: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let bytes = BASE64.decode(sealed).ok()?;
        let (version, bytes) = bytes.split_first()?;
        let (nonce, bytes) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let (content, tag) = bytes.split_last_chunk::<TAG_BYTES>()?;
        if *version != VERSION {
            return None;
        }
        let mut content = content.to_vec();
        let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
        self.0
            .decrypt_inout_detached(&nonce, bound, content.as_mut_slice().into(), &tag)
            .ok()?;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_read_only_with_its_key_and_bound() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(b"shop", b"place");

        assert_eq!(sealer.open(b"shop", &sealed).unwrap(), b"place");
        assert_eq!(sealer.open(b"other", &sealed), None);
        assert_eq!(Sealer::new(&[8; 32]).open(b"shop", &sealed), None);
        assert_eq!(sealer.open(b"shop", ""), None);
    }

    #[test]
    fn the_same_content_looks_different_each_time() {
        let sealer = Sealer::new(&[7; 32]);

        assert_ne!(
            sealer.seal(b"shop", b"place"),
            sealer.seal(b"shop", b"place")
        );
    }
}
