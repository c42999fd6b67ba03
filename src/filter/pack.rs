//! Packs lists and maps into one text column that both engines can search without JSON. Every element stands
//! between two unit separators, so that a whole element is found as a substring. The access layer refuses
//! control characters in field values.

/// Stands before and after each element.
pub(super) const SEPARATOR: char = '\u{1f}';

/// Replaces `=` within the key of a map, so that the first `=` always ends the key.
const EQUALS_IN_KEY: char = '\u{1e}';

/// The column text of a list: `␟a␟b␟`, and an empty text for a list without elements. Empty elements are
/// omitted, because a filter cannot name them.
#[must_use]
pub fn pack_list<'a>(elements: impl IntoIterator<Item = &'a str>) -> String {
    let mut packed = String::new();
    for element in elements.into_iter().filter(|element| !element.is_empty()) {
        if packed.is_empty() {
            packed.push(SEPARATOR);
        }
        push_clean(&mut packed, element);
        packed.push(SEPARATOR);
    }
    packed
}

/// The column text of a map: `␟key=value␟key=value␟`, and an empty text for an empty map.
#[must_use]
pub fn pack_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut packed = String::new();
    for (key, value) in entries {
        if packed.is_empty() {
            packed.push(SEPARATOR);
        }
        packed.push_str(&key_prefix(key)[SEPARATOR.len_utf8()..]);
        push_clean(&mut packed, value);
        packed.push(SEPARATOR);
    }
    packed
}

/// The packed text contains this if the list has the element.
pub(super) fn element(element: &str) -> String {
    format!("{SEPARATOR}{element}{SEPARATOR}")
}

/// The packed text contains this if the map has the key. The value follows.
pub(super) fn key_prefix(key: &str) -> String {
    let mut prefix = String::with_capacity(key.len() + 2);
    prefix.push(SEPARATOR);
    for character in key.chars() {
        match character {
            '=' => prefix.push(EQUALS_IN_KEY),
            SEPARATOR => prefix.push(' '),
            other => prefix.push(other),
        }
    }
    prefix.push('=');
    prefix
}

/// The packed text contains this if the map has the value under the key.
pub(super) fn entry(key: &str, value: &str) -> String {
    let mut entry = key_prefix(key);
    entry.push_str(value);
    entry.push(SEPARATOR);
    entry
}

/// A separator within an element would split it; a space keeps the rest readable.
fn push_clean(packed: &mut String, element: &str) {
    packed.extend(
        element
            .chars()
            .map(|letter| if letter == SEPARATOR { ' ' } else { letter }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_stands_between_two_separators() {
        assert_eq!(pack_list(["a", "", "b"]), "\u{1f}a\u{1f}b\u{1f}");
        assert_eq!(pack_list([]), "");
        assert_eq!(pack_map([("k", "v"), ("l", "")]), "\u{1f}k=v\u{1f}l=\u{1f}");
        assert_eq!(pack_map([]), "");
    }

    #[test]
    fn a_key_with_an_equals_sign_is_no_other_key() {
        let packed = pack_map([("a=b", "c")]);

        assert!(packed.contains(&entry("a=b", "c")));
        assert!(!packed.contains(&key_prefix("a")));
    }

    #[test]
    fn a_separator_within_an_element_does_not_make_two_of_it() {
        assert!(!pack_list(["a\u{1f}b"]).contains(&element("b")));
    }
}
