//! Reads and changes messages of the contract by the names of their fields.

use clientela::contract::{Message, PACKAGE, TABLES};
use clientela::limits::Rule;
use clientela::proto::POOL;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};

use super::cases;

/// Converts a message of the contract, so that its fields can be read and set by name.
pub fn reflect<M: prost::Message + prost::Name>(message: &M) -> DynamicMessage {
    let descriptor = POOL
        .get_message_by_name(&M::full_name())
        .expect("the contract has its messages");
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("a message decodes as itself")
}

/// Sets a field at any depth, such as `customer.credit_limit.micros`. An empty list on the path gets one
/// element.
pub fn set(message: &mut DynamicMessage, path: &str, value: Value) {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let field = message
        .descriptor()
        .get_field_by_name(first)
        .unwrap_or_else(|| panic!("{} has no {first}", message.descriptor().full_name()));
    let Some(rest) = rest else {
        return message.set_field(&field, value);
    };
    let kind = field.kind();
    let nested = kind
        .as_message()
        .expect("a field with a nested path is a message");
    let there = message
        .has_field(&field)
        .then(|| message.get_field(&field).into_owned());
    let mut inner = match there {
        None => valid(nested),
        Some(Value::Message(inner)) => inner,
        Some(Value::List(mut list)) => match list.swap_remove(0) {
            Value::Message(inner) => inner,
            other => panic!("{first} holds {other:?}"),
        },
        Some(other) => panic!("{first} is {other:?}"),
    };
    set(&mut inner, rest, value);
    let value = Value::Message(inner);
    let value = if field.is_list() {
        Value::List(vec![value])
    } else {
        value
    };
    message.set_field(&field, value);
}

/// Returns whether a field at any depth is set.
pub fn has(message: &DynamicMessage, path: &str) -> bool {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(field) = message.descriptor().get_field_by_name(first) else {
        return false;
    };
    match (rest, field.kind().as_message()) {
        ("", _) => message.has_field(&field),
        (rest, Some(_)) if message.has_field(&field) => {
            let inner = message.get_field(&field);
            inner.as_message().is_some_and(|inner| has(inner, rest))
        }
        _ => false,
    }
}

/// Returns the message and all messages in it.
pub fn messages(message: &DynamicMessage) -> Vec<DynamicMessage> {
    let mut found = vec![message.clone()];
    for (_, value) in message.fields() {
        match value {
            Value::Message(inner) => found.extend(messages(inner)),
            Value::List(values) => {
                let inner = values.iter().filter_map(Value::as_message);
                found.extend(inner.flat_map(messages));
            }
            _ => {}
        }
    }
    found
}

pub fn number(field: &FieldDescriptor, number: i64) -> Option<Value> {
    match field.kind() {
        Kind::Int32 => i32::try_from(number).ok().map(Value::I32),
        _ => Some(Value::I64(number)),
    }
}

/// Returns the rules of a message of the contract.
pub fn table(message: &MessageDescriptor) -> Option<&'static Message> {
    let name = message.full_name().strip_prefix(PACKAGE)?;
    let id = TABLES.find(name.trim_start_matches('.'))?;
    Some(TABLES.message(id))
}

/// Returns the smallest message that keeps all rules.
pub fn valid(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let Some(table) = table(descriptor) else {
        return message;
    };
    for field in descriptor.fields() {
        let known = table.field(field.number()).expect("all fields are known");
        let first_of_choice = field.containing_oneof().is_some_and(|oneof| {
            !oneof.is_synthetic() && oneof.fields().next() == Some(field.clone())
        });
        if !first_of_choice && !known.required {
            continue;
        }
        let value = match (known.rule, field.kind()) {
            (Some(Rule::Int(min, _)), _) => number(&field, min).expect("limits fit the type"),
            (_, Kind::Message(nested)) => Value::Message(valid(&nested)),
            (Some(rule), Kind::String) => cases::of_text(rule).good.swap_remove(0),
            (rule, kind) => panic!("{}: no value for {rule:?}, {kind:?}", field.full_name()),
        };
        message.set_field(&field, value);
    }
    message
}
