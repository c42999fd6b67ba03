//! Numbers, dates and time zones in text.

use jiff::{civil, tz::TimeZone};

use crate::limits::fields::TIME_ZONE_CHARS_MAX;

/// The value of a decimal with at most `places` places and no sign, in units of the last place: `12.5` with
/// two places is 1250. None if the text is not one, or has more than nine digits before the point.
pub fn decimal(text: &str, places: u32) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leads_with_zero = whole.len() > 1 && whole.starts_with('0');
    if !digits(whole) || whole.len() > 9 || leads_with_zero {
        return None;
    }
    let fraction = match fraction {
        Some(fraction) if digits(fraction) => fraction,
        Some(_) => return None,
        None => "",
    };
    let missing = places.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    whole
        .checked_mul(10_i64.checked_pow(places)?)?
        .checked_add(fraction.checked_mul(10_i64.checked_pow(missing)?)?)
}

/// A percentage from 0 to 100 with at most `places` places, in units of the last place.
pub fn percent(text: &str, places: u32) -> Option<i64> {
    decimal(text, places).filter(|value| *value <= 100 * 10_i64.pow(places))
}

/// The date of the form `YYYY-MM-DD`, if it exists.
pub fn date(text: &str) -> Option<civil::Date> {
    let bytes = text.as_bytes();
    let well_formed = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !well_formed {
        return None;
    }
    let year = text.get(..4)?.parse().ok().filter(|year| *year > 0)?;
    civil::Date::new(
        year,
        text.get(5..7)?.parse().ok()?,
        text.get(8..)?.parse().ok()?,
    )
    .ok()
}

/// The time zone with this IANA name.
pub fn time_zone(text: &str) -> Option<TimeZone> {
    if text.len() > TIME_ZONE_CHARS_MAX {
        return None;
    }
    TimeZone::get(text)
        .ok()
        .filter(|zone| zone.iana_name().is_some())
}

/// The IANA spelling of a time zone name, whatever the case of the letters in `text`.
pub fn time_zone_name(text: &str) -> Option<String> {
    let zone = time_zone(text)?;
    zone.iana_name().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("12.5", 2), Some(1_250));
        assert_eq!(decimal("0", 2), Some(0));
        assert_eq!(decimal("5.5", 4), Some(55_000));
        assert_eq!(percent("100.00", 2), Some(10_000));
        assert_eq!(percent("100.01", 2), None);
        for text in [
            "", "-1", "+1", "1.", ".5", "1.234", "1e2", "01", "1,5", "NaN", " 1", "١",
        ] {
            assert_eq!(decimal(text, 2), None, "{text}");
        }
    }

    #[test]
    fn dates_are_days_of_the_calendar() {
        assert_eq!(date("2024-02-29").unwrap().to_string(), "2024-02-29");
        for text in [
            "",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-1-1",
            "24-01-01",
            "0000-01-01",
            "2024-01-01T",
            "2024/01/01",
            "-024-01-01",
            "+024-01-01",
            "٢٠٢٤-٠١",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn time_zones_are_known_ones() {
        assert!(time_zone("Europe/Paris").is_some());
        assert!(time_zone("UTC").is_some());
        for (text, name) in [
            ("europe/PARIS", "Europe/Paris"),
            ("utc", "UTC"),
            ("america/port-au-prince", "America/Port-au-Prince"),
        ] {
            assert_eq!(time_zone_name(text).as_deref(), Some(name));
        }
        for text in ["", "Europe/Nowhere", "+02:00", "../etc/passwd"] {
            assert!(time_zone(text).is_none(), "{text}");
        }
    }
}
