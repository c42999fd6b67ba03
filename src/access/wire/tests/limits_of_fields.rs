//! Every field of every request at its limit and one beyond, from the table.

use super::*;

/// Values at the limits of a rule, and values beyond them with the reason of the refusal.
type Cases = (Vec<Value>, Vec<(Value, &'static str)>);

fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

fn long(length: usize) -> Value {
    text("é".repeat(length))
}

fn cases(rule: Rule) -> Cases {
    let formats = |good: &[&str], bad: &[&str]| {
        let good = good.iter().map(|value| text(*value)).collect();
        let bad = bad
            .iter()
            .map(|value| (text(*value), "MALFORMED"))
            .collect();
        (good, bad)
    };
    let name = |pattern: &str, id: &str| text(pattern.replace("{id}", id));
    match rule {
        Rule::Text(max) => (
            vec![long(max)],
            vec![
                (long(max + 1), "TOO_LONG"),
                (text("a\nb"), "CONTROL_CHARACTER"),
            ],
        ),
        Rule::Lines(max) => (
            vec![long(max), text("a\nb")],
            vec![
                (long(max + 1), "TOO_LONG"),
                (text("a\0b"), "CONTROL_CHARACTER"),
            ],
        ),
        Rule::Token(min, max) => {
            let mut beyond = vec![(long(max + 1), "TOO_LONG")];
            if min > 1 {
                beyond.push((long(min - 1), "TOO_SHORT"));
            }
            (vec![long(min), long(max)], beyond)
        }
        Rule::Expression(max) => (
            vec![text("a".repeat(max))],
            vec![(text("a".repeat(max + 1)), "TOO_LONG")],
        ),
        Rule::Password(min, max) => {
            let mut beyond = vec![
                (long(max + 1), "TOO_LONG"),
                (text("😀".repeat(max + 1)), "TOO_LONG"),
                (text("a\0bcdefghi"), "CONTROL_CHARACTER"),
            ];
            if min > 1 {
                beyond.push((long(min - 1), "TOO_SHORT"));
            }
            (vec![long(min), text("😀".repeat(max))], beyond)
        }
        Rule::Id => {
            let (longest, beyond) = ("a".repeat(63), "a".repeat(64));
            formats(&["a", "0-9", &longest], &["A", "a b", "ä", "a/b", &beyond])
        }
        Rule::Name(pattern) => (
            vec![name(pattern, "a"), name(pattern, &"a".repeat(63))],
            vec![
                (name(pattern, &"a".repeat(64)), "MALFORMED"),
                (name(pattern, ""), "MALFORMED"),
                (name(&format!("x{pattern}"), "a"), "MALFORMED"),
                (name(&format!("{pattern}/"), "a"), "MALFORMED"),
            ],
        ),
        Rule::NameOrId(pattern) => (
            vec![name(pattern, "a"), text("a")],
            vec![(name(pattern, ""), "MALFORMED"), (text("A"), "MALFORMED")],
        ),
        Rule::Member => (
            vec![text("customers/a"), text("ada@example.test"), long(254)],
            vec![(text("customers/A"), "MALFORMED"), (long(255), "TOO_LONG")],
        ),
        Rule::Number => {
            let (longest, beyond) = ("Z".repeat(32), "Z".repeat(33));
            formats(&["A-1", &longest], &["A 1", "é", &beyond])
        }
        Rule::Email => {
            let longest = format!(
                "{}@{}.test",
                "a".repeat(63),
                ["b".repeat(61).as_str(); 3].join(".")
            );
            (
                vec![text(longest.clone()), text(" Ada@BÜCHER.test ")],
                vec![
                    (text(format!("a{longest}")), "TOO_LONG"),
                    (text("ada"), "MALFORMED"),
                ],
            )
        }
        Rule::Url(max) => {
            let start = "https://example.test/";
            (
                vec![text(format!("{start}{}", "é".repeat(max - start.len())))],
                vec![
                    (
                        text(format!("{start}{}", "é".repeat(max + 1 - start.len()))),
                        "TOO_LONG",
                    ),
                    (text("example.test"), "MALFORMED"),
                ],
            )
        }
        Rule::Language => formats(&["fr", "pt-BR"], &["f", "fr_FR", "12"]),
        Rule::Country => formats(&["FR"], &["fr", "FRA", "XX"]),
        Rule::Currency => formats(&["EUR", "JPY"], &["eur", "EU", "XXX"]),
        Rule::Percent(places) => {
            let digits = |places: u32| format!("0.{}", "5".repeat(places as usize));
            (
                vec![text("0"), text("100"), text(digits(places))],
                vec![
                    (text("100.1"), "OUT_OF_RANGE"),
                    (text("-1"), "MALFORMED"),
                    (text(digits(places + 1)), "MALFORMED"),
                ],
            )
        }
        Rule::Date => formats(&["2000-02-29"], &["2001-02-29", "2000-2-9", "29.02.2000"]),
        Rule::TimeZone => formats(&["UTC", "Europe/Paris"], &["Europe/Nowhere"]),
        Rule::Etag => {
            let (longest, beyond) = ("a".repeat(128), "a".repeat(129));
            formats(&["\"1-a\"", &longest], &["é", "a\n", &beyond])
        }
        Rule::RequestId => {
            let (longest, beyond) = ("a".repeat(128), "a".repeat(129));
            formats(&["a b", &longest], &["é", "a\n", &beyond])
        }
        Rule::Int(..)
        | Rule::Price
        | Rule::Attributes(_)
        | Rule::Messages(_)
        | Rule::List(..)
        | Rule::Map(..)
        | Rule::Values(_) => panic!("{rule:?} is not a rule of text"),
    }
}

fn number(field: &FieldDescriptor, number: i64) -> Value {
    match field.kind() {
        Kind::Int32 => Value::I32(i32::try_from(number).unwrap()),
        _ => Value::I64(number),
    }
}

/// A structure that takes just so many bytes.
fn structure(descriptor: &MessageDescriptor, bytes: usize) -> Value {
    let value = |length: usize| prost_types::Struct {
        fields: [(
            "key".to_owned(),
            prost_types::Value {
                kind: Some(prost_types::value::Kind::StringValue("a".repeat(length))),
            },
        )]
        .into(),
    };
    let mut lengths = (0..bytes).rev().map(|length| value(length).encode_to_vec());
    let encoded = lengths.find(|encoded| encoded.len() == bytes).unwrap();
    Value::Message(DynamicMessage::decode(descriptor.clone(), encoded.as_slice()).unwrap())
}

/// The smallest message that keeps all rules.
fn valid(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let name = descriptor
        .full_name()
        .trim_start_matches(PACKAGE)
        .trim_start_matches('.');
    let Some(table) = TABLES.find(name).map(|id| TABLES.message(id)) else {
        return message;
    };
    for field in descriptor.fields() {
        let known = table.field(field.number()).unwrap();
        let chosen = field.containing_oneof().is_some_and(|oneof| {
            !oneof.is_synthetic() && oneof.fields().next() == Some(field.clone())
        });
        if chosen || table.required & (1 << field.number()) != 0 {
            let value = valid_value(&field, known);
            message.set_field(&field, value);
        }
    }
    message
}

fn valid_value(field: &FieldDescriptor, known: &Field) -> Value {
    let one = |rule: Option<Rule>| match (field.kind(), rule) {
        (Kind::Message(nested), _) => Value::Message(valid(&nested)),
        (_, Some(Rule::Int(min, _))) => number(field, min),
        (_, Some(rule)) => cases(rule).0.remove(0),
        (kind, None) => panic!("{}: nothing known of {kind:?}", field.full_name()),
    };
    match known.rule {
        Some(Rule::List(_, each)) => Value::List(vec![one(Some(*each))]),
        Some(Rule::Messages(_)) => Value::List(vec![one(None)]),
        rule => one(rule),
    }
}

/// What is set in a request, and the path by which a violation names it.
struct Place<'a> {
    request: &'a dyn Fn(Value) -> DynamicMessage,
    path: String,
}

/// Sets every field below `message` to the values at and beyond its limits.
fn visit(
    method: &Method,
    message: &MessageDescriptor,
    table: &Message,
    place: &Place<'_>,
    depth: usize,
    checked: &mut usize,
) {
    for field in message.fields() {
        let known = table.field(field.number()).unwrap();
        if known.output_only || method.creates && depth == 1 && field.name() == "name" {
            continue;
        }
        let inside = |value: Value| {
            let mut inner = valid(message);
            inner.set_field(&field, value);
            (place.request)(Value::Message(inner))
        };
        let path = match place.path.as_str() {
            "" => field.name().to_owned(),
            parent => format!("{parent}.{}", field.name()),
        };
        let mut accepts = |value: Value| {
            let request = inside(value);
            assert_eq!(broken(method, &request), [], "{}: {path}", method.path);
            *checked += 1;
        };
        match known.rule {
            Some(Rule::Int(min, max)) => {
                accepts(number(&field, min));
                accepts(number(&field, max));
                for beyond in [min - 1, max.saturating_add(1)] {
                    if field.kind() == Kind::Int32 && i32::try_from(beyond).is_err() {
                        continue;
                    }
                    let request = inside(number(&field, beyond));
                    let found = broken(method, &request);
                    assert_eq!(found, pairs(&[(&path, "OUT_OF_RANGE")]), "{}", method.path);
                }
            }
            Some(Rule::Attributes(max)) => {
                let kind = field.kind();
                let nested = kind.as_message().unwrap();
                accepts(structure(nested, max));
                let found = broken(method, &inside(structure(nested, max + 1)));
                assert_eq!(found, pairs(&[(&path, "TOO_LONG")]), "{}", method.path);
            }
            Some(Rule::Messages(max)) => {
                let one = Value::Message(valid(field.kind().as_message().unwrap()));
                accepts(Value::List(vec![one.clone(); max]));
                let found = broken(method, &inside(Value::List(vec![one; max + 1])));
                assert_eq!(found, pairs(&[(&path, "TOO_MANY")]), "{}", method.path);
            }
            Some(Rule::Values(max)) => {
                accepts(Value::List(vec![Value::EnumNumber(1); max]));
                let found = broken(
                    method,
                    &inside(Value::List(vec![Value::EnumNumber(1); max + 1])),
                );
                assert_eq!(found, pairs(&[(&path, "TOO_MANY")]), "{}", method.path);
            }
            Some(Rule::List(max, each)) => {
                let (good, bad) = cases(*each);
                accepts(Value::List(vec![good[0].clone(); max]));
                let found = broken(method, &inside(Value::List(vec![good[0].clone(); max + 1])));
                assert_eq!(found, pairs(&[(&path, "TOO_MANY")]), "{}", method.path);
                good.iter()
                    .for_each(|value| accepts(Value::List(vec![value.clone()])));
                for (value, reason) in bad {
                    let found = broken(method, &inside(Value::List(vec![good[0].clone(), value])));
                    assert_eq!(found, pairs(&[(&format!("{path}[1]"), reason)]));
                }
            }
            Some(Rule::Map(max, _, value_rule)) => {
                let entries = |count: usize, value: Value| {
                    let key = |at: usize| MapKey::String(format!("en-x-{at}"));
                    Value::Map((0..count).map(|at| (key(at), value.clone())).collect())
                };
                let (good, bad) = cases(*value_rule);
                accepts(entries(max, good[0].clone()));
                let found = broken(method, &inside(entries(max + 1, good[0].clone())));
                assert_eq!(found, pairs(&[(&path, "TOO_MANY")]), "{}", method.path);
                for (value, reason) in bad {
                    let found = broken(method, &inside(entries(1, value)));
                    assert_eq!(found, pairs(&[(&format!("{path}[\"en-x-0\"]"), reason)]));
                }
            }
            Some(Rule::Price) | None => {}
            Some(rule) => {
                let (good, bad) = cases(rule);
                good.into_iter().for_each(accepts);
                for (value, reason) in bad {
                    let found = broken(method, &inside(value));
                    assert_eq!(found, pairs(&[(&path, reason)]), "{}", method.path);
                }
            }
        }
        if let Kind::Message(nested) = field.kind()
            && !field.is_map()
            && nested.package_name() == PACKAGE
        {
            let (wrap, path): (fn(Value) -> Value, _) = if field.is_list() {
                (|value| Value::List(vec![value]), format!("{path}[0]"))
            } else {
                (|value| value, path)
            };
            let name = nested
                .full_name()
                .trim_start_matches(PACKAGE)
                .trim_start_matches('.');
            let table = TABLES.message(TABLES.find(name).unwrap());
            // Where money must not be negative, the message is named and not its number.
            if known.rule == Some(Rule::Price) {
                continue;
            }
            let request = |value| inside(wrap(value));
            visit(
                method,
                &nested,
                table,
                &Place {
                    request: &request,
                    path,
                },
                depth + 1,
                checked,
            );
        }
    }
}

#[test]
fn every_field_of_every_request_keeps_to_its_limit() {
    let mut checked = 0;

    for method in TABLES.methods() {
        let table = TABLES.message(method.request);
        let message = POOL
            .get_message_by_name(&format!("{PACKAGE}.{}", table.name))
            .unwrap();
        let request = |value: Value| value.as_message().unwrap().clone();
        let place = Place {
            request: &request,
            path: String::new(),
        };
        visit(method, &message, table, &place, 0, &mut checked);
    }

    assert!(
        checked > 500,
        "only {checked} values at a limit were checked"
    );
}
