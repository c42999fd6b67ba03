//! Text in cells: any text, in exactly the cells that it is given.
//!
//! Terminals disagree about the width of joined emoji, flags, marks and control characters. Those that
//! reorder right-to-left text reorder the text beside it, too. So text is reduced to a form on which all
//! agree: single characters of one or two cells, each with at most two marks.

use ratatui_core::{
    buffer::{Buffer, CellWidth as _},
    style::Style,
};
use unicode_normalization::UnicodeNormalization as _;
use unicode_width::UnicodeWidthChar as _;

/// The most marks of a character.
const MARKS_MAX: usize = 2;
/// Ends text with right-to-left characters, so that the following text is not reordered with it.
const LEFT_TO_RIGHT: char = '\u{200e}';
const UNKNOWN: char = '\u{fffd}';
const CUT: &str = "…";

/// The content of one or two cells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    text: String,
    width: usize,
}

/// Writes text from a cell on, in at most `width` cells; longer text ends with `…`. Returns the number of
/// cells that it took.
pub fn put(buffer: &mut Buffer, (x, y): (u16, u16), width: u16, text: &str, style: Style) -> u16 {
    let area = *buffer.area();
    if y < area.top() || y >= area.bottom() || x < area.left() {
        return 0;
    }
    let room = usize::from(width.min(area.right().saturating_sub(x)));
    if is_simple(text, room) {
        return put_simple(buffer, (x, y), room, text, style);
    }
    let mut at = x;
    for piece in pieces(text, room) {
        let Some(cell) = buffer.cell_mut((at, y)) else {
            break;
        };
        cell.set_symbol(&piece.text).set_style(style);
        at += 1;
        for _ in 1..piece.width {
            if let Some(cell) = buffer.cell_mut((at, y)) {
                cell.reset();
                cell.set_style(style);
            }
            at += 1;
        }
    }
    at - x
}

/// As [`put`], aligned to the right end of the room.
pub fn put_right(buffer: &mut Buffer, (x, y): (u16, u16), width: u16, text: &str, style: Style) {
    let taken = wide(text, width);
    put(buffer, (x + width - taken, y), taken, text, style);
}

/// The number of cells of the text, at most `width`.
pub fn wide(text: &str, width: u16) -> u16 {
    let room = usize::from(width);
    let taken = match is_simple(text, room) {
        true => text.len().min(room),
        false => pieces(text, room).iter().map(|piece| piece.width).sum(),
    };
    u16::try_from(taken).unwrap_or(width)
}

/// Whether the part of the text that may be shown has one cell per character, as nearly all texts do.
fn is_simple(text: &str, room: usize) -> bool {
    let looked_at = &text.as_bytes()[..text.len().min(room + 1)];
    looked_at.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

fn put_simple(
    buffer: &mut Buffer,
    (x, y): (u16, u16),
    room: usize,
    text: &str,
    style: Style,
) -> u16 {
    let shown = match text.len() <= room {
        true => text.len(),
        false => room.saturating_sub(1),
    };
    let mut at = x;
    for byte in &text.as_bytes()[..shown] {
        buffer[(at, y)].set_char(char::from(*byte)).set_style(style);
        at += 1;
    }
    if shown < text.len() && room > 0 {
        buffer[(at, y)].set_symbol(CUT).set_style(style);
        at += 1;
    }
    at - x
}

/// Splits the text into pieces that take at most `width` cells.
fn pieces(text: &str, width: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut taken, mut marks, mut joined) = (0, 0, false);
    let mut turned = false;
    // Only as much as may be shown is examined, with an allowance for omitted characters.
    let looked_at = text.chars().take(width * 8 + 64);
    for c in looked_at.nfc() {
        let last_is_wide = pieces.last().is_some_and(|piece| piece.width == 2);
        let c = match c {
            '\u{200d}' => {
                joined = last_is_wide;
                continue;
            }
            // Skin tones.
            '\u{1f3fb}'..='\u{1f3ff}' if last_is_wide => continue,
            c if is_unseen(c) => continue,
            c if commands(c) => UNKNOWN,
            // A flag is two letters, each of which may take one cell or two.
            '\u{1f1e6}'..='\u{1f1ff}' => letter_of_flag(c),
            c => c,
        };
        let cells = c.width().unwrap_or(1);
        if cells == 0 {
            marks += 1;
            if let Some(last) = pieces.last_mut().filter(|_| marks <= MARKS_MAX) {
                last.text.push(c);
                if last.text.cell_width() != u16::try_from(last.width).unwrap_or_default() {
                    // The letter and the mark together would have another width.
                    last.text.pop();
                }
            }
            continue;
        }
        if std::mem::take(&mut joined) {
            continue;
        }
        marks = 0;
        if taken + cells > width {
            return cut(pieces, width, turned);
        }
        turned |= is_right_to_left(c);
        let mut piece = Piece {
            text: c.to_string(),
            width: cells,
        };
        if piece.text.cell_width() != u16::try_from(cells).unwrap_or_default() {
            piece.text = UNKNOWN.to_string();
            piece.width = 1;
        }
        taken += piece.width;
        pieces.push(piece);
    }
    settle(&mut pieces, turned);
    pieces
}

/// Makes room for the sign that text was cut.
fn cut(mut pieces: Vec<Piece>, width: usize, turned: bool) -> Vec<Piece> {
    let mut taken: usize = pieces.iter().map(|piece| piece.width).sum();
    while taken + 1 > width {
        match pieces.pop() {
            Some(piece) => taken -= piece.width,
            None => return pieces,
        }
    }
    pieces.push(Piece {
        text: CUT.to_owned(),
        width: 1,
    });
    settle(&mut pieces, turned);
    pieces
}

fn settle(pieces: &mut [Piece], turned: bool) {
    if let Some(last) = pieces.last_mut().filter(|_| turned) {
        last.text.push(LEFT_TO_RIGHT);
    }
}

/// Whether the character would command the terminal, or the direction of writing.
fn commands(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
}

/// Whether the character has no shape of its own, and no agreed width.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200c}' | '\u{2060}'..='\u{2065}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

fn letter_of_flag(c: char) -> char {
    let offset = u32::from(c).saturating_sub(0x1_f1e6);
    char::from_u32(u32::from('A') + offset).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui_core::layout::Rect;

    use super::*;

    /// The content of the cells. A wide character is followed by an empty cell.
    fn drawn(text: &str, width: u16) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width + 2, 1));
        put(&mut buffer, (0, 0), width, text, Style::new());
        let cells = buffer.content();
        assert_eq!(cells[usize::from(width)].symbol(), " ", "{text:?}");
        let mut line = String::new();
        let mut at = 0;
        while at < usize::from(width) {
            line.push_str(cells[at].symbol());
            at += usize::from(cells[at].cell_width().max(1));
        }
        line.trim_end().to_owned()
    }

    #[test]
    fn plain_text_is_cut_to_its_cells() {
        assert_eq!(drawn("Ada Brook", 9), "Ada Brook");
        assert_eq!(drawn("Ada Brook", 8), "Ada Bro…");
        assert_eq!(drawn("Ada Brook", 1), "…");
        assert_eq!(drawn("Ada Brook", 0), "");
        assert_eq!(drawn(&"x".repeat(10_000), 5), "xxxx…");
    }

    #[test]
    fn wide_characters_take_two_cells_and_are_never_halved() {
        assert_eq!(drawn("日本語", 6), "日本語");
        assert_eq!(drawn("日本語", 5), "日本…");
        assert_eq!(drawn("日本語", 4), "日…");
        assert_eq!(drawn("日本語", 2), "…");
    }

    #[test]
    fn emoji_are_simplified_for_every_terminal() {
        assert_eq!(drawn("👩‍👩‍👧‍👦 family", 20), "👩 family");
        assert_eq!(drawn("👍🏽 ok", 20), "👍 ok");
        assert_eq!(drawn("🇫🇷", 20), "FR");
        assert_eq!(drawn("❤️", 20), "❤");
    }

    #[test]
    fn marks_stay_with_their_letter_and_do_not_pile_up() {
        assert_eq!(drawn("e\u{301}t", 20), "ét");
        let piled = format!("a{}b", "\u{323}\u{334}\u{33f}".repeat(3));
        assert_eq!(drawn(&piled, 20).chars().filter(|c| *c == 'b').count(), 1);
        assert!(drawn(&piled, 20).chars().count() <= 4);
        let many = format!("a{}", "\u{300}".repeat(10_000));
        assert!(drawn(&many, 20).chars().count() <= 3);
    }

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(
            drawn("a\u{1b}[2Jb\n\t\u{7}", 20),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(drawn("a\u{202e}b\u{2066}", 20), "a\u{fffd}b\u{fffd}");
        assert_eq!(drawn("<b>&amp;</b>", 20), "<b>&amp;</b>");
    }

    #[test]
    fn right_to_left_text_ends_with_a_mark_that_keeps_what_follows_in_place() {
        assert_eq!(drawn("שלום", 20), "שלום\u{200e}");
        assert_eq!(drawn("مرحبا بالعالم", 6), "مرحبا…\u{200e}");
        assert_eq!(drawn("لا", 20), "لا\u{200e}");
    }

    #[test]
    fn text_at_the_right_ends_where_the_room_ends() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
        put_right(&mut buffer, (2, 0), 8, "9 日", Style::new());
        assert_eq!(buffer.content()[6].symbol(), "9");
        assert_eq!(buffer.content()[8].symbol(), "日");
    }

    proptest! {
        #[test]
        fn no_text_takes_more_cells_than_it_has(text in any::<String>(), width in 0_usize..30) {
            let pieces = pieces(&text, width);

            prop_assert!(pieces.iter().map(|piece| piece.width).sum::<usize>() <= width);
            for piece in pieces {
                let counted = usize::from(piece.text.cell_width());
                prop_assert_eq!(counted, piece.width, "{:?}", piece.text);
                prop_assert!(!piece.text.chars().any(|c| c != LEFT_TO_RIGHT && (commands(c) || is_unseen(c))));
            }
        }
    }
}
