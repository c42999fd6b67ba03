//! Reads the fields of a resource from its message, by the kinds in its table: as a filter writes a
//! value, and as an order compares it.

use clientela::collation::sort_key;
use clientela::filter::{Field, Kind, Schema};
use clientela::proto::pb::Money;
use prost_reflect::{DynamicMessage, MapKey, ReflectMessage as _, Value};
use prost_types::{Struct, Timestamp, value};

/// A value by which resources are ordered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Number(i64),
    Text(String),
}

/// Returns the value at a path, or none if it is not set or there is no such field.
fn at(message: &DynamicMessage, path: &str) -> Option<Value> {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let field = message.descriptor().get_field_by_name(first)?;
    let absent = field.supports_presence() && !message.has_field(&field);
    let value = message.get_field(&field).into_owned();
    match rest {
        _ if absent => None,
        None => Some(value),
        Some(rest) => at(value.as_message()?, rest),
    }
}

/// Returns the value by which an order compares the field.
pub fn key(resource: &DynamicMessage, schema: &Schema, path: &str) -> Key {
    let mut fields = schema.fields.iter();
    let kind = fields
        .find(|field| field.path == path)
        .expect("a field")
        .kind;
    let has_key = schema.fields.iter().any(|field| field.sorts == Some(path));
    match (kind, at(resource, path)) {
        (Kind::Time, Some(Value::Message(time))) => Key::Number(micros(&typed(&time))),
        (Kind::Decimal2, Some(Value::String(percent))) => Key::Number(hundredths(&percent)),
        (_, Some(Value::String(text))) if has_key => Key::Text(sort_key("en", &text)),
        (_, Some(Value::String(text))) => Key::Text(text),
        (_, Some(Value::EnumNumber(number) | Value::I32(number))) => Key::Number(number.into()),
        (_, Some(Value::I64(number))) => Key::Number(number),
        (_, other) => panic!("no order by {path} of {resource:?}: {other:?}"),
    }
}

/// Returns the values of a resource that a filter may name, each with the path of its field. An entry of
/// a map is its key, a tab and its value.
pub fn literals_in(
    resource: &DynamicMessage,
    schema: &'static Schema,
) -> Vec<(&'static str, String)> {
    let of = |field: &'static Field| {
        let texts = at(resource, field.path).map(texts).unwrap_or_default();
        texts.into_iter().map(move |text| (field.path, text))
    };
    // Sort keys have no path that a filter could name.
    let fields = schema.fields.iter().filter(|field| field.sorts.is_none());
    let literals = fields.flat_map(of);
    literals.filter(|(_, text)| !text.is_empty()).collect()
}

fn texts(value: Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text],
        Value::I32(number) => vec![number.to_string()],
        Value::I64(number) => vec![number.to_string()],
        Value::List(values) => values.into_iter().flat_map(texts).collect(),
        Value::Map(entries) => {
            let entry = |(key, value): (MapKey, Value)| match (key, value) {
                (MapKey::String(key), Value::String(value)) => format!("{key}\t{value}"),
                other => panic!("a filter cannot name {other:?}"),
            };
            let mut entries: Vec<String> = entries.into_iter().map(entry).collect();
            // Sorted, so that each run generates the same filters.
            entries.sort_unstable();
            entries
        }
        Value::Message(message) => match message.descriptor().full_name() {
            "google.protobuf.Timestamp" => vec![time(&typed(&message))],
            "google.protobuf.Struct" => attributes(&typed(&message)),
            "clientela.v1.Money" => vec![amount(&typed(&message))],
            "clientela.v1.ExternalId" => {
                let parts = message.fields().map(|(_, part)| texts(part.clone()));
                vec![parts.flatten().collect::<Vec<_>>().join("\t")]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn typed<M: prost::Message + Default>(message: &DynamicMessage) -> M {
    message.transcode_to().expect("a message decodes as itself")
}

fn micros(time: &Timestamp) -> i64 {
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
}

fn hundredths(percent: &str) -> i64 {
    let (whole, fraction) = percent.split_once('.').unwrap_or((percent, ""));
    let digits = format!("0{whole}{fraction:0<2}");
    digits.parse().expect("a decimal")
}

/// Writes a time as filters do.
fn time(time: &Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(micros(time));
    time.expect("the time is in range").to_string()
}

/// Writes an amount as filters do.
fn amount(money: &Money) -> String {
    let Money {
        micros,
        currency_code,
    } = money;
    let sign = if *micros < 0 { "-" } else { "" };
    let (whole, fraction) = (micros.abs() / 1_000_000, micros.abs() % 1_000_000);
    format!("{sign}{whole}.{fraction:06} {currency_code}")
}

/// Returns the entries of attributes that filters can name.
fn attributes(attributes: &Struct) -> Vec<String> {
    let entries = attributes.fields.iter().filter_map(|(key, value)| {
        let text = match value.kind.as_ref()? {
            value::Kind::StringValue(text) if !text.is_empty() => text.clone(),
            // Adding 0.0 removes the sign of a negative zero.
            value::Kind::NumberValue(number) => (number + 0.0).to_string(),
            value::Kind::BoolValue(value) => value.to_string(),
            _ => return None,
        };
        Some(format!("{key}\t{text}"))
    });
    entries.collect()
}
