//! Search texts in ASCII, and the scripts that put no blanks between words.
//!
//! A folded text has no capital letters of ASCII, so these encode all other characters. The first letter of
//! an encoded character gives the number of letters that follow, and is none of those. So a part of a text is
//! found only where its characters begin.

/// Characters below this take three letters.
const SHORT: u32 = 0x800;
/// Characters below this take five letters, all others six.
const MEDIUM: u32 = 0x1_0000;

/// Appends a folded text, in ASCII.
pub(super) fn push_ascii(text: &mut String, folded: &str) {
    for character in folded.chars() {
        if character.is_ascii() {
            text.push(character);
            continue;
        }
        let code = u32::from(character);
        let (first, code, digits) = match code {
            ..SHORT => (b'S' + (code >> 8) as u8, code, 2),
            SHORT..MEDIUM => (b'Q', code, 4),
            MEDIUM.. => (b'R', code - MEDIUM, 5),
        };
        text.push(char::from(first));
        for digit in (0..digits).rev() {
            let nibble = (code >> (4 * digit)) & 0xf;
            text.push(char::from(b'A' + nibble as u8));
        }
    }
}

/// Whether a folded character is of a script that writes words or names without blanks between them.
pub(super) fn has_no_blanks(character: char) -> bool {
    matches!(
        character,
        '\u{e00}'..='\u{109f}'        // Thai, Lao, Tibetan, Myanmar
            | '\u{1100}'..='\u{11ff}' // Hangul, whose syllables fold to these
            | '\u{1780}'..='\u{17ff}' // Khmer
            | '\u{1950}'..='\u{1aaf}' // Tai Le, New Tai Lue, Khmer symbols, Tai Tham
            | '\u{1b00}'..='\u{1b7f}' // Balinese
            | '\u{2e80}'..='\u{2fdf}' // radicals
            | '\u{3005}'..='\u{3007}'
            | '\u{3021}'..='\u{3029}'
            | '\u{3031}'..='\u{30fa}' // kana
            | '\u{30fc}'..='\u{4dbf}' // kana, Bopomofo, Han
            | '\u{4e00}'..='\u{a4cf}' // Han, Yi
            | '\u{a960}'..='\u{a9ff}' // Hangul, Javanese, Myanmar
            | '\u{aa60}'..='\u{aadf}' // Myanmar, Tai Viet
            | '\u{ac00}'..='\u{d7ff}' // Hangul
            | '\u{f900}'..='\u{faff}' // Han
            | '\u{17000}'..='\u{18dff}' // Tangut, Khitan
            | '\u{1aff0}'..='\u{1b2ff}' // kana, Nushu
            | '\u{20000}'..='\u{3ffff}' // Han
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascii(text: &str) -> String {
        let mut out = String::new();
        push_ascii(&mut out, text);
        out
    }

    #[test]
    fn a_text_becomes_ascii_and_stays_what_it_is() {
        assert_eq!(ascii("ada 7"), "ada 7");
        assert_eq!(ascii("ж"), "WDG");
        assert_eq!(ascii("明"), "QGGAO");
        assert_eq!(ascii("𠀀"), "RBAAAA");
    }

    #[test]
    fn a_part_is_found_only_where_characters_begin() {
        let texts = [
            "ж", "жж", "明", "明a", "a明", "𠀀", "小明", "жa", "ш", "\u{7ff}", "\u{ffff}",
        ];
        for text in texts {
            for part in texts {
                let found = ascii(text).contains(&ascii(part));
                assert_eq!(found, text.contains(part), "{part} in {text}");
            }
        }
    }
}
