//! Converts the text of an argument to the value of a field.

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value,
};
use serde::de::DeserializeSeed as _;

use crate::{cli::output, contract::PACKAGE, format, limits::Rule};

/// The value of a whole field. Lists of single values are written with commas, other lists and maps as JSON.
pub fn of(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    let rule = rule(field);
    let holds_messages = matches!(field.kind(), Kind::Message(_));
    if field.is_map() || (field.is_list() && holds_messages) {
        return from_json_of_field(field, text);
    }
    if !field.is_list() {
        return one(&field.kind(), rule, text);
    }
    let each = match rule {
        Some(Rule::List(_, each)) => Some(*each),
        _ => None,
    };
    let values = text
        .split(',')
        .map(|part| one(&field.kind(), each, part.trim()));
    Ok(Value::List(values.collect::<Result<_, _>>()?))
}

/// The value of one entry of a map.
pub fn of_entry(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    let kind = field.kind();
    let entry = kind.as_message().ok_or("it has no entries")?;
    one(&entry.map_entry_value_field().kind(), None, text)
}

/// The rule of the field in `limits`.
pub fn rule(field: &FieldDescriptor) -> Option<Rule> {
    let message = field.parent_message();
    let message = message.full_name().strip_prefix(PACKAGE)?;
    Rule::of(message.trim_start_matches('.'), field.name())
}

/// The possible values of an enum in their written form, for example `pending-approval`.
pub fn words(values: &EnumDescriptor) -> Vec<String> {
    let values = values.values().filter(|value| value.number() != 0);
    values
        .map(|value| word(value.name(), &prefix(value.parent_enum())))
        .collect()
}

/// The written form of the value with this number; empty if the enum has none.
pub fn word_of(values: &EnumDescriptor, number: i32) -> String {
    let value = values.get_value(number);
    value.map_or(String::new(), |value| word(value.name(), &prefix(values)))
}

fn word(name: &str, prefix: &str) -> String {
    output::word(name, prefix).replace(' ', "-")
}

/// The common prefix of an enum's values, for example `STATE_`.
fn prefix(values: &EnumDescriptor) -> String {
    let zero = values.default_value();
    zero.name().trim_end_matches("UNSPECIFIED").to_owned()
}

fn one(kind: &Kind, rule: Option<Rule>, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Bool => match text {
            "true" | "yes" => Ok(Value::Bool(true)),
            "false" | "no" => Ok(Value::Bool(false)),
            _ => Err("write true or false".to_owned()),
        },
        Kind::Int32 => number(text, rule).map(Value::I32),
        Kind::Int64 => number(text, rule).map(Value::I64),
        Kind::String => Ok(Value::String(full_name(rule, text))),
        Kind::Enum(values) => {
            let wanted = text.to_lowercase().replace(['_', ' '], "-");
            let prefix = prefix(values);
            let found = values.values().find(|value| {
                value.number() != 0
                    && (word(value.name(), &prefix) == wanted || value.name() == text)
            });
            let found = found.map(|value| Value::EnumNumber(value.number()));
            found.ok_or_else(|| format!("write one of {}", words(values).join(", ")))
        }
        Kind::Message(message) => of_message(message, text),
        _ => Err("this type of field cannot be written on the command line".to_owned()),
    }
}

fn number<T: std::str::FromStr>(text: &str, rule: Option<Rule>) -> Result<T, String> {
    let takes = match rule {
        Some(rule @ Rule::Int(..)) => format!(", {}", rule.text()),
        _ => String::new(),
    };
    text.parse()
        .map_err(|_| format!("write a whole number{takes}"))
}

/// The name of a resource. The id is enough if the name has only one.
fn full_name(rule: Option<Rule>, text: &str) -> String {
    match rule {
        Some(Rule::Name(pattern)) if pattern.matches('/').count() == 1 => {
            let collection = pattern.split('/').next().unwrap_or(pattern);
            output::full_name(collection, text)
        }
        _ => text.to_owned(),
    }
}

fn of_message(message: &MessageDescriptor, text: &str) -> Result<Value, String> {
    match message.full_name() {
        "clientela.v1.Money" => money(message, text),
        "google.protobuf.Timestamp" => from_json(message, &serde_json::json!(text).to_string())
            .map_err(|_| "write a time, as in 2026-12-31T18:00:00Z".to_owned()),
        // A value that is not JSON is a text.
        "google.protobuf.Value" => from_json(message, text)
            .or_else(|_| from_json(message, &serde_json::json!(text).to_string())),
        _ => from_json(message, text),
    }
}

fn money(message: &MessageDescriptor, text: &str) -> Result<Value, String> {
    let wrong = || "write an amount and its currency, as in \"100.00 EUR\"".to_owned();
    let (amount, currency) = text.split_once(' ').ok_or_else(wrong)?;
    let micros = format::decimal(amount, 6).ok_or_else(wrong)?;
    let mut money = DynamicMessage::new(message.clone());
    money.set_field_by_name("currency_code", Value::String(currency.to_owned()));
    money.set_field_by_name("micros", Value::I64(micros));
    Ok(Value::Message(money))
}

/// Reads a list or map field in the JSON form of its message.
fn from_json_of_field(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    let wrapped = format!("{{\"{}\": {text}}}", field.json_name());
    let message = from_json(field.parent_message(), &wrapped)?;
    let message = message.as_message().ok_or("write JSON")?;
    Ok(message.get_field(field).into_owned())
}

fn from_json(message: &MessageDescriptor, text: &str) -> Result<Value, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = message.clone().deserialize(&mut json);
    let read = read.and_then(|read| json.end().map(|()| read));
    read.map(Value::Message)
        .map_err(|error| format!("write JSON ({error})"))
}
