//! The values of a field: a single one, a list, or the entries of a map.

use super::{Malformed, Mode, Path, Walk};
use crate::contract::records::{Reader, Wire};
use crate::contract::{Field, Kind, Known, Message};
use crate::{
    access::wire::{
        attributes,
        value::{self, Broken},
    },
    error::Violation,
    limits::Rule,
};

/// The seconds of a timestamp: from the year 1 to the year 9999.
const TIMESTAMP_SECONDS: (i64, i64) = (-62_135_596_800, 253_402_300_799);
/// The seconds of a duration: 10,000 years, either way.
const DURATION_SECONDS: (i64, i64) = (-315_576_000_000, 315_576_000_000);
const NANOS_MAX: i64 = 999_999_999;

impl Walk<'_> {
    pub(super) fn one(
        &mut self,
        path: &Path<'_>,
        field: &Field,
        value: Wire<'_>,
        mode: Mode,
    ) -> Result<bool, Malformed> {
        match &field.kind {
            Kind::Bool => Ok(value.varint()? != 0 || field.presence),
            Kind::Int32 | Kind::Int64 => {
                let value = match field.kind {
                    Kind::Int32 => i64::from(value.varint()?.cast_signed() as i32),
                    _ => value.varint()?.cast_signed(),
                };
                if !mode.ignored {
                    let rule = field.rule.and_then(|rule| value::int(rule, value).err());
                    self.broken(path, rule);
                }
                Ok(value != 0 || field.presence)
            }
            Kind::Double => match value {
                Wire::Fixed64(bits) => Ok(bits != 0 || field.presence),
                _ => Err(Malformed),
            },
            Kind::Text => {
                let text = value.text()?;
                if !mode.ignored && !text.is_empty() {
                    let rule = field.rule.and_then(|rule| value::text(rule, text).err());
                    let has_to_show = field.required || field.presence;
                    let rule = rule.or_else(|| {
                        let rule = field.rule.filter(|_| has_to_show)?;
                        value::shows(rule, text).err()
                    });
                    self.broken(path, rule);
                }
                if !mode.ignored && text.is_empty() && field.presence {
                    let rule = ("REQUIRED", "must not be empty".into());
                    self.broken(path, Some(rule));
                }
                Ok(!text.is_empty() || field.presence)
            }
            Kind::Enum(known) => {
                let number = value.varint()?.cast_signed() as i32;
                if !mode.ignored && !known.contains(&number) {
                    self.broken(path, Some(unknown_value()));
                }
                Ok(number != 0 || field.presence)
            }
            Kind::Message(id) => {
                self.nested(path, field, self.tables.message(*id), value.bytes()?, mode)?;
                Ok(true)
            }
        }
    }

    fn nested(
        &mut self,
        path: &Path<'_>,
        field: &Field,
        message: &Message,
        bytes: &[u8],
        mode: Mode,
    ) -> Result<(), Malformed> {
        match (message.known, field.rule) {
            (Some(Known::Struct), rule) => {
                let max = match rule {
                    Some(Rule::Attributes(max)) => max,
                    _ => usize::MAX,
                };
                match attributes::check(bytes, max) {
                    Ok(()) => Ok(()),
                    Err(attributes::Fault::Malformed) => Err(Malformed),
                    Err(attributes::Fault::Broken(_)) if mode.ignored => Ok(()),
                    Err(attributes::Fault::Broken(rule)) => {
                        self.broken(path, Some(rule));
                        Ok(())
                    }
                }
            }
            (Some(Known::FieldMask), _) => self.mask(path, message, bytes, mode),
            (Some(known @ (Known::Timestamp | Known::Duration)), _) => {
                let time = time(bytes)?;
                if !mode.ignored && !is_time(known, time) {
                    let text = "must be within the range of its type";
                    self.broken(path, Some(("OUT_OF_RANGE", text.into())));
                }
                Ok(())
            }
            (None, _) => {
                if let Some(rule) = mode.rule.filter(|rule| rule.is_of_money() && !mode.ignored) {
                    let money = Money::read(bytes)?;
                    self.broken(path, value::money(rule, money.currency, money.micros).err());
                }
                self.message(path, message, bytes, mode)
            }
        }
    }

    pub(super) fn list(
        &mut self,
        path: &Path<'_>,
        field: &Field,
        value: Wire<'_>,
        count: &mut usize,
        mode: Mode,
    ) -> Result<bool, Malformed> {
        if let (Kind::Enum(known), Wire::Bytes(bytes)) = (&field.kind, value) {
            let mut values = Reader::new(bytes);
            while let Some(number) = values.packed()? {
                if self.counted(path, field, count, mode) {
                    self.element(path, field, known, number, *count - 1);
                }
            }
            return Ok(*count > 0);
        }
        let checked = self.counted(path, field, count, mode);
        let mode = Mode {
            ignored: mode.ignored || !checked,
            ..mode
        };
        let path = Path::Index(path, &field.name, *count - 1);
        match &field.kind {
            Kind::Enum(known) => {
                let number = value.varint()?;
                if checked && !is_element(known, number) {
                    self.broken(&path, Some(unknown_value()));
                }
            }
            Kind::Text => {
                let text = value.text()?;
                if checked {
                    let rule = match field.rule {
                        Some(Rule::List(_, each)) => element(*each, text),
                        _ => None,
                    };
                    self.broken(&path, rule);
                }
            }
            Kind::Message(id) => {
                self.nested(&path, field, self.tables.message(*id), value.bytes()?, mode)?;
            }
            Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double => return Err(Malformed),
        }
        Ok(true)
    }

    fn element(&mut self, path: &Path<'_>, field: &Field, known: &[i32], number: u64, at: usize) {
        if !is_element(known, number) {
            self.broken(&Path::Index(path, &field.name, at), Some(unknown_value()));
        }
    }

    /// Counts one more entry. Returns whether it is to be checked; entries beyond the limit are not.
    fn counted(&mut self, path: &Path<'_>, field: &Field, count: &mut usize, mode: Mode) -> bool {
        *count += 1;
        let max = match field.rule {
            Some(
                Rule::Messages(max) | Rule::Values(max) | Rule::List(max, _) | Rule::Map(max, _, _),
            ) => max,
            _ => usize::MAX,
        };
        if *count - 1 == max && !mode.ignored {
            let text = format!("must have at most {max} entries");
            self.broken(
                &Path::Field(path, &field.name),
                Some(("TOO_MANY", text.into())),
            );
        }
        !mode.ignored && *count <= max
    }

    pub(super) fn entry(
        &mut self,
        path: &Path<'_>,
        field: &Field,
        value: Wire<'_>,
        count: &mut usize,
        mode: Mode,
    ) -> Result<bool, Malformed> {
        let (mut key, mut text) = ("", "");
        let mut records = Reader::new(value.bytes()?);
        while let Some(record) = records.next()? {
            match record.number {
                1 => key = record.value.text()?,
                2 => text = record.value.text()?,
                _ => {}
            }
        }
        if self.counted(path, field, count, mode)
            && let Some(Rule::Map(_, key_rule, value_rule)) = field.rule
        {
            let map = Path::Field(path, &field.name);
            if let Some((reason, _)) = element(*key_rule, key) {
                let text = format!("keys must be {}", key_rule.text());
                self.broken(&map, Some((reason, text.into())));
            } else if let Some((reason, text)) = element(*value_rule, text) {
                // The key keeps its rule, so that it may stand in a path.
                let field = format!("{}[\"{key}\"]", map.text());
                self.violate(|| Violation::new(field, reason, text));
            }
        }
        Ok(true)
    }
}

/// Checks an entry of a list or a map, where empty text does not count as absent.
fn element(rule: Rule, text: &str) -> Option<Broken> {
    if text.is_empty() {
        return Some(("REQUIRED", "must not be empty".into()));
    }
    value::text(rule, text)
        .and_then(|()| value::shows(rule, text))
        .err()
}

/// The unspecified value has no meaning in a list.
fn is_element(known: &[i32], number: u64) -> bool {
    let number = number.cast_signed() as i32;
    number != 0 && known.contains(&number)
}

fn unknown_value() -> Broken {
    (
        "UNKNOWN_VALUE",
        "must be a value that the contract names".into(),
    )
}

/// The seconds and the nanoseconds of a timestamp or a duration.
fn time(bytes: &[u8]) -> Result<(i64, i64), Malformed> {
    let mut found = (0, 0);
    let mut records = Reader::new(bytes);
    while let Some(record) = records.next()? {
        match record.number {
            1 => found.0 = record.value.varint()?.cast_signed(),
            2 => found.1 = record.value.varint()?.cast_signed(),
            _ => {}
        }
    }
    Ok(found)
}

#[derive(Default)]
struct Money<'a> {
    currency: &'a str,
    micros: i64,
}

impl<'a> Money<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut money = Self::default();
        let mut records = Reader::new(bytes);
        while let Some(record) = records.next()? {
            match record.number {
                1 => money.currency = record.value.text()?,
                2 => money.micros = record.value.varint()?.cast_signed(),
                _ => {}
            }
        }
        Ok(money)
    }
}

fn is_time(known: Known, (seconds, nanos): (i64, i64)) -> bool {
    let within = |(min, max): (i64, i64)| (min..=max).contains(&seconds);
    // Decoders keep 32 bits of the nanoseconds.
    let nanos = i64::from(nanos as i32);
    match known {
        Known::Timestamp => within(TIMESTAMP_SECONDS) && (0..=NANOS_MAX).contains(&nanos),
        _ => {
            let same_sign = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
            within(DURATION_SECONDS) && nanos.abs() <= NANOS_MAX && same_sign
        }
    }
}
