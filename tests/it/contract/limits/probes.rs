//! Generates requests with a field at its limit or beyond it. Each is a valid request of an RPC with one
//! value replaced.

mod values;

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use clientela::contract::Field;
use clientela::limits::Rule;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ReflectMessage as _, Value,
};

use super::super::cases::{self, Cases, text};
use super::super::messages::{number, set, table, valid};
use crate::harness::unique;

/// The last second of the year 9999, and the seconds of 10,000 years.
const TIME_MAX: i64 = 253_402_300_799;
const SPAN_MAX: i64 = 315_576_000_000;

/// The expected outcome of a request.
pub enum Expected {
    /// The field of this path is no reason for a refusal.
    Taken(String),
    /// The refusal names this path with this reason.
    Refused(String, &'static str),
}

pub struct Probe {
    pub method: MethodDescriptor,
    pub request: Bytes,
    pub expected: Expected,
}

impl Probe {
    pub fn is_beyond(&self) -> bool {
        matches!(self.expected, Expected::Refused(..))
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, what) = match &self.expected {
            Expected::Taken(path) => (path, "at a limit"),
            Expected::Refused(path, reason) => (path, *reason),
        };
        write!(f, "{}: {path}, {what}", self.method.name())
    }
}

/// All requests, and the fields that they test.
#[derive(Default)]
pub struct Probes {
    pub all: Vec<Probe>,
    pub fields: BTreeSet<String>,
}

/// The current place in a request, and a function that builds the request from a value there.
struct Place<'a> {
    method: &'a MethodDescriptor,
    request: &'a dyn Fn(Value) -> DynamicMessage,
    path: String,
    depth: usize,
    /// The rule of the field that holds the message.
    rule: Option<Rule>,
}

impl Probes {
    /// Adds the requests that differ from a valid one in one field.
    pub fn visit(&mut self, method: &MethodDescriptor, good: &DynamicMessage) {
        let place = Place {
            method,
            request: &|value| value.as_message().expect("a request").clone(),
            path: String::new(),
            depth: 0,
            rule: None,
        };
        self.message(good, &place);
    }

    fn message(&mut self, good: &DynamicMessage, place: &Place<'_>) {
        let descriptor = good.descriptor();
        let table = table(&descriptor).expect("the contract's messages are in the tables");
        for field in descriptor.fields() {
            let known = table.field(field.number()).expect("all fields are known");
            let at = Place {
                method: place.method,
                request: &|value| {
                    let mut inner = good.clone();
                    inner.set_field(&field, value);
                    (place.request)(Value::Message(inner))
                },
                path: match place.path.as_str() {
                    "" => field.name().to_owned(),
                    parent => format!("{parent}.{}", field.name()),
                },
                depth: place.depth + 1,
                rule: known.rule,
            };
            if super::is_limited(known) {
                let name = format!("{}.{}", table.name, field.name());
                self.fields.insert(name);
            }
            // The server ignores the name of a new resource.
            let creates = place.method.name().starts_with("Create");
            if known.output_only || creates && place.depth == 1 && field.name() == "name" {
                self.taken(&at, nonsense(&field));
                continue;
            }
            self.field(good, &field, known, &at);
            if known.required {
                self.absent(good, &field, known, &at, place);
            }
        }
    }

    fn taken(&mut self, at: &Place<'_>, value: Value) {
        let mut request = (at.request)(value);
        // Calls that open a cart or add to one get their own visitor, so that they do not conflict.
        let owner = match at.method.name() {
            "AddItem" | "EditCart" => "target.owner.visitor",
            "CreateCart" => "owner.visitor",
            _ => "",
        };
        let (first, _) = owner.split_once('.').unwrap_or_default();
        if !owner.is_empty() && !at.path.starts_with(first) {
            let token = format!("a visitor of the tests, number {}", unique());
            set(&mut request, owner, text(token));
        }
        self.all.push(Probe {
            method: at.method.clone(),
            request: request.encode_to_vec().into(),
            expected: Expected::Taken(at.path.clone()),
        });
    }

    fn refused(&mut self, at: &Place<'_>, value: Value, suffix: &str, reason: &'static str) {
        self.all.push(Probe {
            method: at.method.clone(),
            request: (at.request)(value).encode_to_vec().into(),
            expected: Expected::Refused(format!("{}{suffix}", at.path), reason),
        });
    }

    fn cases(&mut self, at: &Place<'_>, cases: Cases) {
        for value in cases.good {
            self.taken(at, value);
        }
        for (value, reason) in cases.bad {
            self.refused(at, value, "", reason);
        }
    }

    /// Adds the request without a required field.
    fn absent(
        &mut self,
        good: &DynamicMessage,
        field: &FieldDescriptor,
        known: &Field,
        at: &Place<'_>,
        place: &Place<'_>,
    ) {
        let reason = match known.rule {
            Some(Rule::Int(min, _)) if min > 0 => "OUT_OF_RANGE",
            Some(Rule::Int(..)) => return,
            _ => "REQUIRED",
        };
        let mut without = good.clone();
        without.clear_field(field);
        self.all.push(Probe {
            method: at.method.clone(),
            request: (place.request)(Value::Message(without))
                .encode_to_vec()
                .into(),
            expected: Expected::Refused(at.path.clone(), reason),
        });
    }

    fn field(
        &mut self,
        good: &DynamicMessage,
        field: &FieldDescriptor,
        known: &Field,
        at: &Place<'_>,
    ) {
        match (known.rule, field.kind()) {
            (Some(Rule::Int(min, max)), _) => {
                for limit in [min, max] {
                    self.taken(at, number(field, limit).expect("limits fit the type"));
                }
                let extremes = [i64::MIN, i32::MIN.into(), i32::MAX.into(), i64::MAX];
                let beyond = [min - 1, max.saturating_add(1)].into_iter().chain(extremes);
                for beyond in beyond.filter(|beyond| !(min..=max).contains(beyond)) {
                    if let Some(value) = number(field, beyond) {
                        self.refused(at, value, "", "OUT_OF_RANGE");
                    }
                }
            }
            (Some(Rule::Attributes(max)), Kind::Message(nested)) => {
                self.attributes(at, &nested, max);
            }
            (Some(Rule::Messages(max)), Kind::Message(nested)) => {
                let one = element(good, field).unwrap_or_else(|| valid(&nested));
                let one = Value::Message(one);
                self.taken(at, Value::List(vec![one.clone(); max]));
                self.refused(at, Value::List(vec![one; max + 1]), "", "TOO_MANY");
            }
            (Some(Rule::Values(max)), Kind::Enum(of)) => {
                let last = of.values().map(|value| value.number()).max().unwrap_or(0);
                let values = |count, number| Value::List(vec![Value::EnumNumber(number); count]);
                self.taken(at, values(max, last));
                self.refused(at, values(max + 1, last), "", "TOO_MANY");
                self.refused(at, values(1, last + 1), "[0]", "UNKNOWN_VALUE");
            }
            (Some(Rule::List(max, each)), _) => self.list(at, max, *each),
            (Some(Rule::Map(max, key, value)), _) => self.map(at, max, *key, *value),
            (Some(rule), Kind::String) => {
                self.cases(at, cases::of_text(rule));
                let has_to_show = known.required || field.supports_presence();
                if has_to_show && matches!(rule, Rule::Text(_) | Rule::Lines(_)) {
                    for blank in cases::BLANK {
                        self.refused(at, text(blank), "", "BLANK");
                    }
                }
                // An optional field that is set may not be empty.
                if field.supports_presence() {
                    self.refused(at, text(""), "", "REQUIRED");
                }
            }
            (_, Kind::Enum(of)) => {
                let last = of.values().map(|value| value.number()).max().unwrap_or(0);
                self.taken(at, Value::EnumNumber(last));
                self.refused(at, Value::EnumNumber(last + 1), "", "UNKNOWN_VALUE");
                self.refused(at, Value::EnumNumber(-1), "", "UNKNOWN_VALUE");
            }
            (_, Kind::Message(nested)) => self.nested(good, field, &nested, at),
            (_, Kind::Bool) => {}
            (rule, kind) => panic!("{}: no case for {rule:?}, {kind:?}", field.full_name()),
        }
        if let (Some(Rule::Messages(_)), Kind::Message(nested)) = (known.rule, field.kind()) {
            self.nested(good, field, &nested, at);
        }
    }

    fn nested(
        &mut self,
        good: &DynamicMessage,
        field: &FieldDescriptor,
        nested: &MessageDescriptor,
        at: &Place<'_>,
    ) {
        match nested.full_name() {
            "google.protobuf.Timestamp" => self.time(at, nested, TIME_MAX),
            "google.protobuf.Duration" => self.time(at, nested, SPAN_MAX),
            "google.protobuf.FieldMask" => self.mask(good, at, nested),
            _ => {
                let inner = element(good, field).unwrap_or_else(|| valid(nested));
                let is_list = field.is_list();
                let place = Place {
                    method: at.method,
                    request: &|value| (at.request)(list_of(is_list, value)),
                    path: format!("{}{}", at.path, index(is_list)),
                    depth: at.depth,
                    rule: at.rule,
                };
                if nested.oneofs().any(|oneof| !oneof.is_synthetic()) {
                    let nothing = Value::Message(DynamicMessage::new(nested.clone()));
                    self.refused(at, list_of(is_list, nothing), index(is_list), "REQUIRED");
                }
                self.money(at, &inner);
                self.message(&inner, &place);
            }
        }
    }
}

impl Probes {
    /// Adds the amounts beyond the rule of a field of money, and some at it.
    fn money(&mut self, at: &Place<'_>, good: &DynamicMessage) {
        let amount = |currency: &str, micros| {
            let mut amount = good.clone();
            amount.set_field_by_name("currency_code", text(currency));
            amount.set_field_by_name("micros", Value::I64(micros));
            Value::Message(amount)
        };
        if matches!(at.rule, Some(Rule::Price | Rule::Paid)) {
            self.refused(at, amount("EUR", -1), "", "OUT_OF_RANGE");
        }
        match at.rule {
            Some(Rule::Price) => self.taken(at, amount("EUR", 1)),
            Some(Rule::Paid | Rule::PaidOrTaken) => {
                for (currency, micros) in [
                    ("EUR", 1),
                    ("EUR", 4_990_001),
                    ("JPY", 990_000),
                    ("TND", 1_500),
                    ("CLF", 150),
                ] {
                    self.refused(at, amount(currency, micros), "", "FRACTION");
                }
                for (currency, micros) in [("JPY", 1_000_000), ("TND", 1_000), ("CLF", 100)] {
                    self.taken(at, amount(currency, micros));
                }
            }
            _ => {}
        }
        if at.rule == Some(Rule::PaidOrTaken) {
            self.refused(at, amount("EUR", -1), "", "FRACTION");
        }
    }
}

/// Returns a value that every rule refuses, for fields that the server ignores.
fn nonsense(field: &FieldDescriptor) -> Value {
    let one = match field.kind() {
        Kind::String => text("\0 no name\n"),
        Kind::Int32 => Value::I32(-1),
        Kind::Int64 => Value::I64(i64::MIN),
        Kind::Bool => Value::Bool(true),
        Kind::Enum(_) => Value::EnumNumber(9_999),
        Kind::Message(nested) => {
            let mut message = DynamicMessage::new(nested.clone());
            if let Some(seconds) = nested.get_field_by_name("seconds") {
                message.set_field(&seconds, Value::I64(i64::MAX));
            }
            Value::Message(message)
        }
        other => panic!("{}: no case for {other:?}", field.full_name()),
    };
    if field.is_list() {
        Value::List(vec![one])
    } else {
        one
    }
}

/// Returns the message in a field of a valid request, or the first one of a list.
fn element(good: &DynamicMessage, field: &FieldDescriptor) -> Option<DynamicMessage> {
    if !good.has_field(field) {
        return None;
    }
    match good.get_field(field).into_owned() {
        Value::Message(message) => Some(message),
        Value::List(values) => values.first().and_then(Value::as_message).cloned(),
        _ => None,
    }
}

fn list_of(is_list: bool, value: Value) -> Value {
    if is_list {
        Value::List(vec![value])
    } else {
        value
    }
}

/// Returns the suffix of the path to the only element of a list.
fn index(is_list: bool) -> &'static str {
    if is_list { "[0]" } else { "" }
}
