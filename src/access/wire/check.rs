//! The walk over a request: its form, its limits, and who may set which field.
//!
//! All broken rules are collected. A message of a single field that comes twice is malformed: decoders
//! would merge the two, past the limits that each keeps.

use std::fmt::Write as _;

use tonic::Code;

use crate::{
    access::{
        Roles,
        tables::{FIELD_NUMBERS, Field, Kind, Known, Message, Method, Shape, TABLES},
        wire::{
            Malformed, attributes,
            read::{Reader, Record, Wire},
            value::{self, Broken},
        },
    },
    error::{Error, Result, Violation},
    limits::{Rule, VIOLATIONS_MAX},
    proto::pb::ErrorReason,
};

/// Paths that a mask may have.
const MASK_PATHS_MAX: usize = 100;
/// The seconds of a timestamp: from the year 1 to the year 9999.
const TIMESTAMP_SECONDS: (i64, i64) = (-62_135_596_800, 253_402_300_799);
/// The seconds of a duration: 10,000 years, either way.
const DURATION_SECONDS: (i64, i64) = (-315_576_000_000, 315_576_000_000);
const NANOS_MAX: i64 = 999_999_999;

/// Checks the request of a call that a key of these roles makes.
pub fn check(method: &Method, request: &[u8], roles: Roles) -> Result<()> {
    let mut walk = Walk {
        method,
        roles,
        violations: Vec::new(),
        denied: None,
    };
    let message = TABLES.message(method.request);
    walk.message(&Path::Root, message, request, Mode::default())
        .map_err(|Malformed| malformed())?;
    if let Some((field, allowed)) = walk.denied {
        let text = format!("{field} is not for this key to set");
        return Err(
            Error::new(Code::PermissionDenied, ErrorReason::FieldNotWritable, text)
                .with("field", field)
                .with("allowed", allowed.names()),
        );
    }
    if walk.violations.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(walk.violations))
    }
}

/// The refusal of bytes that are not the request.
pub fn malformed() -> Error {
    let text = "the bytes are not the message that the RPC takes";
    Error::new(Code::InvalidArgument, ErrorReason::MalformedRequest, text)
}

/// Where in the request the walk is; written out only for what is wrong.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, &'a str, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        let (parent, name, index) = match self {
            Self::Root => return,
            Self::Field(parent, name) => (parent, name, None),
            Self::Index(parent, name, index) => (parent, name, Some(index)),
        };
        parent.write(text);
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(name);
        if let Some(index) = index {
            write!(text, "[{index}]").expect("a String takes everything");
        }
    }
}

/// How a message is looked at.
#[derive(Clone, Copy, Default)]
struct Mode {
    /// Only its form counts, as its values are ignored.
    ignored: bool,
    /// It is money and must not be negative.
    price: bool,
    /// How many messages it lies in.
    depth: usize,
}

struct Walk<'m> {
    method: &'m Method,
    roles: Roles,
    violations: Vec<Violation>,
    denied: Option<(String, Roles)>,
}

impl Walk<'_> {
    fn message(
        &mut self,
        path: &Path<'_>,
        message: &Message,
        bytes: &[u8],
        mode: Mode,
    ) -> Result<(), Malformed> {
        // What was seen, and what of it is not empty; the last of several values counts, as for decoders.
        let mut seen = 0_u64;
        let mut filled = 0_u64;
        let mut counts = [0_usize; FIELD_NUMBERS];
        let mut records = Reader::new(bytes);
        while let Some(record) = records.next()? {
            let Some(field) = message.field(record.number) else {
                continue;
            };
            let bit = 1 << record.number;
            let twice = seen & bit != 0;
            if twice && field.shape == Shape::One && matches!(field.kind, Kind::Message(_)) {
                return Err(Malformed);
            }
            seen |= bit;
            let count = &mut counts[record.number as usize];
            if self.field(path, field, &record, count, mode)? {
                filled |= bit;
            } else {
                filled &= !bit;
            }
        }
        if !mode.ignored {
            self.absent(path, message, seen, filled);
        }
        Ok(())
    }

    /// Looks at one record. Says whether the field has a value, other than the empty one.
    fn field(
        &mut self,
        path: &Path<'_>,
        field: &Field,
        record: &Record<'_>,
        count: &mut usize,
        mode: Mode,
    ) -> Result<bool, Malformed> {
        let name_of_new = self.method.creates && mode.depth == 1 && field.name == "name";
        let mode = Mode {
            ignored: mode.ignored || field.output_only || name_of_new,
            depth: mode.depth + 1,
            price: field.rule == Some(Rule::Price),
        };
        let first = self.violations.len();
        let filled = match field.shape {
            Shape::One => self.one(&Path::Field(path, &field.name), field, record.value, mode)?,
            Shape::List => self.list(path, field, record.value, count, mode)?,
            Shape::Map => self.entry(path, field, record.value, count, mode)?,
        };
        if filled && !mode.ignored && !field.writers.intersects(self.roles) {
            self.violations.truncate(first);
            self.deny(|| Path::Field(path, &field.name).text(), field.writers);
        }
        Ok(filled)
    }

    fn one(
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
                self.nested(path, field, TABLES.message(*id), value.bytes()?, mode)?;
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
                let time = numbers(bytes, |seconds| seconds.varint())?;
                if !mode.ignored && !is_time(known, time) {
                    let text = "must be within the range of its type";
                    self.broken(path, Some(("OUT_OF_RANGE", text.into())));
                }
                Ok(())
            }
            (None, _) => {
                if mode.price
                    && !mode.ignored
                    && numbers(bytes, |code| code.bytes().map(|_| 0))?.1 < 0
                {
                    let text = "must not be negative";
                    self.broken(path, Some(("OUT_OF_RANGE", text.into())));
                }
                self.message(path, message, bytes, mode)
            }
        }
    }

    fn list(
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
                self.nested(&path, field, TABLES.message(*id), value.bytes()?, mode)?;
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

    /// Counts one more entry. Says whether it is to be looked at, which those beyond the limit are not.
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

    fn entry(
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

    fn mask(
        &mut self,
        path: &Path<'_>,
        message: &Message,
        bytes: &[u8],
        mode: Mode,
    ) -> Result<(), Malformed> {
        let mut records = Reader::new(bytes);
        let mut count = 0;
        while let Some(record) = records.next()? {
            if message.field(record.number).is_none() {
                continue;
            }
            let name = record.value.text()?;
            count += 1;
            if mode.ignored || count > MASK_PATHS_MAX + 1 {
                continue;
            }
            if count > MASK_PATHS_MAX {
                let text = format!("must name at most {MASK_PATHS_MAX} fields");
                self.broken(path, Some(("TOO_MANY", text.into())));
            } else {
                self.mask_path(path, name);
            }
        }
        Ok(())
    }

    fn mask_path(&mut self, path: &Path<'_>, name: &str) {
        let method = self.method;
        let Some((resource, id)) = &method.masked else {
            return;
        };
        if name == "*" {
            return;
        }
        let Some(field) = TABLES.message(*id).named(name) else {
            let text = unknown_path(name, TABLES.message(*id));
            return self.broken(path, Some(("UNKNOWN_FIELD", text.into())));
        };
        if !field.output_only && !field.writers.intersects(self.roles) {
            self.deny(|| format!("{resource}.{}", field.name), field.writers);
        }
    }

    fn absent(&mut self, path: &Path<'_>, message: &Message, seen: u64, filled: u64) {
        for field in message.fields() {
            let bit = 1_u64 << field.number;
            if message.required & bit & !filled == 0 {
                continue;
            }
            match (&field.kind, field.rule) {
                // A number that is not sent is zero, and already named if zero was sent.
                (Kind::Int32 | Kind::Int64, Some(rule)) => {
                    if seen & bit == 0 {
                        let rule = value::int(rule, 0).err();
                        self.broken(&Path::Field(path, &field.name), rule);
                    }
                }
                (Kind::Int32 | Kind::Int64, None) => {}
                _ => {
                    let rule = ("REQUIRED", "is required".into());
                    self.broken(&Path::Field(path, &field.name), Some(rule));
                }
            }
        }
        for oneof in &message.oneofs {
            if oneof & seen == 0 && !matches!(path, Path::Root) {
                let names: Vec<&str> = message
                    .fields()
                    .filter(|field| oneof & (1 << field.number) != 0)
                    .map(|field| field.name.as_str())
                    .collect();
                let text = format!("one of {} is required", names.join(", "));
                self.broken(path, Some(("REQUIRED", text.into())));
            }
        }
    }

    fn broken(&mut self, path: &Path<'_>, rule: Option<Broken>) {
        if let Some((reason, text)) = rule {
            self.violate(|| Violation::new(path.text(), reason, text));
        }
    }

    fn violate(&mut self, violation: impl FnOnce() -> Violation) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation());
        }
    }

    fn deny(&mut self, field: impl FnOnce() -> String, allowed: Roles) {
        if self.denied.is_none() {
            self.denied = Some((field(), allowed));
        }
    }
}

/// Checks an entry of a list or a map, where empty text is not absent.
fn element(rule: Rule, text: &str) -> Option<Broken> {
    if text.is_empty() {
        return Some(("REQUIRED", "must not be empty".into()));
    }
    value::text(rule, text).err()
}

/// The unspecified value says nothing in a list.
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

fn unknown_path(name: &str, resource: &Message) -> String {
    let echo: String = name
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(64)
        .collect();
    match name
        .split_once('.')
        .and_then(|(first, _)| resource.named(first))
    {
        Some(whole) => format!(
            "`{echo}`: only whole fields can be named, as `{}`",
            whole.name
        ),
        None => format!("`{echo}` is not a field of {}", resource.name),
    }
}

/// The number of the field 1, as read by `first`, and of the field 2: of a timestamp, a duration or money.
fn numbers(
    bytes: &[u8],
    first: impl Fn(Wire<'_>) -> Result<u64, Malformed>,
) -> Result<(i64, i64), Malformed> {
    let mut found = (0, 0);
    let mut records = Reader::new(bytes);
    while let Some(record) = records.next()? {
        match record.number {
            1 => found.0 = first(record.value)?.cast_signed(),
            2 => found.1 = record.value.varint()?.cast_signed(),
            _ => {}
        }
    }
    Ok(found)
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
