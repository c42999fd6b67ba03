//! Tests that a hidden field is refused in filters and orders exactly as an unknown one.

use std::collections::{BTreeMap, HashMap};

use clientela::proto::pb::Role;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value};
use tonic::Status;

use super::super::call::{allowed, keys, methods, readers, said, send};
use super::super::messages::set;
use super::narrowed;
use crate::harness::Shop;
use crate::on_both_engines;

/// Comparisons to append to the name of a field. One of them suits each kind of field.
const TESTS: [&str; 7] = [
    " = 1",
    " = \"1.00 EUR\"",
    " = HIGH",
    " = true",
    " = 2000-01-01",
    ":\"groups/a\"",
    " = \"a\"",
];

/// An RPC with an option that names fields, a filter or an order.
struct Asked<'a> {
    shop: &'a Shop,
    keys: &'a HashMap<Role, String>,
    method: &'a MethodDescriptor,
    option: &'static str,
}

impl Asked<'_> {
    async fn ask(&self, role: Role, text: String) -> Option<Status> {
        let mut request = DynamicMessage::new(self.method.input());
        set(&mut request, self.option, Value::String(text));
        send(self.shop, &self.keys[&role], self.method, &request)
            .await
            .err()
    }

    /// Asserts that the field is unknown to the role. Returns whether it exists for an operator.
    async fn hides(&self, role: Role, path: &str) -> bool {
        let tests: &[&str] = match self.option {
            "filter" => &TESTS,
            _ => &[" desc", ""],
        };
        let mut exists = false;
        for test in tests {
            let text = format!("{path}{test}");
            exists |= self.ask(Role::Operator, text.clone()).await.is_none();
            let refused = self.ask(role, text.clone()).await;
            let refused = said(&refused.unwrap_or_else(|| panic!("{role:?}: {text} is accepted")));
            let mut alike = false;
            for unknown in misspelt(path) {
                let other = self.ask(role, format!("{unknown}{test}")).await;
                let other = said(&other.expect("there is no such field"));
                let reveals = other.iter().any(|said| said.contains(path));
                assert!(!reveals, "{unknown} reveals {path}: {other:?}");
                let other = other.iter().map(|said| said.replace(&unknown, path));
                alike |= other.eq(refused.iter().cloned());
            }
            assert!(alike, "{role:?}: {text} is known: {refused:?}");
        }
        exists
    }
}

on_both_engines! {
    async fn a_role_cannot_filter_or_order_by_hidden_fields(shop: Shop) {
        let keys = keys(&shop).await;
        let mut exist = BTreeMap::new();
        for method in &methods() {
            for option in ["filter", "order_by"] {
                if method.input().get_field_by_name(option).is_none() {
                    continue;
                }
                let asked = Asked { shop: &shop, keys: &keys, method, option };
                let fields = resource(method).map(|of| narrowed(&of, readers)).unwrap_or_default();
                for field in fields {
                    let roles = allowed(method).into_iter();
                    for role in roles.filter(|role| !field.roles.contains(role)) {
                        let exists = asked.hides(role, &field.path).await;
                        let what = (method.name().to_owned(), option, field.path.clone());
                        exist.insert(what, exists);
                    }
                }
            }
        }

        // An operator can filter by these fields. The contract does not support orders by them.
        let exists = |rpc: &str, option: &'static str, path: &str| {
            exist.get(&(rpc.to_owned(), option, path.to_owned())).copied()
        };
        for path in ["credit_limit", "payment_days", "risk", "accounting_number"] {
            assert_eq!(exists("ListCustomers", "filter", path), Some(true), "{path}");
            assert_eq!(exists("WatchCustomers", "filter", path), Some(true), "{path}");
            assert_eq!(exists("ListCustomers", "order_by", path), Some(false), "{path}");
        }
        assert_eq!(exists("ListGroups", "filter", "member_count"), Some(false));
    }
}

/// Returns the message of the resource that a list or a watch returns.
fn resource(method: &MethodDescriptor) -> Option<MessageDescriptor> {
    let mut open = vec![method.output()];
    while let Some(message) = open.pop() {
        if message.get_field_by_name("etag").is_some() {
            return Some(message);
        }
        let nested = message.fields().filter(FieldDescriptor::is_list);
        let nested: Vec<MessageDescriptor> = nested
            .filter_map(|field| field.kind().as_message().cloned())
            .collect();
        open.extend(nested);
        if message.get_field_by_name("version").is_some() {
            let fields = message.fields();
            open.extend(fields.filter_map(|field| field.kind().as_message().cloned()));
        }
    }
    None
}

/// Returns unknown names that differ from the path in one letter.
fn misspelt(path: &str) -> Vec<String> {
    let places = path
        .char_indices()
        .filter(|(_, letter)| letter.is_ascii_lowercase());
    places
        .map(|(at, _)| format!("{}q{}", &path[..at], &path[at + 1..]))
        .collect()
}
