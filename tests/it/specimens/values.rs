//! The fields of a resource as the tests read them off its message, by the kinds that its table names: as a filter
//! writes a value, and as an order compares it.

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

/// The value at a path; none where the message has no such field, or it is not set.
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

/// What a field of a resource is compared with when resources are ordered by it.
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
        (_, other) => panic!("{path} of {resource:?} is no key: {other:?}"),
    }
}

/// The values of a resource that a filter may name, each with the path of its field. An entry of a map is its key, a
/// tab and its value.
pub fn literals_in(
    resource: &DynamicMessage,
    schema: &'static Schema,
) -> Vec<(&'static str, String)> {
    let of = |field: &'static Field| {
        let texts = at(resource, field.path).map(texts).unwrap_or_default();
        texts.into_iter().map(move |text| (field.path, text))
    };
    // The key by which a field is sorted has no path that a filter could name.
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
                other => panic!("no filter names {other:?}"),
            };
            let mut entries: Vec<String> = entries.into_iter().map(entry).collect();
            // The same ones in the same order each time.
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

/// A time as filters write it.
fn time(time: &Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(micros(time));
    time.expect("a time of these tests").to_string()
}

/// An amount as filters write it.
fn amount(money: &Money) -> String {
    let Money {
        micros,
        currency_code,
    } = money;
    let sign = if *micros < 0 { "-" } else { "" };
    let (whole, fraction) = (micros.abs() / 1_000_000, micros.abs() % 1_000_000);
    format!("{sign}{whole}.{fraction:06} {currency_code}")
}

/// The entries of attributes that filters can name.
fn attributes(attributes: &Struct) -> Vec<String> {
    let entries = attributes.fields.iter().filter_map(|(key, value)| {
        let text = match value.kind.as_ref()? {
            value::Kind::StringValue(text) if !text.is_empty() => text.clone(),
            // Without the sign of a zero.
            value::Kind::NumberValue(number) => (number + 0.0).to_string(),
            value::Kind::BoolValue(value) => value.to_string(),
            _ => return None,
        };
        Some(format!("{key}\t{text}"))
    });
    entries.collect()
}
