//! Formats of single values, for example dates, e-mail addresses and resource names.
//!
//! Pure functions, used by the walk over requests and by the areas that convert text to values. None of them
//! accepts empty text: the caller decides that empty means absent.

mod addresses;
mod codes;
mod values;
mod visible;

pub use addresses::{email_claim, is_email, is_url};
pub use codes::{
    by_language, canonical_language, currency_places, is_country, is_currency, language,
};
pub use values::{date, decimal, percent, time_zone, time_zone_name};
pub use visible::{has_invisible_character, is_blank};

use crate::limits::fields::{ETAG_CHARS_MAX, REQUEST_ID_CHARS_MAX};

/// The longest segment of a resource name.
pub const ID_BYTES_MAX: usize = 63;
/// The longest number of a customer or cart.
const NUMBER_BYTES_MAX: usize = 32;

/// Whether `text` is a segment of a resource name: `[a-z0-9-]`, 1 to 63 characters.
pub fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= ID_BYTES_MAX
        && bytes
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Whether `text` is a resource name of this pattern, for example `customers/{id}`.
pub fn is_name(pattern: &str, text: &str) -> bool {
    let mut parts = text.split('/');
    for expected in pattern.split('/') {
        let Some(part) = parts.next() else {
            return false;
        };
        let fits = if expected == "{id}" {
            is_id(part)
        } else {
            part == expected
        };
        if !fits {
            return false;
        }
    }
    parts.next().is_none()
}

/// The ids in a resource name of this pattern, which has `N` of them; None if it does not match.
pub fn ids<'a, const N: usize>(pattern: &str, text: &'a str) -> Option<[&'a str; N]> {
    if !is_name(pattern, text) {
        return None;
    }
    let mut ids = [""; N];
    let mut found = 0;
    for (expected, part) in pattern.split('/').zip(text.split('/')) {
        if expected == "{id}" {
            *ids.get_mut(found)? = part;
            found += 1;
        }
    }
    (found == N).then_some(ids)
}

/// Whether `text` is the number of a customer or cart: `[A-Za-z0-9-]`, 1 to 32 characters.
pub fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NUMBER_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether `text` is a request id: 1 to 128 printable ASCII characters, not all of them blanks.
pub fn is_request_id(text: &str) -> bool {
    !is_blank(text) && text.len() <= REQUEST_ID_CHARS_MAX && is_printable_ascii(text)
}

/// Whether `text` has the form of an etag.
pub fn is_etag(text: &str) -> bool {
    !text.is_empty() && text.len() <= ETAG_CHARS_MAX && is_printable_ascii(text)
}

/// Whether `text` consists of printable ASCII characters, including the space.
pub fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether `text` has a control character. With `lines`, ends of lines and tabs are allowed.
pub fn has_control_character(text: &str, lines: bool) -> bool {
    let refused = |c: char| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'));
    if text.is_ascii() {
        text.bytes().any(|byte| refused(char::from(byte)))
    } else {
        text.chars().any(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_pattern_and_nothing_else() {
        assert!(is_name("customers/{id}", "customers/ada-1"));
        assert!(is_name(
            "customers/{id}/addresses/{id}",
            "customers/a/addresses/b"
        ));
        for text in [
            "",
            "customers",
            "customers/",
            "customers/Ada",
            "groups/ada",
            "customers/a/b",
            "customers/a/",
            "/customers/a",
            "customers/a%00",
            "customers/ä",
        ] {
            assert!(!is_name("customers/{id}", text), "{text}");
        }
        assert!(is_id(&"a".repeat(63)));
        assert!(!is_id(&"a".repeat(64)));
    }

    #[test]
    fn the_ids_of_a_name_come_in_their_order() {
        let pattern = "customers/{id}/addresses/{id}";

        assert_eq!(ids(pattern, "customers/a/addresses/b"), Some(["a", "b"]));
        assert_eq!(ids::<1>(pattern, "customers/a/addresses/b"), None);
        assert_eq!(ids::<2>(pattern, "customers/a"), None);
    }

    #[test]
    fn control_characters_are_found_in_any_script() {
        assert!(has_control_character("a\0", true));
        assert!(has_control_character("ä\u{85}", true));
        assert!(has_control_character("a\nb", false));
        assert!(!has_control_character("a\r\n\tb", true));
        assert!(!has_control_character("Žluťoučký 🐎", false));
    }
}
