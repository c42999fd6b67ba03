//! Checks single values against the rules of their fields.

use std::borrow::Cow;

use crate::{
    format,
    limits::{PASSWORD_BYTES_MAX, Rule, fields::EMAIL_CHARS_MAX},
};

/// The micros of one whole unit of a currency, for example one euro.
const MICROS_OF_ONE: i64 = 1_000_000;

/// A broken rule: its code for programs and its text for people. The value itself is not repeated, because it
/// may be personal.
pub type Broken = (&'static str, Cow<'static, str>);

/// A control character in a field that allows none.
pub const CONTROL_CHARACTER: Broken = (
    "CONTROL_CHARACTER",
    Cow::Borrowed("must not contain control characters"),
);

/// An invisible character in a field that allows none.
pub const INVISIBLE_CHARACTER: Broken = (
    "INVISIBLE_CHARACTER",
    Cow::Borrowed("must not contain invisible characters"),
);

/// Text without a visible character.
const BLANK: Broken = (
    "BLANK",
    Cow::Borrowed("must have at least one visible character"),
);

/// Checks text that is not empty.
pub fn text(rule: Rule, text: &str) -> Result<(), Broken> {
    match rule {
        Rule::Text(max) => {
            length(text, 0, max)?;
            no_control(text, false)
        }
        Rule::Lines(max) => {
            length(text, 0, max)?;
            no_control(text, true)
        }
        Rule::Label(max) => {
            length(text, 0, max)?;
            no_control(text, false)?;
            not_blank(text)
        }
        Rule::Key(max) => {
            length(text, 0, max)?;
            identifies(text)
        }
        Rule::Token(min, max) => {
            length(text, min, max)?;
            identifies(text)
        }
        Rule::Expression(max) => {
            if text.len() > max {
                let text = format!("must have at most {max} bytes, has {}", text.len());
                return Err(("TOO_LONG", text.into()));
            }
            no_control(text, true)
        }
        Rule::Password(min, max) => {
            length(text, min, max)?;
            if text.len() > PASSWORD_BYTES_MAX {
                let text = format!("must have at most {PASSWORD_BYTES_MAX} bytes");
                return Err(("TOO_LONG", text.into()));
            }
            if text.contains('\0') {
                return Err(CONTROL_CHARACTER);
            }
            Ok(())
        }
        Rule::Email => {
            length(text, 0, EMAIL_CHARS_MAX)?;
            no_control(text, false)?;
            no_invisible(text)?;
            well_formed(rule, format::is_email(text))
        }
        Rule::Url(max) => {
            length(text, 0, max)?;
            no_control(text, false)?;
            well_formed(rule, format::is_url(text))
        }
        Rule::Member => {
            if text.starts_with("customers/") {
                well_formed(rule, format::is_name("customers/{id}", text))
            } else {
                length(text, 0, EMAIL_CHARS_MAX)?;
                no_control(text, false)
            }
        }
        Rule::Percent(places) => {
            well_formed(rule, format::decimal(text, places).is_some())?;
            match format::percent(text, places) {
                Some(_) => Ok(()),
                None => Err(("OUT_OF_RANGE", must_be(rule))),
            }
        }
        Rule::Id => well_formed(rule, format::is_id(text)),
        Rule::Name(pattern) => well_formed(rule, format::is_name(pattern, text)),
        Rule::NameOrId(pattern) => {
            well_formed(rule, format::is_id(text) || format::is_name(pattern, text))
        }
        Rule::Number => well_formed(rule, format::is_number(text)),
        Rule::Language => well_formed(rule, format::language(text).is_some()),
        Rule::Country => well_formed(rule, format::is_country(text)),
        Rule::Currency => well_formed(rule, format::is_currency(text)),
        Rule::Date => well_formed(rule, format::date(text).is_some()),
        Rule::TimeZone => well_formed(rule, format::time_zone(text).is_some()),
        Rule::Etag => well_formed(rule, format::is_etag(text)),
        Rule::RequestId => well_formed(rule, format::is_request_id(text)),
        Rule::Int(..)
        | Rule::Price
        | Rule::Paid
        | Rule::PaidOrTaken
        | Rule::Attributes(_)
        | Rule::Messages(_)
        | Rule::List(..)
        | Rule::Map(..)
        | Rule::Values(_) => Ok(()),
    }
}

pub fn int(rule: Rule, value: i64) -> Result<(), Broken> {
    match rule {
        Rule::Int(min, max) if value < min || value > max => Err(("OUT_OF_RANGE", must_be(rule))),
        _ => Ok(()),
    }
}

/// Checks that required text has a visible character. A password may be anything.
pub fn shows(rule: Rule, text: &str) -> Result<(), Broken> {
    match rule {
        Rule::Password(..) => Ok(()),
        _ => not_blank(text),
    }
}

/// Checks an amount of money, whose currency may be none.
pub fn money(rule: Rule, currency: &str, micros: i64) -> Result<(), Broken> {
    if micros < 0 && matches!(rule, Rule::Price | Rule::Paid) {
        return Err(("OUT_OF_RANGE", "must not be negative".into()));
    }
    let is_paid = matches!(rule, Rule::Paid | Rule::PaidOrTaken);
    let unit = format::currency_places(currency).map(|places| MICROS_OF_ONE / 10_i64.pow(places));
    match unit.filter(|unit| is_paid && micros % unit != 0) {
        Some(unit) => {
            let text = format!("must be a multiple of {unit} micros, which is the smallest unit");
            Err(("FRACTION", text.into()))
        }
        None => Ok(()),
    }
}

fn must_be(rule: Rule) -> Cow<'static, str> {
    format!("must be {}", rule.text()).into()
}

fn well_formed(rule: Rule, fits: bool) -> Result<(), Broken> {
    if fits {
        Ok(())
    } else {
        Err(("MALFORMED", must_be(rule)))
    }
}

fn no_control(text: &str, lines: bool) -> Result<(), Broken> {
    if format::has_control_character(text, lines) {
        Err(CONTROL_CHARACTER)
    } else {
        Ok(())
    }
}

fn no_invisible(text: &str) -> Result<(), Broken> {
    if format::has_invisible_character(text) {
        Err(INVISIBLE_CHARACTER)
    } else {
        Ok(())
    }
}

fn not_blank(text: &str) -> Result<(), Broken> {
    if format::is_blank(text) {
        Err(BLANK)
    } else {
        Ok(())
    }
}

/// Checks text that identifies something: two texts that look the same must be equal.
fn identifies(text: &str) -> Result<(), Broken> {
    no_control(text, false)?;
    no_invisible(text)?;
    not_blank(text)
}

fn length(text: &str, min: usize, max: usize) -> Result<(), Broken> {
    // A text has no more characters than bytes, so most need not be counted.
    if text.len() <= max && (min <= 1 || text.is_ascii() && text.len() >= min) {
        return Ok(());
    }
    let count = text.chars().count();
    if count > max {
        let text = format!("must have at most {max} characters, has {count}");
        Err(("TOO_LONG", text.into()))
    } else if count < min {
        let text = format!("must have at least {min} characters");
        Err(("TOO_SHORT", text.into()))
    } else {
        Ok(())
    }
}
