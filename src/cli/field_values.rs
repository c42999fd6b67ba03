//! `FIELD=VALUE` arguments: set any field of a message by its name in the contract.
//!
//! The form of a value follows from the descriptor of its field and its rule in `limits`, so a new field of
//! the contract needs no change here. This only converts text to values; the server checks them.

mod help;
mod show;
mod value;

use std::str::FromStr;

use prost::Name;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _,
};

use crate::{
    contract::{PACKAGE, TABLES},
    proto::POOL,
};

use super::failure::Failure;
pub use help::add_to as help;
pub use show::fields;

/// Below this similarity (0 to 1) a suggestion confuses more than it helps.
const SIMILAR: f64 = 0.6;

/// One argument: the path of a field and its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldValue {
    path: String,
    value: String,
}

impl FromStr for FieldValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((path, value)) if !path.is_empty() => Ok(Self {
                path: path.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(
                "write FIELD=VALUE, as in phone=555-0100; FIELD= without a value clears the field"
                    .to_owned(),
            ),
        }
    }
}

/// Whether one of the arguments names a part of a field, so that the rest of the field must be known.
pub fn need_current(values: &[FieldValue]) -> bool {
    values.iter().any(|value| value.path.contains('.'))
}

/// Sets fields of a message. Returns a message that has only these fields, with the update mask.
///
/// # Errors
/// A usage failure that names the argument, if there is no such field, if it cannot be set, or if the value
/// has the wrong type.
pub fn set<M>(message: &M, values: &[FieldValue]) -> Result<(M, prost_types::FieldMask), Failure>
where
    M: prost::Message + Name + Default,
{
    let mut draft = DynamicMessage::new(descriptor::<M>());
    let internal = |error: prost::DecodeError| Failure::new(error.to_string());
    draft.transcode_from(message).map_err(internal)?;
    let mut paths: Vec<String> = Vec::new();
    for FieldValue { path, value } in values {
        // The message does not include the value, which may be a password.
        check_settable::<M>(path).map_err(|why| Failure::usage(format!("{path}: {why}")))?;
        set_at(&mut draft, path, value)
            .map_err(|why| Failure::usage(format!("{path}={value}: {why}")))?;
        let field = path.split('.').next().unwrap_or(path).to_owned();
        if !paths.contains(&field) {
            paths.push(field);
        }
    }
    let mut set = DynamicMessage::new(draft.descriptor());
    for path in &paths {
        let field = field(&draft.descriptor(), path).map_err(Failure::usage)?;
        if let Some(value) = draft.take_field(&field) {
            set.set_field(&field, value);
        }
    }
    let message = set.transcode_to().map_err(internal)?;
    Ok((message, prost_types::FieldMask { paths }))
}

/// The descriptor of a message of the contract.
fn descriptor<M: Name>() -> MessageDescriptor {
    POOL.get_message_by_name(&M::full_name())
        .expect("the commands edit messages of the contract")
}

/// Refuses fields that the server sets, and secrets.
fn check_settable<M: Name>(path: &str) -> Result<(), String> {
    let first = path.split('.').next().unwrap_or(path);
    let message = TABLES.find(M::NAME).map(|id| TABLES.message(id));
    let Some(field) = message.and_then(|message| message.named(first)) else {
        return Ok(());
    };
    if field.output_only || ["name", "etag"].contains(&field.name.as_str()) {
        return Err("this field is set by the server".to_owned());
    }
    if field.input_only {
        return Err(format!(
            "other users of this machine could read it from the command line; use --{}-stdin",
            field.name
        ));
    }
    Ok(())
}

fn set_at(message: &mut DynamicMessage, path: &str, text: &str) -> Result<(), String> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let field = field(&message.descriptor(), name)?;
    let Some(rest) = rest else {
        if text.is_empty() {
            message.clear_field(&field);
        } else {
            message.set_field(&field, value::of(&field, text)?);
        }
        return Ok(());
    };
    let no_parts = || format!("{name} has no parts");
    if field.is_list() {
        return Err(no_parts());
    }
    if field.is_map() {
        return set_entry(message, &field, rest, text);
    }
    match field.kind() {
        Kind::Message(nested) if nested.full_name() == "google.protobuf.Struct" => {
            let attributes = message
                .get_field_mut(&field)
                .as_message_mut()
                .ok_or_else(no_parts)?;
            let entries = attributes
                .descriptor()
                .get_field_by_name("fields")
                .ok_or_else(no_parts)?;
            set_entry(attributes, &entries, rest, text)
        }
        Kind::Message(nested) if nested.package_name() == PACKAGE => {
            let part = message.get_field_mut(&field).as_message_mut();
            set_at(part.ok_or_else(no_parts)?, rest, text)
        }
        _ => Err(no_parts()),
    }
}

/// Sets one entry of a map. An empty text removes it.
fn set_entry(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    key: &str,
    text: &str,
) -> Result<(), String> {
    let value = match text {
        "" => None,
        text => Some(value::of_entry(field, text)?),
    };
    let entries = message.get_field_mut(field).as_map_mut();
    let entries = entries.ok_or_else(|| format!("{} has no parts", field.name()))?;
    let key = MapKey::String(key.to_owned());
    match value {
        Some(value) => entries.insert(key, value),
        None => entries.remove(&key),
    };
    Ok(())
}

/// The field of this name, in either spelling of the contract.
fn field(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    let found = message
        .get_field_by_name(name)
        .or_else(|| message.get_field_by_json_name(name));
    found.ok_or_else(|| {
        let names = message.fields().map(|field| field.name().to_owned());
        let near = names
            .map(|known| (strsim::jaro_winkler(&known, name), known))
            .filter(|(similarity, _)| *similarity > SIMILAR)
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        let hint = near.map_or(String::new(), |(_, near)| format!("; did you mean {near}?"));
        format!("there is no field {name}{hint}")
    })
}

#[cfg(test)]
mod tests;
