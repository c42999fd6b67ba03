//! Names and marks that nobody can guess and that never meet twice.

use rand::RngExt as _;

/// A new id: a UUID of version 7 in lower case, so that ids made later sort later.
#[must_use]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().hyphenated().to_string()
}

/// A random 64-bit mark, with which a row of the change log is told from another at its place.
#[must_use]
pub fn new_mark() -> i64 {
    rand::rng().random()
}

/// Random bytes for a secret.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    rand::rng().random()
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let text = String::with_capacity(2 * bytes.len());
    bytes.iter().fold(text, |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<String> = (0..100).map(|_| new_id()).collect();

        assert!(ids.is_sorted());
        assert!(
            ids.iter()
                .all(|id| id.len() == 36 && *id == id.to_lowercase())
        );
    }
}
