//! How commands print: tables for people, one JSON message per line for programs.
//!
//! What a shopper typed is shown without control characters, which could command the terminal.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use prost_reflect::{DynamicMessage, SerializeOptions};

use crate::feed::micros;
use crate::proto::{POOL, pb};

use super::failure::Failure;

/// Writes text to standard output and flushes it, so that a reader at the other end of a pipe sees
/// it at once.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// The message as one line of JSON, as the protobuf mapping defines it.
pub fn json<M: prost::Message + prost::Name>(message: &M) -> Result<String, Failure> {
    let name = M::full_name();
    let descriptor = POOL
        .get_message_by_name(&name)
        .ok_or_else(|| Failure::new(format!("{name} is not a message of the contract")))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut line);
    message
        .serialize_with_options(&mut serializer, &SerializeOptions::new())
        .map_err(|error| Failure::new(error.to_string()))?;
    line.push(b'\n');
    String::from_utf8(line).map_err(|error| Failure::new(error.to_string()))
}

/// How a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text begins where its heading does.
    Left,
    /// Numbers end where their heading does.
    Right,
}

/// Rows under headings, each column as wide as its widest cell.
#[derive(Debug)]
pub struct Table {
    headings: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings and no rows.
    pub fn new(headings: &[(&'static str, Align)]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; its cells stand under the headings in their order.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headings.len(), "a cell for every heading");
        self.rows
            .push(cells.iter().map(|cell| plain(cell)).collect());
    }

    /// The whole table.
    pub fn text(&self) -> String {
        let mut widths: Vec<usize> = self.headings.iter().map(|(text, _)| text.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let headings: Vec<String> = self
            .headings
            .iter()
            .map(|(text, _)| (*text).to_owned())
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.headings) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                let width = *width;
                match align {
                    Align::Left => write!(line, "{cell:<width$}"),
                    Align::Right => write!(line, "{cell:>width$}"),
                }
                .expect("a String takes everything");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The fields of one resource below each other; empty ones are left out.
#[derive(Debug, Default)]
pub struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// Adds a field, unless it is empty.
    pub fn add(&mut self, name: &'static str, value: impl Into<String>) -> &mut Self {
        let value = plain(&value.into());
        if !value.is_empty() {
            self.0.push((name, value));
        }
        self
    }

    /// All fields, names in one column and values in another.
    pub fn text(&self) -> String {
        let width = self
            .0
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or_default();
        self.0
            .iter()
            .fold(String::new(), |mut text, (name, value)| {
                writeln!(text, "{name:<width$}  {value}").expect("a String takes everything");
                text
            })
    }
}

/// The text without characters that command a terminal.
pub fn plain(text: &str) -> String {
    // Besides control characters: the ones that turn the direction of writing.
    let commands = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if commands(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The text cut to a number of characters, with a sign that it was.
pub fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// An amount with its currency, as `12.50 EUR`; empty if absent.
pub fn money(amount: Option<&pb::Money>) -> String {
    let Some(amount) = amount else {
        return String::new();
    };
    let (sign, micros) = (
        if amount.micros < 0 { "-" } else { "" },
        amount.micros.unsigned_abs(),
    );
    let mut fraction = format!("{:06}", micros % 1_000_000);
    while fraction.len() > 2 && fraction.ends_with('0') {
        fraction.pop();
    }
    format!(
        "{sign}{}.{fraction} {}",
        micros / 1_000_000,
        amount.currency_code
    )
}

/// A time to the second, as `2026-11-22 14:03:07`, in the time zone of this machine if it is known,
/// else UTC; empty if absent.
pub fn time(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(local)
        .map(|time| time.strftime("%F %T").to_string())
        .unwrap_or_default()
}

/// The time of day, as `14:03:07`.
pub fn time_of_day(time: &prost_types::Timestamp) -> String {
    local(time)
        .map(|time| time.strftime("%T").to_string())
        .unwrap_or_default()
}

fn local(time: &prost_types::Timestamp) -> Option<jiff::Zoned> {
    let time = jiff::Timestamp::from_microsecond(micros(time)).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::system()))
}

/// How long, in the two largest units: `12s`, `3m07s`, `2h05m`, `4d06h`.
pub fn duration(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if minutes == 0 {
        format!("{seconds}s")
    } else if hours == 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else {
        format!("{days}d{:02}h", hours % 24)
    }
}

/// The name of an enum value without the enum's own, in lower case: `STATE_OPEN` is `open`.
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix)
        .unwrap_or(name)
        .to_lowercase()
        .replace('_', " ")
}

/// `yes` or nothing.
pub fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "" }
}

/// The full name of a resource of which people may give only the id.
pub fn full_name(collection: &str, given: &str) -> String {
    if given.contains('/') {
        given.to_owned()
    } else {
        format!("{collection}/{given}")
    }
}

/// The last part of a name.
pub fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("name", Align::Left), ("total", Align::Right)]);
        table.row(vec!["Ada".into(), "1.00 EUR".into()]);
        table.row(vec!["Élodie".into(), "12.00 EUR".into()]);

        assert_eq!(
            table.text(),
            "name        total\nAda      1.00 EUR\nÉlodie  12.00 EUR\n"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{202e}c\n"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}"
        );
    }

    #[test]
    fn amounts_show_as_many_places_as_they_have_and_two_at_least() {
        let shown = |micros| {
            money(Some(&pb::Money {
                currency_code: "EUR".into(),
                micros,
            }))
        };

        assert_eq!(shown(12_500_000), "12.50 EUR");
        assert_eq!(shown(-500_000), "-0.50 EUR");
        assert_eq!(shown(13_445_378), "13.445378 EUR");
        assert_eq!(money(None), "");
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let shown = |seconds: i64| duration(seconds * 1_000_000);

        assert_eq!(shown(-3), "0s");
        assert_eq!(shown(59), "59s");
        assert_eq!(shown(187), "3m07s");
        assert_eq!(shown(7_500), "2h05m");
        assert_eq!(shown(100 * 3_600), "4d04h");
    }

    #[test]
    fn a_message_is_one_line_of_json() {
        let money = pb::Money {
            currency_code: "EUR".into(),
            micros: 5,
        };

        assert_eq!(
            json(&money).unwrap(),
            "{\"currencyCode\":\"EUR\",\"micros\":\"5\"}\n"
        );
    }

    #[test]
    fn an_id_is_enough_of_a_name() {
        assert_eq!(full_name("carts", "c1"), "carts/c1");
        assert_eq!(full_name("carts", "carts/c1"), "carts/c1");
        assert_eq!(id("carts/c1"), "c1");
    }
}
