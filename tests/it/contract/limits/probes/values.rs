//! Values of times, masks, lists, maps and structures at their limits and beyond.

use clientela::limits::Rule;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, MapKey, MessageDescriptor, ReflectMessage as _, Value,
};

use super::super::super::cases::{self, Cases, text};
use super::{Place, Probes};

/// The largest number of paths in a mask.
const MASK_PATHS_MAX: usize = 100;

impl Probes {
    pub(super) fn time(&mut self, at: &Place<'_>, nested: &MessageDescriptor, max: i64) {
        let time = |seconds: i64, nanos: i32| {
            let mut time = DynamicMessage::new(nested.clone());
            time.set_field_by_name("seconds", Value::I64(seconds));
            time.set_field_by_name("nanos", Value::I32(nanos));
            Value::Message(time)
        };
        // Each RPC has further rules for its times, which its own tests check.
        if nested.name() == "Timestamp" {
            self.taken(at, time(max, 999_999_999));
        } else {
            // Every duration of the contract accepts a minute.
            self.taken(at, time(60, 0));
        }
        self.refused(at, time(max + 1, 0), "", "OUT_OF_RANGE");
        self.refused(at, time(i64::MIN, 0), "", "OUT_OF_RANGE");
        self.refused(at, time(1, -1), "", "OUT_OF_RANGE");
        self.refused(at, time(1, 1_000_000_000), "", "OUT_OF_RANGE");
    }

    /// `good` is the request. Its first field is the resource that the mask selects fields of.
    pub(super) fn mask(
        &mut self,
        good: &DynamicMessage,
        at: &Place<'_>,
        nested: &MessageDescriptor,
    ) {
        let mask = |paths: Vec<&str>| {
            let mut mask = DynamicMessage::new(nested.clone());
            let paths = paths.into_iter().map(text).collect();
            mask.set_field_by_name("paths", Value::List(paths));
            Value::Message(mask)
        };
        let resource = good.descriptor().get_field(1).expect("a resource");
        let kind = resource.kind();
        let fields = kind.as_message().expect("a resource is a message").clone();
        let names: Vec<FieldDescriptor> = fields.fields().collect();
        let last = names.last().expect("a resource has fields").name();
        self.taken(at, mask(vec![last; MASK_PATHS_MAX]));
        self.refused(at, mask(vec![last; MASK_PATHS_MAX + 1]), "", "TOO_MANY");
        for unknown in ["", "shoe_size", "name.first", "a\0", "**"] {
            self.refused(at, mask(vec![last, unknown]), "", "UNKNOWN_FIELD");
        }
    }

    pub(super) fn list(&mut self, at: &Place<'_>, max: usize, each: Rule) {
        let Cases { good, bad } = cases::of_text(each);
        let first = good.first().expect("every rule accepts a value").clone();
        self.taken(at, Value::List(vec![first.clone(); max]));
        self.refused(
            at,
            Value::List(vec![first.clone(); max + 1]),
            "",
            "TOO_MANY",
        );
        for value in good {
            self.taken(at, Value::List(vec![value]));
        }
        for (value, reason) in bad.into_iter().chain([(text(""), "REQUIRED")]) {
            self.refused(at, Value::List(vec![first.clone(), value]), "[1]", reason);
        }
    }

    pub(super) fn map(&mut self, at: &Place<'_>, max: usize, key: Rule, value: Rule) {
        let keyed = |key: Value, value: Value| {
            let key = MapKey::String(key.as_str().expect("keys are text").to_owned());
            Value::Map([(key, value)].into())
        };
        let entries = |count: usize, value: &Value| {
            let key = |at: usize| MapKey::String(format!("en-x-{at}"));
            Value::Map((0..count).map(|at| (key(at), value.clone())).collect())
        };
        let Cases { good, bad } = cases::of_text(value);
        let first = good.first().expect("every rule accepts a value").clone();
        self.taken(at, entries(max, &first));
        self.refused(at, entries(max + 1, &first), "", "TOO_MANY");
        for (value, reason) in bad.into_iter().chain([(text(""), "REQUIRED")]) {
            self.refused(at, entries(1, &value), "[\"en-x-0\"]", reason);
        }
        let keys = cases::of_text(key);
        for key in keys.good {
            self.taken(at, keyed(key, first.clone()));
        }
        for (key, reason) in keys.bad.into_iter().chain([(text(""), "REQUIRED")]) {
            self.refused(at, keyed(key, first.clone()), "", reason);
        }
    }

    pub(super) fn attributes(&mut self, at: &Place<'_>, nested: &MessageDescriptor, max: usize) {
        let structure = |value: prost_types::value::Kind| {
            let value = prost_types::Value { kind: Some(value) };
            prost_types::Struct {
                fields: [("key".to_owned(), value)].into(),
            }
        };
        let string = |text: String| structure(prost_types::value::Kind::StringValue(text));
        let reflected = |structure: prost_types::Struct| {
            let bytes = structure.encode_to_vec();
            let message = DynamicMessage::decode(nested.clone(), bytes.as_slice());
            Value::Message(message.expect("a structure decodes as itself"))
        };
        // The overhead around the text depends on its length.
        let of_bytes = |bytes: usize| {
            let lengths = (0..bytes).rev();
            let mut found = lengths.map(|length| string("a".repeat(length)));
            let found = found.find(|structure| structure.encoded_len() == bytes);
            reflected(found.expect("some length gives this number of bytes"))
        };
        self.taken(at, of_bytes(max));
        self.refused(at, of_bytes(max + 1), "", "TOO_LONG");
        let control = reflected(string("a\0".to_owned()));
        self.refused(at, control, "", "CONTROL_CHARACTER");
        let nan = reflected(structure(prost_types::value::Kind::NumberValue(f64::NAN)));
        self.refused(at, nan, "", "OUT_OF_RANGE");
    }
}
