//! Ids, marks and random bytes that nobody can guess and that never repeat.

use rand::RngExt as _;

/// Creates an id: a UUID of version 7 in lower case, so that later ids sort later.
#[must_use]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().hyphenated().to_string()
}

/// Creates a random 64-bit mark, which distinguishes a row of the change log from another at the same
/// position.
#[must_use]
pub fn new_mark() -> i64 {
    rand::rng().random()
}

/// Creates random bytes for a secret.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    rand::rng().random()
}

/// Encodes bytes as hexadecimal digits.
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
