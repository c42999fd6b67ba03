//! The secrets of API keys: created here, stored nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::ids;

/// The prefix of every secret, by which people and scanners recognize one.
const PREFIX: &str = "clt_";

/// Creates a secret of 256 random bits.
pub fn new() -> String {
    format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(ids::random_bytes::<32>())
    )
}

/// The stored digest of a secret. A plain digest is enough, because nobody can guess 256 bits.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_the_same() {
        let (one, other) = (new(), new());

        assert!(
            one.starts_with(PREFIX) && one.len() == PREFIX.len() + 43,
            "{one}"
        );
        assert_ne!(digest(&one), digest(&other));
        assert_eq!(digest(&one), digest(&one));
    }
}
