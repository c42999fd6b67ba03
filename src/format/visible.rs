//! Invisible characters: two texts that differ only in such characters look the same.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// A blank of the Braille patterns. It prints nothing, though Unicode counts it among the symbols.
const BRAILLE_BLANK: char = '\u{2800}';

/// Whether `text` has an invisible character that is not a blank: a format character such as the zero width
/// space, a separator of lines or paragraphs, or a filler that fonts omit.
pub fn has_invisible_character(text: &str) -> bool {
    // Characters of ASCII print, or are blanks or control characters.
    !text.is_ascii() && text.chars().any(is_invisible)
}

/// Whether `text` has no visible character: it is empty, or has only blanks, control characters and invisible
/// characters.
pub fn is_blank(text: &str) -> bool {
    let prints_nothing = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
    text.chars().all(prints_nothing)
}

fn is_invisible(c: char) -> bool {
    let separates = |c| {
        let category = CodePointMapData::<GeneralCategory>::new().get(c);
        matches!(
            category,
            GeneralCategory::Format
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        )
    };
    !c.is_ascii()
        && (c == BRAILLE_BLANK
            || separates(c)
            || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One or two of each kind: format characters, separators, and fillers of other categories.
    const INVISIBLE: [char; 15] = [
        '\u{ad}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{202e}',
        '\u{2060}',
        '\u{feff}',
        '\u{e0041}',
        '\u{2028}',
        '\u{2029}',
        '\u{34f}',
        '\u{115f}',
        '\u{3164}',
        '\u{fe0f}',
        BRAILLE_BLANK,
    ];

    #[test]
    fn invisible_characters_are_found_anywhere_in_a_text() {
        for c in INVISIBLE {
            assert!(has_invisible_character(&format!("a{c}b")), "{c:?}");
            assert!(is_blank(&format!(" {c}")), "{c:?}");
        }
        for text in ["", "a b", "Žluťoučký 🐎", "王小明", "a\u{a0}b", "e\u{301}"] {
            assert!(!has_invisible_character(text), "{text}");
        }
    }

    #[test]
    fn a_text_of_blanks_is_blank_and_no_other_is() {
        for text in ["", " ", "\t\n", "\u{a0}", "\u{3000} \u{2003}", "\u{2800}"] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in [".", " a", "\u{200b}é", "🐎"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
