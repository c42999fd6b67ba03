//! Tests the fields that only some roles may write or see: set at any depth, named in masks, returned in
//! answers, used in filters and orders.

mod filters;

use std::collections::BTreeSet;

use clientela::contract::PACKAGE;
use clientela::proto::POOL;
use clientela::proto::pb::{self, ErrorReason, Role};
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::call::{allowed, keys, method, methods, next, open, readers, send, writers};
use super::messages::{messages, reflect, set};
use super::world::World;
use crate::carts::{item, named};
use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;

/// A field at any depth of a message, with the roles that its option names.
#[derive(Clone)]
struct Narrowed {
    /// The path, such as `customer.credit_limit`.
    path: String,
    field: FieldDescriptor,
    roles: Vec<Role>,
}

/// Returns the fields at any depth of a message for which `roles` is not empty.
fn narrowed(
    message: &MessageDescriptor,
    roles: fn(&FieldDescriptor) -> Vec<Role>,
) -> Vec<Narrowed> {
    let mut found = Vec::new();
    let mut open = vec![(message.clone(), String::new(), vec![message.clone()])];
    while let Some((message, at, above)) = open.pop() {
        for field in message.fields() {
            let path = match at.as_str() {
                "" => field.name().to_owned(),
                at => format!("{at}.{}", field.name()),
            };
            let named = roles(&field);
            if !named.is_empty() {
                found.push(Narrowed {
                    path: path.clone(),
                    field: field.clone(),
                    roles: named,
                });
            }
            if let Kind::Message(nested) = field.kind()
                && nested.package_name() == PACKAGE
                && !field.is_map()
                && !above.contains(&nested)
            {
                let mut above = above.clone();
                above.push(nested.clone());
                open.push((nested, path, above));
            }
        }
    }
    found
}

/// Returns the full names of all fields of the contract for which `roles` is not empty.
fn all(roles: fn(&FieldDescriptor) -> Vec<Role>) -> BTreeSet<String> {
    let messages = POOL
        .all_messages()
        .filter(|message| message.package_name() == PACKAGE);
    messages
        .flat_map(|message| message.fields().collect::<Vec<_>>())
        .filter(|field| !roles(field).is_empty())
        .map(|field| field.full_name().to_owned())
        .collect()
}

/// Returns a value other than the field's default.
fn sample(field: &FieldDescriptor) -> Value {
    let one = match field.kind() {
        Kind::String => Value::String("groups/a".into()),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(1),
        Kind::Int64 => Value::I64(1),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Message(message) => Value::Message(DynamicMessage::new(message)),
        other => panic!("there is no sample for {other:?}"),
    };
    if field.is_list() {
        Value::List(vec![one])
    } else {
        one
    }
}

fn metadata(status: &Status, key: &str) -> String {
    let info = status
        .get_details_error_info()
        .expect("every refusal has an ErrorInfo");
    info.metadata.get(key).cloned().unwrap_or_default()
}

fn names(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(Role::as_str_name).collect();
    names.join(", ")
}

/// Asserts that the answer denies the field to a role that may not set it, and to no other.
fn assert_writable(label: &str, field: &Narrowed, path: &str, role: Role, answer: Option<&Status>) {
    if !field.roles.contains(&role) {
        let status = answer.unwrap_or_else(|| panic!("{label}: the field is accepted"));
        assert_refused(
            status,
            Code::PermissionDenied,
            ErrorReason::FieldNotWritable,
        );
        assert_eq!(metadata(status, "field"), path, "{label}");
        assert_eq!(metadata(status, "allowed"), names(&field.roles), "{label}");
    } else if let Some(status) = answer {
        assert_ne!(status.code(), Code::PermissionDenied, "{label}: {status:?}");
        assert_ne!(status.code(), Code::Internal, "{label}: {status:?}");
    }
}

/// Returns the answer of an RPC; of a stream the first message with changes.
async fn answer(
    shop: &Shop,
    key: &str,
    method: &MethodDescriptor,
    request: &DynamicMessage,
) -> DynamicMessage {
    let answer = async {
        if !method.is_server_streaming() {
            let answer = send(shop, key, method, request).await?;
            let answer = answer.expect("a call has an answer");
            return Ok(DynamicMessage::decode(method.output(), answer).expect("an answer"));
        }
        let mut stream = open(shop, key, method, request.encode_to_vec()).await?;
        loop {
            let message = next(&mut stream).await?.expect("the watch stays open");
            let message = DynamicMessage::decode(method.output(), message).expect("an answer");
            if message.has_field_by_name("changes") {
                return Ok(message);
            }
        }
    };
    let answer: Result<DynamicMessage, Status> = answer.await;
    answer.unwrap_or_else(|status| panic!("{}: {status:?}", method.name()))
}

/// Returns the restricted fields that are set in an answer.
fn held(answer: &DynamicMessage) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for message in messages(answer) {
        for (field, _) in message.fields() {
            if !readers(&field).is_empty() {
                found.insert(field.full_name().to_owned());
            }
        }
    }
    found
}

on_both_engines! {
    async fn only_permitted_roles_set_a_field(shop: Shop) {
        let keys = keys(&shop).await;
        let mut reached = BTreeSet::new();
        for method in methods() {
            for field in narrowed(&method.input(), writers) {
                reached.insert(field.field.full_name().to_owned());
                let mut request = DynamicMessage::new(method.input());
                set(&mut request, &field.path, sample(&field.field));
                for role in allowed(&method) {
                    let answer = send(&shop, &keys[&role], &method, &request).await.err();
                    let label = format!("{}: {} by {role:?}", method.name(), field.path);
                    assert_writable(&label, &field, &field.path, role, answer.as_ref());
                }
            }
        }
        assert_eq!(reached, all(writers), "some RPC accepts each field");
        assert!(reached.contains("clientela.v1.UpdateItemRequest.price_override"));
    }

    async fn only_permitted_roles_name_a_field_in_a_mask(shop: Shop) {
        let keys = keys(&shop).await;
        let mut checked = 0;
        for method in methods() {
            if method.input().get_field_by_name("update_mask").is_none() {
                continue;
            }
            let resource = method.input().get_field(1).unwrap();
            let Kind::Message(message) = resource.kind() else { panic!("a resource is a message") };
            let fields = narrowed(&message, writers);
            let fields = fields.iter().filter(|field| !field.path.contains('.'));
            for (at, field) in fields.enumerate() {
                let name = field.field.name().to_owned();
                let camel = field.field.json_name().to_owned();
                // The refusal of a mask for all fields names the first of them.
                let all = (at == 0).then(|| "*".to_owned());
                for path in [name.clone(), camel].into_iter().chain(all) {
                    let mut request = DynamicMessage::new(method.input());
                    let empty = Value::Message(DynamicMessage::new(message.clone()));
                    set(&mut request, resource.name(), empty);
                    let paths = Value::List(vec![Value::String(path.clone())]);
                    set(&mut request, "update_mask.paths", paths);
                    for role in allowed(&method) {
                        let answer = send(&shop, &keys[&role], &method, &request).await.err();
                        let label = format!("{}: {path} by {role:?}", method.name());
                        let full = format!("{}.{name}", resource.name());
                        assert_writable(&label, field, &full, role, answer.as_ref());
                        checked += 1;
                    }
                }
            }
        }
        assert!(checked > 50, "only {checked} masks");
    }

    /// Two callers send each request: an operator, whose answer shows the fields that are set, and each
    /// role that may call the RPC but not see a field.
    async fn only_permitted_roles_see_a_field(shop: Shop) {
        let keys = keys(&shop).await;
        let world = World::new(&shop, &shop.admin_key, "seen");
        let (mut seen, mut never) = (BTreeSet::new(), Vec::new());
        for method in methods() {
            let fields = narrowed(&method.output(), readers);
            let of = |name: &str| fields.iter().find(|field| field.field.full_name() == name);
            let blind = |role: &Role| fields.iter().any(|field| !field.roles.contains(role));
            let roles: Vec<Role> = allowed(&method).into_iter().filter(blind).collect();
            if roles.is_empty() {
                continue;
            }
            let request = world.request(method.name()).await;
            let shown = held(&answer(&shop, &shop.operator_key, &method, &request).await);
            for role in roles {
                let request = world.request(method.name()).await;
                let held = held(&answer(&shop, &keys[&role], &method, &request).await);
                let may = |name: &&String| of(name).unwrap().roles.contains(&role);
                let expected: BTreeSet<String> = shown.iter().filter(may).cloned().collect();
                assert_eq!(held, expected, "{} by {role:?}", method.name());
                if shown.iter().all(|name| of(name).unwrap().roles.contains(&role)) {
                    never.push(format!("{} by {role:?}", method.name()));
                }
            }
            seen.extend(shown);
        }
        assert_eq!(seen, all(readers), "every field is set in some answer");
        // A storefront may not set those fields, so the customer that it creates does not have them.
        assert_eq!(never, ["CreateCustomer by Storefront"]);
    }

    async fn a_stream_shows_only_the_fields_that_the_role_may_see(shop: Shop) {
        let keys = keys(&shop).await;
        let world = World::new(&shop, &shop.admin_key, "seen");
        let storefront = &keys[&Role::Storefront];
        let method = method("WatchCart");
        let request = reflect(&pb::WatchCartRequest {
            target: named(&world.name("carts/{id}").await),
            options: None,
        });
        let bytes = request.encode_to_vec();
        let mut narrow = open(&shop, storefront, &method, bytes.clone()).await.unwrap();
        let mut whole = open(&shop, &keys[&Role::Monitor], &method, bytes).await.unwrap();

        for number in 0..3 {
            let add = pb::AddItemRequest {
                target: named(&world.name("carts/{id}").await),
                item: Some(item(&format!("p{number}"), 1)),
                ..Default::default()
            };
            shop.carts().add_item(add).await.unwrap();
            for (stream, expected) in [(&mut narrow, false), (&mut whole, true)] {
                let change = loop {
                    let message = next(stream).await.unwrap().unwrap();
                    let message = DynamicMessage::decode(method.output(), message).unwrap();
                    let held = held(&message);
                    assert!(expected || held.is_empty(), "{message:?}");
                    let text = format!("{message:?}");
                    if text.contains(&format!("\"p{number}\"")) {
                        break held;
                    }
                };
                assert_eq!(!change.is_empty(), expected);
            }
        }
    }
}
