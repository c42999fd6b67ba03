//! The custom fields of a shop in three forms: the contract's `google.protobuf.Struct`, JSON in documents,
//! and the texts that filters compare.

use std::borrow::Cow;

use prost_types::{ListValue, Struct, Value as WireValue, value::Kind};
use serde_json::{Map, Number, Value};

use crate::filter::pack_map;

/// Converts a structure to its form in documents. Numbers that JSON does not have become null.
#[must_use]
pub fn to_map(fields: &Struct) -> Map<String, Value> {
    fields
        .fields
        .iter()
        .map(|(key, value)| (key.clone(), to_json(value)))
        .collect()
}

/// Converts a structure to its form in the contract.
#[must_use]
pub fn to_struct(map: &Map<String, Value>) -> Struct {
    Struct {
        fields: map
            .iter()
            .map(|(key, value)| (key.clone(), to_wire(value)))
            .collect(),
    }
}

/// As [`to_struct`]; None if it is empty.
#[must_use]
pub fn to_struct_if_any(map: &Map<String, Value>) -> Option<Struct> {
    (!map.is_empty()).then(|| to_struct(map))
}

/// The fields that filters can name, with their values as text: those of the first level with a single value.
fn first_level(map: &Map<String, Value>) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    map.iter().filter_map(|(key, value)| {
        let text = match value {
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Number(number) => Cow::Owned(number_text(number)),
            Value::String(text) => Cow::Borrowed(text.as_str()),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((key.as_str(), text))
    })
}

/// The column text in which filters find the fields of a structure.
#[must_use]
pub fn packed(fields: Option<&Struct>) -> String {
    let map = fields.map(to_map).unwrap_or_default();
    packed_map(&map)
}

/// As [`packed`], for a structure in the form of documents.
#[must_use]
pub fn packed_map(map: &Map<String, Value>) -> String {
    let fields: Vec<_> = first_level(map).collect();
    pack_map(fields.iter().map(|(key, text)| (*key, text.as_ref())))
}

/// A number as people write it: 12 and not 12.0, however it was stored.
fn number_text(number: &Number) -> String {
    // Adding zero turns -0 into 0.
    (number.as_f64().unwrap_or_default() + 0.0).to_string()
}

fn to_json(value: &WireValue) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(*value),
        Some(Kind::NumberValue(number)) => {
            Number::from_f64(*number).map_or(Value::Null, Value::Number)
        }
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(to_json).collect()),
        Some(Kind::StructValue(fields)) => Value::Object(to_map(fields)),
    }
}

fn to_wire(value: &Value) -> WireValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(to_wire).collect(),
        }),
        Value::Object(map) => Kind::StructValue(to_struct(map)),
    };
    WireValue { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn attributes_are_returned_as_they_were_sent() {
        let fields = map(json!({"a": 1.5, "b": [true, null, "x"], "c": {"d": {}}, "e": 12.0}));

        assert_eq!(to_map(&to_struct(&fields)), fields);
        assert_eq!(to_struct_if_any(&Map::new()), None);
    }

    proptest::proptest! {
        #[test]
        fn a_number_comes_back_from_a_document_as_it_was(number in proptest::num::f64::NORMAL) {
            let stored = serde_json::to_string(&json!({ "number": number })).unwrap();

            let read: Map<String, Value> = serde_json::from_str(&stored).unwrap();

            proptest::prop_assert_eq!(read["number"].as_f64(), Some(number));
        }
    }

    #[test]
    fn filters_see_single_values_of_the_first_level() {
        let fields = map(json!({"n": 12.0, "m": 0.5, "t": "red", "y": true, "l": [1], "z": null}));

        let texts: Vec<_> = first_level(&fields)
            .map(|(key, text)| format!("{key}={text}"))
            .collect();

        assert_eq!(texts, ["m=0.5", "n=12", "t=red", "y=true"]);
    }
}
