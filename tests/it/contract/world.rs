//! The resources of a shop for a test, each made when it is first asked for; and for every RPC a request about them that
//! is a good one.

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

/// What there is in a shop for a test. Its tag is in every name and text, so that it shows in whatever
/// tells of them.
pub struct World {
    /// With the key that makes the resources, that of an administrator.
    pub connection: Connection,
    operator: Connection,
    pub tag: String,
    /// A name by the pattern of its kind, as `customers/{id}`.
    names: RefCell<BTreeMap<&'static str, String>>,
}

/// What a shop holds, as its lists tell it: each resource by its name.
pub struct State(BTreeMap<String, String>);

impl State {
    /// Fails if anything is different, or is there or gone, since then.
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
            "what is refused changes nothing: {changed:#?}"
        );
    }
}

impl World {
    /// Of a shop, with a key of an administrator; nothing is made yet.
    pub fn new(shop: &Shop, key: &str, tag: &str) -> Self {
        let operator = Connection::with_key(shop, &shop.operator_key);
        Self::over(Connection::with_key(shop, key), operator, tag)
    }

    /// Of the shop that an administrator's connection leads to.
    pub fn over(connection: Connection, operator: Connection, tag: &str) -> Self {
        Self {
            connection,
            operator,
            tag: tag.to_owned(),
            names: RefCell::default(),
        }
    }

    /// The name of the resource of this kind, which is made at the first time.
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

    /// Makes a resource of each kind.
    pub async fn make_all(&self) {
        for specimen in specimens::ALL {
            self.name(specimen.pattern()).await;
        }
    }

    /// The request with the names of resources in all fields that must have one.
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

    /// An open cart of the customer in a slot of its own, with one line.
    pub async fn cart(&self, id: &str) -> pb::Cart {
        let request = Carts.whole(self, &self.tag).await;
        let cart = Carts.create(&self.connection, request, id).await;
        cart.transcode_to().expect("a cart")
    }

    /// A cart that was ordered.
    pub async fn ordered_cart(&self) -> pb::Cart {
        let request = pb::OrderCartRequest {
            target: named(&self.cart("").await.name),
            order_reference: format!("{}/{}", self.tag, unique()),
            ..Default::default()
        };
        let ordered = self.connection.carts().order_cart(request).await;
        ordered.expect("an order").into_inner()
    }

    /// Everything that the shop holds, when the work that was asked for is done.
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

    /// Notes all that a list holds.
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
        let answer = DynamicMessage::decode(list.output(), answer).expect("a list decodes");
        let rows = answer.get_field_by_number(1).expect("a list has rows");
        for row in rows.as_list().expect("rows are a list") {
            let row = row.as_message().expect("a row is a message");
            state.insert(text(row, "name"), json(row));
        }
    }

    /// Waits for what follows from earlier calls.
    async fn work_done(&self) {
        let filter = "(state = PENDING OR state = RUNNING) AND kind != PURGE".to_owned();
        eventually("the end of all work", || async {
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

/// Whether an RPC lists resources that only calls change. Operations go on by themselves, and members have no names.
fn is_of_resources(method: &MethodDescriptor) -> bool {
    let others = ["ListOperations", "ListMembers"];
    method.name().starts_with("List") && !others.contains(&method.name())
}

/// A message as text that is the same whenever the message is.
fn json(message: &DynamicMessage) -> String {
    let value = serde_json::to_value(message);
    value.expect("resources are JSON").to_string()
}
