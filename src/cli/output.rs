//! The output of commands: tables for people, one JSON message per line for programs.
//!
//! Texts of shoppers are shown without control characters, which could command the terminal.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write as _},
};

use jiff::tz::TimeZone;
use prost_reflect::{DynamicMessage, SerializeOptions};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::feed::{micros, timestamp};
use crate::format;
use crate::proto::{POOL, pb};

use super::failure::Failure;

/// Writes text to standard output and flushes it, so that the reader at the other end of a pipe sees it at
/// once.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Formats the message as one line of JSON, as the protobuf mapping defines it.
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

/// The alignment of a column's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text, aligned at the left.
    Left,
    /// Numbers, aligned at the right.
    Right,
}

/// The number of blank cells between two columns.
const GAP: u16 = 2;

/// Rows under headings, each column as wide as its widest cell.
#[derive(Debug)]
pub struct Table(comfy_table::Table);

impl Table {
    /// A table with these headings and no rows.
    pub fn new(headings: &[(&'static str, Align)]) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(comfy_table::presets::NOTHING)
            .set_content_arrangement(comfy_table::ContentArrangement::Disabled)
            .set_header(headings.iter().map(|(text, _)| *text));
        for (column, (_, align)) in table.column_iter_mut().zip(headings) {
            column.set_padding((0, GAP));
            column.set_cell_alignment(match align {
                Align::Left => comfy_table::CellAlignment::Left,
                Align::Right => comfy_table::CellAlignment::Right,
            });
        }
        Self(table)
    }

    /// Adds a row, with one cell for each heading.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(
            cells.len(),
            self.0.column_count(),
            "a cell for every heading"
        );
        self.0.add_row(cells.iter().map(|cell| plain(cell)));
    }

    /// The whole table.
    pub fn text(&self) -> String {
        format!("{}\n", self.0.trim_fmt())
    }
}

/// The fields of one resource, one below the other. Empty fields are left out.
#[derive(Debug, Default)]
pub struct Fields(Vec<(Cow<'static, str>, String)>);

impl Fields {
    /// Adds a field, unless it is empty.
    pub fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> &mut Self {
        let value = plain(&value.into());
        if !value.is_empty() {
            self.0.push((name.into(), value));
        }
        self
    }

    /// All fields, names in one column and values in another.
    pub fn text(&self) -> String {
        let width = self
            .0
            .iter()
            .map(|(name, _)| name.width())
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
    // Besides control characters, these change the direction of writing.
    let commands = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if commands(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The text, cut to a number of cells and then marked as cut. Wide characters take two cells.
pub fn cut(text: &str, cells: usize) -> String {
    if text.width() <= cells {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if kept.width() + c.width().unwrap_or_default() + 1 > cells {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The text, padded with blanks to a number of cells.
pub fn pad(text: &str, cells: usize) -> String {
    let missing = cells.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

/// An amount with its currency, for example `12.50 EUR`; empty if absent.
///
/// It has the decimals of the currency's smallest unit (none for JPY, three for BHD), and more if the amount
/// is not a whole number of units.
pub fn money(amount: Option<&pb::Money>) -> String {
    let Some(amount) = amount else {
        return String::new();
    };
    let (sign, micros) = (
        if amount.micros < 0 { "-" } else { "" },
        amount.micros.unsigned_abs(),
    );
    // An unknown currency has cents, as most do.
    let places = format::currency_places(&amount.currency_code).unwrap_or(2);
    let mut fraction = format!("{:06}", micros % 1_000_000);
    while fraction.len() > places as usize && fraction.ends_with('0') {
        fraction.pop();
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!(
        "{sign}{}{point}{fraction} {}",
        micros / 1_000_000,
        amount.currency_code
    )
}

/// A time to the second with its zone, for example `2026-11-22 14:03:07 CET`; empty if absent. The zone is
/// that of this machine if it is known, else UTC.
pub fn time(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(local)
        .map(|time| time.strftime("%F %T %Z").to_string())
        .unwrap_or_default()
}

/// The time of day with its zone, for example `14:03:07 CET`.
pub fn time_of_day(time: &prost_types::Timestamp) -> String {
    formatted(time, "%T %Z")
}

/// The time of day without its zone, for screens that show the zone elsewhere.
pub fn bare_time_of_day(time: &prost_types::Timestamp) -> String {
    formatted(time, "%T")
}

/// The zone of the displayed times, at this time in microseconds.
pub fn zone(now: i64) -> String {
    formatted(&timestamp(now), "%Z")
}

fn formatted(time: &prost_types::Timestamp, format: &str) -> String {
    local(time)
        .map(|time| time.strftime(format).to_string())
        .unwrap_or_default()
}

fn local(time: &prost_types::Timestamp) -> Option<jiff::Zoned> {
    let time = jiff::Timestamp::from_microsecond(micros(time)).ok()?;
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    Some(time.to_zoned(zone))
}

/// A duration in the two largest units: `12s`, `3m07s`, `2h05m`, `4d06h`.
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

/// The name of an enum value without the enum's prefix, in lower case: `STATE_OPEN` is `open`.
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix)
        .unwrap_or(name)
        .to_lowercase()
        .replace('_', " ")
}

/// A number of things: `1 cart`, `2 carts`.
pub fn count(number: impl TryInto<i64>, thing: &str) -> String {
    match number.try_into().unwrap_or(i64::MAX) {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

/// `yes` or nothing.
pub fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "" }
}

/// The full name of a resource, from its name or only its id.
pub fn full_name(collection: &str, given: &str) -> String {
    if given.contains('/') {
        given.to_owned()
    } else {
        format!("{collection}/{given}")
    }
}

/// The last segment of a name.
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
    fn wide_characters_take_two_cells() {
        let mut table = Table::new(&[("name", Align::Left), ("total", Align::Right)]);
        table.row(vec!["王小明".into(), "1.00 EUR".into()]);
        table.row(vec!["Élodie B".into(), "12.00 EUR".into()]);

        assert_eq!(
            table.text(),
            "name          total\n王小明     1.00 EUR\nÉlodie B  12.00 EUR\n"
        );
        assert_eq!(cut("王小明", 6), "王小明");
        assert_eq!(cut("王小明", 5), "王小…");
        assert_eq!(cut("王小明", 4), "王…");
        assert_eq!(cut("Ada Brook", 8), "Ada Bro…");
        assert_eq!(pad("王", 4), "王  ");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{202e}c\n"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}"
        );
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency_and_those_they_need() {
        let shown = |micros, currency: &str| {
            money(Some(&pb::Money {
                currency_code: currency.into(),
                micros,
            }))
        };

        assert_eq!(shown(12_500_000, "EUR"), "12.50 EUR");
        assert_eq!(shown(-500_000, "EUR"), "-0.50 EUR");
        assert_eq!(shown(13_445_378, "EUR"), "13.445378 EUR");
        assert_eq!(shown(1_200_000_000, "JPY"), "1200 JPY");
        assert_eq!(shown(1_500_000, "JPY"), "1.5 JPY");
        assert_eq!(shown(1_500_000, "BHD"), "1.500 BHD");
        assert_eq!(shown(1_000_000, "ZZZ"), "1.00 ZZZ");
        assert_eq!(money(None), "");
    }

    #[test]
    fn times_have_a_zone() {
        let shown = time(Some(&timestamp(1_769_860_800_000_000)));

        let words: Vec<&str> = shown.split(' ').collect();
        assert_eq!(words.len(), 3, "{shown}");
        assert_eq!(words[2], zone(1_769_860_800_000_000));
        assert!(time_of_day(&timestamp(0)).ends_with(&zone(0)));
        assert_eq!(bare_time_of_day(&timestamp(0)).len(), "14:03:07".len());
        assert_eq!(time(None), "");
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
    fn one_thing_is_not_called_things() {
        assert_eq!(count(1, "cart"), "1 cart");
        assert_eq!(count(0, "cart"), "0 carts");
        assert_eq!(count(2_usize, "piece"), "2 pieces");
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
