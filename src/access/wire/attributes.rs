//! Checks that a free structure is valid JSON and not nested too deep.

use crate::contract::records::{Reader, Wire};
use crate::{
    access::wire::{
        Malformed,
        value::{Broken, CONTROL_CHARACTER, INVISIBLE_CHARACTER},
    },
    format,
    limits::ATTRIBUTE_NESTING_MAX,
};

/// A fault of a structure: invalid bytes, or a broken rule.
pub enum Fault {
    /// The bytes are not a structure.
    Malformed,
    /// The structure breaks a rule.
    Broken(Broken),
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Checks the bytes of a `google.protobuf.Struct` of at most `max` bytes.
pub fn check(bytes: &[u8], max: usize) -> Result<(), Fault> {
    object(bytes, 1)?;
    if bytes.len() > max {
        let text = format!("must have at most {max} bytes, has {}", bytes.len());
        return Err(Fault::Broken(("TOO_LONG", text.into())));
    }
    Ok(())
}

fn object(bytes: &[u8], depth: usize) -> Result<(), Fault> {
    shallow(depth)?;
    let mut records = Reader::new(bytes);
    while let Some(record) = records.next()? {
        if record.number == 1 {
            entry(record.value.bytes()?, depth)?;
        }
    }
    Ok(())
}

fn entry(bytes: &[u8], depth: usize) -> Result<(), Fault> {
    let mut records = Reader::new(bytes);
    let mut found = false;
    while let Some(record) = records.next()? {
        match record.number {
            1 => key(record.value)?,
            2 => {
                single(found)?;
                found = true;
                value(record.value.bytes()?, depth)?;
            }
            _ => {}
        }
    }
    if found { Ok(()) } else { Err(no_value()) }
}

fn value(bytes: &[u8], depth: usize) -> Result<(), Fault> {
    let mut records = Reader::new(bytes);
    let mut found = false;
    while let Some(record) = records.next()? {
        if !(1..=6).contains(&record.number) {
            continue;
        }
        single(found)?;
        found = true;
        match (record.number, record.value) {
            (1 | 4, Wire::Varint(_)) => {}
            (2, Wire::Fixed64(bits)) => {
                if !f64::from_bits(bits).is_finite() {
                    let text = "must not contain NaN or infinite numbers";
                    return Err(Fault::Broken(("OUT_OF_RANGE", text.into())));
                }
            }
            (3, string) => text(string)?,
            (5, nested) => object(nested.bytes()?, depth + 1)?,
            (6, nested) => list(nested.bytes()?, depth + 1)?,
            _ => return Err(Fault::Malformed),
        }
    }
    if found { Ok(()) } else { Err(no_value()) }
}

fn list(bytes: &[u8], depth: usize) -> Result<(), Fault> {
    shallow(depth)?;
    let mut records = Reader::new(bytes);
    while let Some(record) = records.next()? {
        if record.number == 1 {
            value(record.value.bytes()?, depth)?;
        }
    }
    Ok(())
}

/// A key names its value, so no two keys may look the same.
fn key(value: Wire<'_>) -> Result<(), Fault> {
    text(value)?;
    if format::has_invisible_character(value.text()?) {
        return Err(Fault::Broken(INVISIBLE_CHARACTER));
    }
    Ok(())
}

fn text(value: Wire<'_>) -> Result<(), Fault> {
    if format::has_control_character(value.text()?, true) {
        return Err(Fault::Broken(CONTROL_CHARACTER));
    }
    Ok(())
}

fn shallow(depth: usize) -> Result<(), Fault> {
    if depth > ATTRIBUTE_NESTING_MAX {
        let text = format!("must not be nested deeper than {ATTRIBUTE_NESTING_MAX}");
        return Err(Fault::Broken(("TOO_DEEP", text.into())));
    }
    Ok(())
}

/// Decoders would merge a value that occurs twice, and the merged value was not checked.
fn single(found: bool) -> Result<(), Fault> {
    if found { Err(Fault::Malformed) } else { Ok(()) }
}

fn no_value() -> Fault {
    Fault::Broken((
        "MALFORMED",
        "must not contain entries without a value".into(),
    ))
}
