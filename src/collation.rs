//! Sort keys of texts in the order of a language, by the Unicode Collation Algorithm with the tailorings of
//! CLDR.
//!
//! A key is stored beside its text, and keys are compared byte by byte, so both engines sort alike. Keys of
//! different languages, or of different releases of `icu_collator`, are not comparable. With an update of
//! that crate, increase `INDEX_VERSION` of the customers.

use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorPreferences};

use crate::ids;
use crate::limits::SORT_KEY_BYTES_MAX;

/// The sort key of a text in a language, given as a language tag. A language without its own order uses the
/// one for all languages.
#[must_use]
pub fn sort_key(language: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let preferences = preferences(language);
    let options = CollatorOptions::default();
    let collator = Collator::try_new(preferences, options)
        .or_else(|_| Collator::try_new(CollatorPreferences::default(), options))
        .expect("the order of all languages is compiled in");
    let mut key = Vec::new();
    let Ok(()) = collator.write_sort_key_to(text, &mut key);
    // Texts whose keys differ only after this many bytes are ordered by their names.
    key.truncate(SORT_KEY_BYTES_MAX);
    ids::hex(&key)
}

fn preferences(language: &str) -> CollatorPreferences {
    let locale = language.parse::<icu_locale_core::Locale>();
    locale
        .map(|locale| CollatorPreferences::from(&locale))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<const N: usize>(language: &str, mut names: [&'static str; N]) -> [&'static str; N] {
        names.sort_by_key(|name| sort_key(language, name));
        names
    }

    #[test]
    fn each_language_has_its_order() {
        assert_eq!(
            sorted("de", ["Zorn", "Öl", "Oz", "ahorn"]),
            ["ahorn", "Öl", "Oz", "Zorn"]
        );
        assert_eq!(
            sorted("sv", ["Zorn", "Öl", "Oz", "Åke"]),
            ["Oz", "Zorn", "Åke", "Öl"]
        );
        assert_eq!(
            sorted("cs", ["Chyba", "Citron", "Hora"]),
            ["Citron", "Hora", "Chyba"]
        );
        assert_eq!(sorted("zh", ["王", "李", "安"]), ["安", "李", "王"]);
        assert_eq!(sorted("de-CH", ["b", "ä", "a"]), ["a", "ä", "b"]);
    }

    #[test]
    fn a_tag_that_is_unknown_or_none_has_the_order_of_all_languages() {
        for language in ["xx", "", "not a tag"] {
            assert_eq!(
                sorted(language, ["b", "Ä", "a"]),
                ["a", "Ä", "b"],
                "{language}"
            );
        }
    }

    #[test]
    fn keys_have_a_greatest_length() {
        let long = "王".repeat(1_000);

        assert!(sort_key("zh", &long).len() <= 2 * SORT_KEY_BYTES_MAX);
        assert_eq!(sort_key("de", ""), "");
    }
}
