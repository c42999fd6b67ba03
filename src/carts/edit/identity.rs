//! The identity of a line: lines with the same product, variant and attributes have the same id.
//!
//! Invariant: an id is the same in every cart, process and release, whatever the order of the keys.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::ids;

/// The id of the line with this product, variant and attributes. The order of the keys does not matter.
pub fn item_id(product: &str, variant: &str, attributes: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    for part in [product, variant] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    if !attributes.is_empty() {
        feed_canonical(&mut hash, &Value::Object(attributes.clone()));
    }
    ids::hex(&hash.finalize()[..ITEM_ID_BYTES])
}

/// Enough bytes that two different lines of a cart never share an id.
const ITEM_ID_BYTES: usize = 12;

/// Hashes a value so that only equal values add the same bytes. Its numbers are those of a
/// `google.protobuf.Struct`, which are doubles.
fn feed_canonical(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Number(number) => {
            // Adding zero turns -0 into 0.
            let number = number.as_f64().unwrap_or_default() + 0.0;
            hash.update(b"d");
            hash.update(number.to_bits().to_be_bytes());
        }
        Value::String(text) => {
            hash.update(b"s");
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Value::Array(values) => {
            hash.update(b"a");
            hash.update((values.len() as u64).to_be_bytes());
            for value in values {
                feed_canonical(hash, value);
            }
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            hash.update(b"o");
            hash.update((entries.len() as u64).to_be_bytes());
            for (key, value) in entries {
                hash.update((key.len() as u64).to_be_bytes());
                hash.update(key);
                feed_canonical(hash, value);
            }
        }
    }
}
