//! Literals of the types with a spelling of their own: decimals, money, times, dates and `now` with an
//! offset. They are read strictly and printed canonically: the printed text reads to the same value.

use std::fmt::{self, Formatter};

use jiff::Timestamp;
use jiff::civil;

const HUNDREDTHS: i64 = 100;
const MICROS: i64 = 1_000_000;

/// One hundred years in seconds. A larger offset is a mistake; sums of an instant and a smaller one stay
/// far from overflow.
const OFFSET_SECONDS_MAX: i64 = 36_525 * 86_400;

/// Seconds of each unit of an offset, the largest first.
const UNITS: [(char, i64); 5] = [
    ('w', 604_800),
    ('d', 86_400),
    ('h', 3_600),
    ('m', 60),
    ('s', 1),
];

/// Whether a name may contain the character without quotes.
pub(super) fn is_segment_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

/// Reads a number with at most two decimals as hundredths.
pub(super) fn hundredths(text: &str) -> Option<i64> {
    decimal(text, 2, HUNDREDTHS)
}

/// Reads `100.00 EUR` as micros and currency.
pub(super) fn money(text: &str) -> Option<(i64, String)> {
    let (amount, currency) = text.trim().split_once(' ')?;
    let currency = currency.trim_start();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    Some((decimal(amount, 6, MICROS)?, currency.to_owned()))
}

/// Reads a number with at most `decimals_max` decimals, times `scale`, which is 10 to that power.
fn decimal(text: &str, decimals_max: usize, scale: i64) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (digits, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if fraction.len() > decimals_max {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<decimals_max$}").parse().ok()?;
    let value = whole
        .parse::<i64>()
        .ok()?
        .checked_mul(scale)?
        .checked_add(fraction)?;
    Some(if negative { -value } else { value })
}

/// An instant in nanoseconds among the times of the service, which are whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instant {
    /// At a microsecond since 1970.
    At(i64),
    /// Between a microsecond since 1970 and the next.
    After(i64),
}

/// Reads an RFC 3339 time with up to nine digits of a second.
pub(super) fn time(text: &str) -> Option<Instant> {
    let instant: Timestamp = text.parse().ok()?;
    let nanos = instant.as_nanosecond();
    let micros = i64::try_from(nanos.div_euclid(1_000)).ok()?;
    Some(if nanos.rem_euclid(1_000) == 0 {
        Instant::At(micros)
    } else {
        Instant::After(micros)
    })
}

/// A time that no resource has.
pub(super) fn never() -> i64 {
    Timestamp::MIN.as_microsecond()
}

/// Reads the offset in seconds from `now`, `now-30m` or `now + 2d`.
pub(super) fn clock(text: &str) -> Option<i64> {
    let rest = text.strip_prefix("now")?.trim_start();
    if rest.is_empty() {
        return Some(0);
    }
    let (sign, rest) = match (rest.strip_prefix('+'), rest.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (-1, rest),
        _ => return None,
    };
    let rest = rest.trim();
    let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| rest.ends_with(*unit))?;
    let count = rest.strip_suffix(unit)?;
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let offset = count.parse::<i64>().ok()?.checked_mul(seconds)?;
    (offset <= OFFSET_SECONDS_MAX).then_some(sign * offset)
}

/// Whether this is a calendar date in the form `YYYY-MM-DD` of the columns.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == "YYYY-MM-DD".len()
        && text
            .parse::<civil::Date>()
            .is_ok_and(|date| date.to_string() == text)
}

pub(super) fn print_hundredths(value: i64, out: &mut Formatter<'_>) -> fmt::Result {
    let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    write!(out, "{sign}{}.{:02}", value / 100, value % 100)
}

pub(super) fn print_money(micros: i64, out: &mut Formatter<'_>) -> fmt::Result {
    let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let fraction = format!("{:06}", micros % MICROS.unsigned_abs());
    let (cents, finer) = fraction.split_at(2);
    write!(out, "{sign}{}.{cents}", micros / MICROS.unsigned_abs())?;
    out.write_str(finer.trim_end_matches('0'))
}

pub(super) fn print_time(micros: i64, out: &mut Formatter<'_>) -> fmt::Result {
    let instant = Timestamp::from_microsecond(micros).expect("it was read from an RFC 3339 time");
    write!(out, "{instant}")
}

pub(super) fn print_clock(offset_seconds: i64, out: &mut Formatter<'_>) -> fmt::Result {
    out.write_str("now")?;
    let seconds = offset_seconds.abs();
    if seconds == 0 {
        return Ok(());
    }
    let sign = if offset_seconds < 0 { '-' } else { '+' };
    let (unit, length) = UNITS
        .into_iter()
        .find(|(_, length)| seconds % length == 0)
        .expect("a second divides every number of seconds");
    write!(out, " {sign} {}{unit}", seconds / length)
}
