//! Resume tokens and revisions. A token has the reader's progress, sealed once per change, and the parameters
//! of the stream, signed once per stream. A revision is the position of a write or a read. Both are positions
//! in history and never give authority.
//!
//! All shops of a store share one log, so a readable position would reveal how much the other shops write.
//! Hence positions are encrypted, and the same position looks different each time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tonic::Code;

use super::log::Kind;
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;
use crate::revision::Position;
use crate::store::{Sealer, keyed_digest};

const POSITION_BYTES: usize = 3 * 8;
const MAC_BYTES: usize = 12;
const STREAM_BYTES: usize = 8;

/// The digest that distinguishes one stream's parameters (filter, names, target) from another's.
pub type StreamDigest = [u8; STREAM_BYTES];

/// Makes and reads the tokens and revisions of one store. Its keys take half a KiB, and all streams share
/// them.
pub struct Tokens {
    secret: [u8; 32],
    sealer: Sealer,
}

/// The content of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub progress: Progress,
    /// The stream's parameters, as [`stream_digest`] made them.
    pub stream: StreamDigest,
}

/// The digest of a stream's parameters.
#[must_use]
pub fn stream_digest<'a>(parameters: impl IntoIterator<Item = &'a str>) -> StreamDigest {
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
    /// Creates the tokens of a store from its secret.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        let sealer = Sealer::new(&keyed_digest(&secret, b"positions"));
        Self { secret, sealer }
    }

    /// The first half of a token.
    #[must_use]
    pub fn seal_progress(&self, shop: &str, kind: Kind, progress: Progress) -> String {
        let ahead = progress.seen_ahead();
        let mut bytes = Vec::with_capacity(2 * POSITION_BYTES);
        for position in std::iter::once(progress.up_to).chain(ahead) {
            bytes.extend(position.xid.to_be_bytes());
            bytes.extend(position.seq.to_be_bytes());
            bytes.extend(position.mark.to_be_bytes());
        }
        self.sealer.seal(&bound(b"position", shop, kind), &bytes)
    }

    /// The second half of a token, with the dot before it.
    #[must_use]
    pub fn seal_stream(&self, shop: &str, kind: Kind, stream: StreamDigest) -> String {
        let mut bytes = [0; STREAM_BYTES + MAC_BYTES];
        bytes[..STREAM_BYTES].copy_from_slice(&stream);
        bytes[STREAM_BYTES..].copy_from_slice(&self.mac(b"stream", shop, kind, &stream));
        format!(".{}", BASE64.encode(bytes))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// INVALID_RESUME_TOKEN if the token was altered, or is of another shop, kind or store.
    pub fn open(&self, shop: &str, kind: Kind, token: &str) -> Result<Token> {
        self.read(shop, kind, token).ok_or_else(|| {
            Error::new(
                Code::InvalidArgument,
                ErrorReason::InvalidResumeToken,
                "the resume token is not of this shop and watch; use it with the watch that sent it",
            )
        })
    }

    fn read(&self, shop: &str, kind: Kind, token: &str) -> Option<Token> {
        let (progress, stream) = token.split_once('.')?;
        let positions = self
            .sealer
            .open(&bound(b"position", shop, kind), progress)?;
        let stream = BASE64.decode(stream).ok()?;
        let (stream, stream_mac) = stream.split_last_chunk::<MAC_BYTES>()?;
        let is_signed = self.mac(b"stream", shop, kind, stream).ct_eq(stream_mac);
        if !bool::from(is_signed) {
            return None;
        }
        let (up_to, seen) = positions.split_first_chunk::<POSITION_BYTES>()?;
        let up_to = read_position(*up_to);
        let progress = match seen {
            [] => Progress::at(up_to),
            seen => Progress::new(up_to, read_position(seen.try_into().ok()?)),
        };
        Some(Token {
            progress,
            stream: stream.try_into().ok()?,
        })
    }

    fn mac(&self, purpose: &[u8], shop: &str, kind: Kind, content: &[u8]) -> [u8; MAC_BYTES] {
        let data = [&bound(purpose, shop, kind), content].concat();
        let full = keyed_digest(&self.secret, &data);
        let mut short = [0; MAC_BYTES];
        short.copy_from_slice(&full[..MAC_BYTES]);
        short
    }

    /// `clientela-revision`: a position that a later read can require.
    #[must_use]
    pub fn seal_revision(&self, position: Position) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&position.xid.to_be_bytes());
        bytes[8..].copy_from_slice(&position.seq.to_be_bytes());
        self.sealer.seal(b"revision", &bytes)
    }

    /// Reads `clientela-min-revision`.
    ///
    /// # Errors
    /// INVALID_REVISION if it is not a revision of this store.
    pub fn open_revision(&self, revision: &str) -> Result<Position> {
        let bytes = self.sealer.open(b"revision", revision);
        let bytes: Option<[u8; 16]> = bytes.and_then(|bytes| bytes.try_into().ok());
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

/// Returns the data to which a half of a token is bound.
fn bound(purpose: &[u8], shop: &str, kind: Kind) -> Vec<u8> {
    let [.., kind] = kind.number().to_be_bytes();
    [purpose, shop.as_bytes(), &[0xff, kind]].concat()
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
            let first = tokens().seal_progress(shop, Kind::new(3), progress);
            (
                progress,
                first + &tokens().seal_stream(shop, Kind::new(3), stream),
            )
        })
    }

    #[test]
    fn a_token_says_what_was_sealed_in_it() {
        for (progress, token) in each("s") {
            let opened = tokens().open("s", Kind::new(3), &token).unwrap();

            assert_eq!(opened.progress, progress);
            assert_eq!(opened.stream, stream_digest(["state = OPEN", ""]));
        }
    }

    #[test]
    fn a_token_does_not_have_the_earlier_progress() {
        let sealed = |progress| tokens().seal_progress("s", Kind::new(3), progress);

        assert_eq!(
            sealed(Progress::new(AHEAD, HERE)).len(),
            sealed(Progress::at(AHEAD)).len()
        );
    }

    #[test]
    fn a_revision_says_its_position_only_to_its_store() {
        let revision = tokens().seal_revision(HERE);

        let opened = tokens().open_revision(&revision).unwrap();

        assert_eq!(opened.key(), HERE.key());
        assert!(Tokens::new([4; 32]).open_revision(&revision).is_err());
        assert!(tokens().open_revision(&revision[1..]).is_err());
        let token = tokens().seal_progress("s", Kind::new(3), Progress::at(HERE));
        assert!(tokens().open_revision(&token).is_err());
    }

    /// A writer that writes a thousand times as much as another cannot be distinguished from it.
    #[test]
    fn tokens_and_revisions_hide_their_positions() {
        let far = Position {
            seq: 1 << 40,
            ..HERE
        };
        let plain = |text: &str| BASE64.decode(text).unwrap();
        let shares_bytes = |one: &[u8], other: &[u8]| {
            let same = one.iter().zip(other).filter(|(one, other)| one == other);
            // Equal bytes: the version, and some by chance.
            same.count() > 8
        };
        let seal = |at: Position| tokens().seal_progress("s", Kind::new(3), Progress::at(at));
        let pairs = [
            (tokens().seal_revision(HERE), tokens().seal_revision(HERE)),
            (tokens().seal_revision(HERE), tokens().seal_revision(far)),
            (seal(HERE), seal(HERE)),
            (seal(HERE), seal(far)),
        ];
        for (one, other) in pairs {
            assert_eq!(one.len(), other.len());
            assert!(!shares_bytes(&plain(&one), &plain(&other)), "{one} {other}");
        }
    }

    #[test]
    fn a_token_of_another_shop_kind_or_store_is_refused() {
        for (_, token) in each("s") {
            assert!(tokens().open("t", Kind::new(3), &token).is_err());
            assert!(tokens().open("s", Kind::new(2), &token).is_err());
            assert!(
                Tokens::new([4; 32])
                    .open("s", Kind::new(3), &token)
                    .is_err()
            );
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
                    tokens().open("s", Kind::new(3), &altered).is_err(),
                    "{altered}"
                );
                assert!(tokens().open("s", Kind::new(3), &whole[..place]).is_err());
            }
        }
    }

    #[test]
    fn parameters_with_the_same_joined_text_are_distinguished() {
        assert_ne!(stream_digest(["ab", "c"]), stream_digest(["a", "bc"]));
    }
}
