//! The walk over a request: its form, its limits, and the roles that may set each field.
//!
//! All violations are collected. A single message field that occurs twice is malformed: decoders would merge
//! the two, and the result could exceed the limits.

mod mask;
mod path;
mod values;

use crate::contract::records::{Reader, Record};
use crate::contract::{FIELDS_MAX, Field, FieldSet, Kind, Message, Method, Shape, TABLES, Tables};
use tonic::Code;

use path::Path;

use crate::{
    access::wire::{
        Malformed,
        value::{self, Broken},
    },
    caller::Roles,
    error::{Error, Result, Violation},
    limits::{Rule, VIOLATIONS_MAX},
    proto::pb::ErrorReason,
};

/// Checks a request that a key with these roles sends.
pub fn check(method: &Method, request: &[u8], roles: Roles) -> Result<()> {
    check_by(&TABLES, method, request, roles)
}

/// Checks the request of a call against these tables.
pub(super) fn check_by(
    tables: &Tables,
    method: &Method,
    request: &[u8],
    roles: Roles,
) -> Result<()> {
    let mut walk = Walk {
        tables,
        method,
        roles,
        violations: Vec::new(),
        denied: None,
    };
    let message = tables.message(method.request);
    walk.message(&Path::Root, message, request, Mode::default())
        .map_err(|Malformed| malformed())?;
    if let Some((field, allowed)) = walk.denied {
        let text = format!("the key may not set {field}");
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

/// How a message is checked.
#[derive(Clone, Copy, Default)]
struct Mode {
    /// Only its form is checked, because its values are ignored.
    ignored: bool,
    /// The rule of the field that holds it.
    rule: Option<Rule>,
    /// The number of messages around it.
    depth: usize,
}

struct Walk<'m> {
    tables: &'m Tables,
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
        // The fields that occur, and those that are not empty. The last of several values counts, as for
        // decoders.
        let mut seen: FieldSet = 0;
        let mut filled: FieldSet = 0;
        let mut counts = [0_usize; FIELDS_MAX];
        let mut records = Reader::new(bytes);
        while let Some(record) = records.next()? {
            let Some(field) = message.field(record.number) else {
                continue;
            };
            let bit = field.bit();
            let twice = seen & bit != 0;
            if twice && field.shape == Shape::One && matches!(field.kind, Kind::Message(_)) {
                return Err(Malformed);
            }
            seen |= bit;
            let count = &mut counts[field.place];
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

    /// Checks one record. Returns whether the field has a value that is not empty.
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
            rule: field.rule,
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

    fn absent(&mut self, path: &Path<'_>, message: &Message, seen: FieldSet, filled: FieldSet) {
        for field in message.fields() {
            if !field.required || filled & field.bit() != 0 {
                continue;
            }
            match (&field.kind, field.rule) {
                // A missing number is zero, and is already reported if zero was sent.
                (Kind::Int32 | Kind::Int64, Some(rule)) => {
                    if seen & field.bit() == 0 {
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
                    .filter(|field| oneof & field.bit() != 0)
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
