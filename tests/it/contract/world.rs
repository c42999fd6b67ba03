//! The resources of a shop for a test, created at their first use, and a valid request for every RPC.

mod requests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use clientela::limits::Rule;
use clientela::proto::pb::{self, Role};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage as _, Value};

use super::call::{allowed, ask, methods};
use super::messages::{reflect, set, table};
use crate::carts::named;
use crate::harness::{Connection, Shop, eventually, unique};
use crate::specimens::{self, Carts, Rpcs as _, Specimen as _, text};

/// The resources that a test uses. The tag is part of every name and text, so that it shows up in every
/// answer about them.
pub struct World {
    /// Has the administrator's key that creates the resources.
    pub connection: Connection,
    operator: Connection,
    pub tag: String,
    /// The names by their pattern, such as `customers/{id}`.
    names: RefCell<BTreeMap<&'static str, String>>,
}

/// The resources of a shop by their names, as lists show them.
pub struct State(BTreeMap<String, String>);

impl State {
    /// Fails if a resource was changed, added or removed since then.
    #[track_caller]
    pub fn assert_unchanged(&self, since: &Self) {
        let names: BTreeSet<&String> = self.0.keys().chain(since.0.keys()).collect();
        let changed: Vec<_> = names
            .into_iter()
            .filter(|name| self.0.get(*name) != since.0.get(*name))
            .map(|name| (name, since.0.get(name), self.0.get(name)))
            .collect();
        assert!(
            changed.is_empty(),
            "the calls changed something: {changed:#?}"
        );
    }
}

impl World {
    /// Returns an empty world in a shop. `key` is that of an administrator.
    pub fn new(shop: &Shop, key: &str, tag: &str) -> Self {
        let operator = Connection::with_key(shop, &shop.operator_key);
        Self::over(Connection::with_key(shop, key), operator, tag)
    }

    /// As [`new`](Self::new), with connections of an administrator and of an operator.
    pub fn over(connection: Connection, operator: Connection, tag: &str) -> Self {
        Self {
            connection,
            operator,
            tag: tag.to_owned(),
            names: RefCell::default(),
        }
    }

    /// Returns the name of the resource with this pattern, and creates it at the first call.
    pub async fn name(&self, pattern: &str) -> String {
        if let Some(name) = self.names.borrow().get(pattern) {
            return name.clone();
        }
        let specimen = specimens::of(pattern);
        let id = format!("{}-{}", self.tag, specimen.message().to_lowercase());
        let name = specimen.make(self, &id).await;
        let mut names = self.names.borrow_mut();
        names.insert(specimen.pattern(), name.clone());
        name
    }

    /// Creates a resource of each kind.
    pub async fn make_all(&self) {
        for specimen in specimens::ALL {
            self.name(specimen.pattern()).await;
        }
    }

    /// Sets the names of resources in all required fields of a request.
    pub async fn filled(&self, request: DynamicMessage) -> DynamicMessage {
        let mut request = request;
        let table = table(&request.descriptor()).expect("requests are in the tables");
        for field in table.fields().filter(|field| field.required) {
            let (path, pattern) = match field.rule {
                Some(Rule::Name(pattern) | Rule::NameOrId(pattern)) => (&*field.name, pattern),
                _ if field.name == "target" => ("target.cart", Carts.pattern()),
                _ => continue,
            };
            set(&mut request, path, Value::String(self.name(pattern).await));
        }
        request
    }

    /// Creates a cart of the customer with one line, in a slot of its own.
    pub async fn cart(&self, id: &str) -> pb::Cart {
        let request = Carts.whole(self, &self.tag).await;
        let cart = Carts.create(&self.connection, request, id).await;
        cart.transcode_to().expect("a cart")
    }

    /// Creates a cart and orders it.
    pub async fn ordered_cart(&self) -> pb::Cart {
        let request = pb::OrderCartRequest {
            target: named(&self.cart("").await.name),
            order_reference: format!("{}/{}", self.tag, unique()),
            ..Default::default()
        };
        let ordered = self.connection.carts().order_cart(request).await;
        ordered.expect("an order").into_inner()
    }

    /// Reads all resources of the shop after its operations have ended.
    pub async fn state(&self) -> State {
        self.work_done().await;
        let mut state = BTreeMap::new();
        for list in methods().into_iter().filter(is_of_resources) {
            let of_customer = list.input().get_field_by_name("customer").is_some();
            if of_customer && !self.names.borrow().contains_key("customers/{id}") {
                continue;
            }
            let mut request = self.filled(DynamicMessage::new(list.input())).await;
            request.set_field_by_name("page_size", Value::I32(1_000));
            for field in list.input().fields() {
                if field.name().starts_with("show_") {
                    request.set_field(&field, Value::Bool(true));
                }
            }
            self.note(&list, &request, &mut state).await;
        }
        let mut admin = self.connection.admin();
        let settings = admin.get_shop_settings(pb::GetShopSettingsRequest {}).await;
        let settings = settings.expect("settings").into_inner();
        state.insert(settings.name.clone(), json(&reflect(&settings)));
        State(state)
    }

    /// Adds all resources of a list to the state.
    async fn note(
        &self,
        list: &MethodDescriptor,
        request: &DynamicMessage,
        state: &mut BTreeMap<String, String>,
    ) {
        let connection = match allowed(list).contains(&Role::Admin) {
            true => &self.connection,
            false => &self.operator,
        };
        let answer = ask(connection, list, request.encode_to_vec()).await;
        let answer = answer.expect("a list").into_inner();
        let answer = DynamicMessage::decode(list.output(), answer).expect("an answer decodes");
        let rows = answer.get_field_by_number(1).expect("a list has rows");
        for row in rows.as_list().expect("rows are a list") {
            let row = row.as_message().expect("a row is a message");
            state.insert(text(row, "name"), json(row));
        }
    }

    /// Waits until the operations that earlier calls started have ended.
    async fn work_done(&self) {
        let filter = "(state = PENDING OR state = RUNNING) AND kind != PURGE".to_owned();
        eventually("the end of all operations", || async {
            let request = pb::ListOperationsRequest {
                filter: filter.clone(),
                ..Default::default()
            };
            let mut operations = self.connection.operations();
            let left = operations.list_operations(request).await.expect("a list");
            left.into_inner().operations.is_empty().then_some(())
        })
        .await;
    }
}

/// Returns whether an RPC lists resources that only calls change. Operations change by themselves, and
/// members have no names.
fn is_of_resources(method: &MethodDescriptor) -> bool {
    let others = ["ListOperations", "ListMembers"];
    method.name().starts_with("List") && !others.contains(&method.name())
}

/// Returns a message as JSON with a fixed order.
fn json(message: &DynamicMessage) -> String {
    let value = serde_json::to_value(message);
    value.expect("resources are JSON").to_string()
}
