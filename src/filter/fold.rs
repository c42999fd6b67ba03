//! Folding of text for search: two texts that differ only in case, accents or compatibility forms
//! fold to the same text. Stored folded columns depend on it, so a change needs a migration that
//! folds them again.
//!
//! Invariant: each character folds by itself, so a part of a text folds to a part of its fold.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Folds case and accents: `Ångström` and `ANGSTROM` both become `angstrom`, `Straße` `strasse`.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    // Only marks that attach to a letter (a combining class other than 0) are accents; vowel signs
    // of Indic scripts are class 0 and tell words apart.
    for character in text
        .nfkd()
        .filter(|character| canonical_combining_class(*character) == 0)
    {
        for lower in character.to_lowercase() {
            match letters_of(lower) {
                Some(letters) => folded.push_str(letters),
                None => folded.push(lower),
            }
        }
    }
    folded
}

/// Letters that Unicode does not decompose and that people type without.
fn letters_of(lower: char) -> Option<&'static str> {
    Some(match lower {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ŧ' => "t",
        'ı' => "i",
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_and_accents_do_not_tell_texts_apart() {
        for (text, folded) in [
            ("Ångström", "angstrom"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("ẞ", "ss"),
            ("Łódź", "lodz"),
            ("Æsir Œuvre Þór", "aesir oeuvre thor"),
            ("İstanbul ISPARTA ısı", "istanbul isparta isi"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("Οδυσσεύς", "οδυσσευσ"),
            ("ﬁn ２", "fin 2"),
            ("Ёлка", "елка"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn composed_and_decomposed_texts_fold_to_the_same() {
        assert_eq!(fold("Zo\u{eb}"), fold("Zoe\u{308}"));
    }

    #[test]
    fn folding_twice_changes_nothing_for_any_character() {
        for character in '\0'..=char::MAX {
            let once = fold(character.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&once), once, "{character:?}");
        }
    }
}
