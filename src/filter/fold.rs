//! Folds text for search. Two texts fold to the same text if they differ only in case, accents, compatibility
//! forms, or in signs that people omit or type differently. Stored columns depend on this. After a change,
//! increase `INDEX_VERSION` of the customers, and fold the columns of carts again in a migration.
//!
//! Invariant: each character folds by itself, so a part of a text folds to a part of its fold.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Folds case, accents and signs: `Ångström` and `ANGSTROM` both become `angstrom`, `Straße` `strasse`,
/// `O’Brien` `obrien`. All dashes become `-`.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        let mut folded = text.to_ascii_lowercase();
        folded.retain(|character| !is_left_out(character));
        return folded;
    }
    let mut folded = String::with_capacity(text.len());
    // Only marks that attach to a letter (a combining class other than 0) are accents. Vowel signs of Indic
    // scripts are class 0 and distinguish words.
    for character in text
        .chars()
        .filter(|character| !is_left_out(*character))
        .nfkd()
        .filter(|character| canonical_combining_class(*character) == 0)
        .filter(|character| !is_left_out(*character))
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

/// Signs within a word that people omit: apostrophes, the Arabic tatweel, invisible characters.
fn is_left_out(character: char) -> bool {
    matches!(
        character,
        '\'' | '`' | '´' | '‘' | '’' | '‚' | '‛' | '′' | '＇' | '｀'
            | '\u{2b9}'..='\u{2bf}' | '\u{2c8}' | '\u{2ca}' | '\u{2cb}' | '\u{a78b}' | '\u{a78c}'
            | '\u{5f3}' // the Hebrew geresh
            | '\u{640}' // tatweel
            | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
    )
}

/// Letters that Unicode does not decompose and for which people type others, and letters, digits and dashes
/// that look alike but differ by keyboard.
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
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{5be}' => "-",
        // Yeh: Arabic, maksura, Farsi.
        '\u{649}' | '\u{6cc}' => "\u{64a}",
        // Kaf: Arabic, keheh.
        '\u{6a9}' => "\u{643}",
        // Heh: Arabic, teh marbuta, doachashmee, goal, ae.
        '\u{629}' | '\u{6be}' | '\u{6c1}' | '\u{6d5}' => "\u{647}",
        // Alef wasla.
        '\u{671}' => "\u{627}",
        '\u{660}' | '\u{6f0}' => "0",
        '\u{661}' | '\u{6f1}' => "1",
        '\u{662}' | '\u{6f2}' => "2",
        '\u{663}' | '\u{6f3}' => "3",
        '\u{664}' | '\u{6f4}' => "4",
        '\u{665}' | '\u{6f5}' => "5",
        '\u{666}' | '\u{6f6}' => "6",
        '\u{667}' | '\u{6f7}' => "7",
        '\u{668}' | '\u{6f8}' => "8",
        '\u{669}' | '\u{6f9}' => "9",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn texts_that_differ_in_case_and_accents_are_equal() {
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
            (
                "O'Brien O’Brien O`Brien OBrien",
                "obrien obrien obrien obrien",
            ),
            ("Jean‑Luc Jean–Luc", "jean-luc jean-luc"),
            ("علی‌ـرضا", "عليرضا"),
            ("كريم کریم", "كريم كريم"),
            ("فاطمة ٠٩", "فاطمه 09"),
            ("'ـ\u{301}\u{200b}", ""),
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
