//! Resume tokens: how far the reader is, signed once per change, and the parameters of the stream, signed
//! once per stream. They are places in history, never authority.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tonic::Code;

use super::log::Kind;
use super::position::{Position, Progress};
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;

/// The first byte of a first half: one position, or that and the further one that was seen.
const ONE_POSITION: u8 = 1;
const TWO_POSITIONS: u8 = 2;
const POSITION_BYTES: usize = 3 * 8;
const MAC_BYTES: usize = 12;
const STREAM_BYTES: usize = 8;

/// Signs and reads the tokens of one store.
#[derive(Clone)]
pub struct Tokens {
    secret: [u8; 32],
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// How far the reader is.
    pub progress: Progress,
    /// The stream's parameters, as [`stream_digest`] made them.
    pub stream: [u8; STREAM_BYTES],
}

/// What tells one stream's parameters (filter, names, target) from another's.
#[must_use]
pub fn stream_digest<'a>(parameters: impl IntoIterator<Item = &'a str>) -> [u8; STREAM_BYTES] {
    let mut hash = Sha256::new();
    for parameter in parameters {
        hash.update((parameter.len() as u64).to_be_bytes());
        hash.update(parameter);
    }
    let mut digest = [0; STREAM_BYTES];
    digest.copy_from_slice(&hash.finalize()[..STREAM_BYTES]);
    digest
}

impl Tokens {
    /// Tokens signed with the store's secret.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    fn mac(&self, purpose: &[u8], shop: &str, kind: Kind, content: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length is a key");
        mac.update(purpose);
        mac.update(shop.as_bytes());
        mac.update(&[0xff, kind as u8]);
        mac.update(content);
        let mut short = [0; MAC_BYTES];
        short.copy_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
        short
    }

    /// The first half of a token.
    #[must_use]
    pub fn seal_progress(&self, shop: &str, kind: Kind, progress: Progress) -> String {
        let ahead = progress.seen_ahead();
        let mut bytes = Vec::with_capacity(1 + 2 * POSITION_BYTES + MAC_BYTES);
        bytes.push(ahead.map_or(ONE_POSITION, |_| TWO_POSITIONS));
        for position in std::iter::once(progress.up_to).chain(ahead) {
            bytes.extend(position.xid.to_be_bytes());
            bytes.extend(position.seq.to_be_bytes());
            bytes.extend(position.mark.to_be_bytes());
        }
        let mac = self.mac(b"position", shop, kind, &bytes);
        bytes.extend(mac);
        BASE64.encode(bytes)
    }

    /// The second half of a token, with the dot before it.
    #[must_use]
    pub fn seal_stream(&self, shop: &str, kind: Kind, stream: [u8; STREAM_BYTES]) -> String {
        let mut bytes = [0; STREAM_BYTES + MAC_BYTES];
        bytes[..STREAM_BYTES].copy_from_slice(&stream);
        bytes[STREAM_BYTES..].copy_from_slice(&self.mac(b"stream", shop, kind, &stream));
        format!(".{}", BASE64.encode(bytes))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// INVALID_RESUME_TOKEN if it was altered, or is of another shop, kind or store.
    pub fn open(&self, shop: &str, kind: Kind, token: &str) -> Result<Token> {
        self.read(shop, kind, token).ok_or_else(|| {
            Error::new(
                Code::InvalidArgument,
                ErrorReason::InvalidResumeToken,
                "the resume token is not one of this shop and watch",
            )
        })
    }

    fn read(&self, shop: &str, kind: Kind, token: &str) -> Option<Token> {
        let (progress, stream) = token.split_once('.')?;
        let progress = BASE64.decode(progress).ok()?;
        let stream = BASE64.decode(stream).ok()?;
        let (progress, progress_mac) = progress.split_last_chunk::<MAC_BYTES>()?;
        let (stream, stream_mac) = stream.split_last_chunk::<MAC_BYTES>()?;
        let good = self
            .mac(b"position", shop, kind, progress)
            .ct_eq(progress_mac)
            & self.mac(b"stream", shop, kind, stream).ct_eq(stream_mac);
        if !bool::from(good) {
            return None;
        }
        let (format, positions) = progress.split_first()?;
        let (up_to, seen) = positions.split_first_chunk::<POSITION_BYTES>()?;
        let up_to = read_position(*up_to);
        let progress = match *format {
            ONE_POSITION if seen.is_empty() => Progress::at(up_to),
            TWO_POSITIONS => Progress::new(up_to, read_position(seen.try_into().ok()?)),
            _ => return None,
        };
        Some(Token {
            progress,
            stream: stream.try_into().ok()?,
        })
    }

    /// `clientela-revision`: a position that reads can be asked to have reached.
    #[must_use]
    pub fn seal_revision(&self, position: Position) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&position.xid.to_be_bytes());
        bytes[8..].copy_from_slice(&position.seq.to_be_bytes());
        BASE64.encode(bytes)
    }

    /// Reads `clientela-min-revision`.
    ///
    /// # Errors
    /// INVALID_REVISION if it is none.
    pub fn open_revision(&self, revision: &str) -> Result<Position> {
        let bytes: Option<[u8; 16]> = BASE64
            .decode(revision)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        let Some(bytes) = bytes else {
            return Err(Error::new(
                Code::InvalidArgument,
                ErrorReason::InvalidRevision,
                "clientela-min-revision is not a revision of this service",
            ));
        };
        let number = |half: &[u8]| i64::from_be_bytes(half.try_into().expect("eight bytes"));
        Ok(Position {
            xid: number(&bytes[..8]),
            seq: number(&bytes[8..]),
            mark: 0,
        })
    }
}

fn read_position(bytes: [u8; POSITION_BYTES]) -> Position {
    let number = |at: usize| {
        let bytes: [u8; 8] = bytes[at..at + 8].try_into().expect("eight bytes");
        i64::from_be_bytes(bytes)
    };
    Position {
        xid: number(0),
        seq: number(8),
        mark: number(16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Position = Position {
        xid: 7,
        seq: 1_000,
        mark: -5,
    };
    const AHEAD: Position = Position {
        xid: 8,
        seq: 900,
        mark: 6,
    };

    fn tokens() -> Tokens {
        Tokens::new([3; 32])
    }

    /// A token with one position, and one with two.
    fn each(shop: &str) -> [(Progress, String); 2] {
        let stream = stream_digest(["state = OPEN", ""]);
        [Progress::at(HERE), Progress::new(HERE, AHEAD)].map(|progress| {
            let first = tokens().seal_progress(shop, Kind::Cart, progress);
            (
                progress,
                first + &tokens().seal_stream(shop, Kind::Cart, stream),
            )
        })
    }

    #[test]
    fn a_token_says_what_was_sealed_in_it() {
        for (progress, token) in each("s") {
            let opened = tokens().open("s", Kind::Cart, &token).unwrap();

            assert_eq!(opened.progress, progress);
            assert_eq!(opened.stream, stream_digest(["state = OPEN", ""]));
        }
    }

    #[test]
    fn what_was_seen_before_the_place_itself_is_not_in_the_token() {
        let sealed = |progress| tokens().seal_progress("s", Kind::Cart, progress);

        assert_eq!(
            sealed(Progress::new(AHEAD, HERE)),
            sealed(Progress::at(AHEAD))
        );
    }

    #[test]
    fn a_token_of_another_shop_kind_or_store_is_refused() {
        for (_, token) in each("s") {
            assert!(tokens().open("t", Kind::Cart, &token).is_err());
            assert!(tokens().open("s", Kind::Group, &token).is_err());
            assert!(Tokens::new([4; 32]).open("s", Kind::Cart, &token).is_err());
        }
    }

    #[test]
    fn no_altered_or_cut_token_is_taken() {
        for (_, whole) in each("s") {
            for place in 0..whole.len() {
                let mut altered = whole.clone().into_bytes();
                altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
                let altered = String::from_utf8(altered).unwrap();
                assert!(
                    tokens().open("s", Kind::Cart, &altered).is_err(),
                    "{altered}"
                );
                assert!(tokens().open("s", Kind::Cart, &whole[..place]).is_err());
            }
        }
    }

    #[test]
    fn parameters_that_run_together_are_told_apart() {
        assert_ne!(stream_digest(["ab", "c"]), stream_digest(["a", "bc"]));
    }
}
