//! The fields that a command can set, for its help: names, values and the comments of the contract.

use std::fmt::Write as _;

use prost::Name;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::{check_settable, descriptor, value};
use crate::contract::PACKAGE;

/// Messages that are written as one value, although they have fields.
const SINGLE_VALUES: [&str; 1] = ["clientela.v1.Money"];

/// Adds the fields of a message to the help of a command. Must be deferred until the command is called:
/// reading the contract takes longer than other commands do.
pub fn add_to<M: Name>(command: clap::Command) -> clap::Command {
    command.after_long_help(text::<M>())
}

/// A paragraph for each field of a message that a command can set.
pub fn text<M: Name>() -> String {
    let mut text = String::from("Fields:\n");
    let message = descriptor::<M>();
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    for field in fields {
        if check_settable::<M>(field.name()).is_ok() {
            add(&mut text, &field, field.name());
        }
    }
    text
}

fn add(text: &mut String, field: &FieldDescriptor, path: &str) {
    let parts = parts(field);
    if !parts.is_empty() {
        for part in parts {
            add(text, &part, &format!("{path}.{}", part.name()));
        }
        return;
    }
    writeln!(text, "  {path}={}", placeholder(field)).expect("a String takes everything");
    for line in comment(field).lines() {
        writeln!(text, "          {}", line.trim()).expect("a String takes everything");
    }
}

/// The fields of a field that is a single message of the contract.
fn parts(field: &FieldDescriptor) -> Vec<FieldDescriptor> {
    let is_part = |message: &MessageDescriptor| {
        message.package_name() == PACKAGE && !SINGLE_VALUES.contains(&message.full_name())
    };
    match field.kind() {
        Kind::Message(message) if !field.is_list() && !field.is_map() && is_part(&message) => {
            message.fields().collect()
        }
        _ => Vec::new(),
    }
}

fn placeholder(field: &FieldDescriptor) -> String {
    if field.is_map() {
        return "JSON, or one entry with .KEY=VALUE".to_owned();
    }
    let one = match field.kind() {
        Kind::Bool => "true|false".to_owned(),
        Kind::Int32 | Kind::Int64 => "NUMBER".to_owned(),
        Kind::Enum(values) => value::words(&values).join("|"),
        Kind::Message(message) => match message.full_name() {
            "clientela.v1.Money" => "\"AMOUNT CURRENCY\"".to_owned(),
            "google.protobuf.Timestamp" => "TIME".to_owned(),
            "google.protobuf.Struct" => "JSON, or one entry with .KEY=VALUE".to_owned(),
            _ => "JSON".to_owned(),
        },
        _ => "TEXT".to_owned(),
    };
    match (field.is_list(), field.kind()) {
        (true, Kind::Message(_)) | (false, _) => one,
        (true, _) => format!("{one},…"),
    }
}

/// The comment of the field in the contract.
fn comment(field: &FieldDescriptor) -> String {
    let file = field.parent_file();
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let mut places = info.iter().flat_map(|info| &info.location);
    let place = places.find(|place| place.path == field.path());
    let comment = place.map(|place| place.leading_comments());
    comment.unwrap_or_default().trim().to_owned()
}
