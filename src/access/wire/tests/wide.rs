//! Tests the walk on a message with large field numbers: the contract with one more RPC.

use prost_reflect::{
    DynamicMessage,
    prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto,
        OneofDescriptorProto, ServiceDescriptorProto, SourceCodeInfo,
        field_descriptor_proto::{Label, Type},
        source_code_info::Location,
    },
};

use super::*;
use crate::contract::{PACKAGE, Tables};
use crate::{access::wire::check::check_by, proto::POOL};

/// Fields of text and their numbers. The comment of the first two says that they are required.
const TEXTS: [(&str, i32); 5] = [
    ("first", 1),
    ("beyond_a_word", 64),
    ("one_more", 65),
    ("beyond_two", 129),
    ("last", (1 << 29) - 1),
];

fn field(name: &str, number: i32) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::String.into()),
        ..FieldDescriptorProto::default()
    }
}

fn file() -> FileDescriptorProto {
    let mut fields: Vec<FieldDescriptorProto> =
        TEXTS.map(|(name, number)| field(name, number)).into();
    fields.push(FieldDescriptorProto {
        r#type: Some(Type::Message.into()),
        type_name: Some(format!(".{PACKAGE}.Choice")),
        ..field("choice", 200)
    });
    let of_choice = |name, number| FieldDescriptorProto {
        oneof_index: Some(0),
        ..field(name, number)
    };
    let choice = DescriptorProto {
        name: Some("Choice".to_owned()),
        field: vec![of_choice("one", 100), of_choice("other", 5_000)],
        oneof_decl: vec![OneofDescriptorProto {
            name: Some("choice".to_owned()),
            ..OneofDescriptorProto::default()
        }],
        ..DescriptorProto::default()
    };
    let wide = DescriptorProto {
        name: Some("Wide".to_owned()),
        field: fields,
        ..DescriptorProto::default()
    };
    let method = MethodDescriptorProto {
        name: Some("Touch".to_owned()),
        input_type: Some(format!(".{PACKAGE}.Wide")),
        output_type: Some(format!(".{PACKAGE}.Wide")),
        ..MethodDescriptorProto::default()
    };
    let required = |at| Location {
        path: vec![4, 0, 2, at],
        span: vec![0, 0, 0],
        leading_comments: Some(" Required. A text.".to_owned()),
        ..Location::default()
    };
    FileDescriptorProto {
        name: Some("clientela/v1/wide.proto".to_owned()),
        package: Some(PACKAGE.to_owned()),
        message_type: vec![wide, choice],
        service: vec![ServiceDescriptorProto {
            name: Some("WideService".to_owned()),
            method: vec![method],
            ..ServiceDescriptorProto::default()
        }],
        source_code_info: Some(SourceCodeInfo {
            location: vec![required(0), required(1)],
        }),
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

#[test]
fn fields_may_have_any_number() {
    let mut pool = POOL.clone();
    pool.add_file_descriptor_proto(file()).unwrap();
    let tables = Tables::build(&pool);
    let method = tables.method("/clientela.v1.WideService/Touch").unwrap();
    let message = tables.message(method.request);
    for (name, number) in TEXTS {
        let number = u32::try_from(number).unwrap();
        assert_eq!(message.field(number).unwrap().name, name);
    }
    assert!(message.field(2).is_none() && message.field(63).is_none());
    let broken = |json: &str| {
        let wide = pool.get_message_by_name("clientela.v1.Wide").unwrap();
        let mut json = serde_json::Deserializer::from_str(json);
        let request = DynamicMessage::deserialize(wide, &mut json).unwrap();
        let checked = check_by(&tables, method, &request.encode_to_vec(), Roles::ALL);
        let violations = checked.map_or_else(|error| violations(&Status::from(error)), |()| vec![]);
        let named = violations.into_iter().map(|broken| broken.field);
        named.collect::<Vec<_>>()
    };

    assert_eq!(
        broken(r#"{"first": "a", "beyondAWord": "b", "last": "c"}"#),
        [""; 0]
    );
    assert_eq!(
        broken(r#"{"first": "a", "oneMore": "b", "last": "c"}"#),
        ["beyond_a_word"]
    );
    assert_eq!(broken(r#"{"beyondTwo": "a"}"#), ["first", "beyond_a_word"]);
    let choice = |inner: &str| {
        broken(&format!(
            r#"{{"first": "a", "beyondAWord": "b", "choice": {inner}}}"#
        ))
    };
    assert_eq!(choice("{}"), ["choice"]);
    assert_eq!(choice(r#"{"other": "a"}"#), [""; 0]);
    assert_eq!(choice(r#"{"one": "a"}"#), [""; 0]);
}
