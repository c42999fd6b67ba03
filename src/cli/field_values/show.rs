//! The fields of a message in the form of the arguments that would set them.

use prost::Name;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

use super::{descriptor, value};
use crate::cli::{
    failure::Failure,
    output::{self, Fields},
};

/// Every field of the message that has a value, under its name in the contract.
pub fn fields<M: prost::Message + Name>(message: &M) -> Result<Fields, Failure> {
    let mut shown = DynamicMessage::new(descriptor::<M>());
    shown
        .transcode_from(message)
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut descriptors: Vec<FieldDescriptor> = shown.descriptor().fields().collect();
    descriptors.sort_by_key(FieldDescriptor::number);
    let mut fields = Fields::default();
    for field in descriptors {
        // The etag is for programs.
        if shown.has_field(&field) && field.name() != "etag" {
            let text = text(&field.kind(), &shown.get_field(&field));
            fields.add(field.name().to_owned(), text);
        }
    }
    Ok(fields)
}

fn text(kind: &Kind, shown: &Value) -> String {
    match (shown, kind) {
        (Value::List(values), _) => {
            let values: Vec<String> = values.iter().map(|value| text(kind, value)).collect();
            values.join(",")
        }
        (Value::String(text), _) => text.clone(),
        (Value::Bool(yes), _) => yes.to_string(),
        (Value::I32(number), _) => number.to_string(),
        (Value::I64(number), _) => number.to_string(),
        (Value::EnumNumber(number), Kind::Enum(values)) => value::word_of(values, *number),
        (Value::Message(message), _) => match message.transcode_to::<prost_types::Timestamp>() {
            Ok(time) if message.descriptor().full_name() == "google.protobuf.Timestamp" => {
                output::time(Some(&time))
            }
            _ => serde_json::to_string(message).unwrap_or_default(),
        },
        (other, _) => format!("{other:?}"),
    }
}
