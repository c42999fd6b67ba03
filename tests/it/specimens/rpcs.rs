//! Calls the RPCs of a resource by their descriptors. The RPCs of all resources have names of the same
//! form, and their requests have the same fields.

use clientela::proto::pb::WatchOptions;
use futures::StreamExt as _;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, ReflectMessage as _, Value,
};
use rand::rngs::StdRng;
use tonic::{Response, Status};

use super::stream::{Received, Stream};
use super::{Specimen, Way};
use crate::contract::call::{ask, method, methods, stream};
use crate::contract::messages::{reflect, set};
use crate::harness::Connection;

/// A page of a list.
pub struct Page {
    pub rows: Vec<DynamicMessage>,
    /// The token of the next page.
    pub next: String,
}

/// Returns a text field at any depth, empty if it is not set.
pub fn text(message: &DynamicMessage, path: &str) -> String {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = message.get_field_by_name(first);
    let value = value
        .unwrap_or_else(|| panic!("no field {path}"))
        .into_owned();
    match value {
        Value::String(text) => text,
        Value::Message(inner) => text(&inner, rest),
        other => panic!("{path} is no text: {other:?}"),
    }
}

/// Calls of the RPCs that most resources have.
pub trait Rpcs: Specimen {
    /// Returns the RPC of a verb, such as `CreateSavedFilter` or `ListSavedFilters`, if there is one.
    fn rpc(&self, verb: &str) -> Option<MethodDescriptor> {
        let what = match verb {
            "List" | "Watch" => plural(self.pattern()),
            _ => self.message().to_owned(),
        };
        let name = format!("{verb}{what}");
        methods().into_iter().find(|method| method.name() == name)
    }

    /// Returns an empty request of a verb.
    fn request(&self, verb: &str) -> DynamicMessage {
        let rpc = self.rpc(verb);
        let rpc = rpc.unwrap_or_else(|| panic!("there is no RPC to {verb} a {}", self.message()));
        DynamicMessage::new(rpc.input())
    }

    /// Returns the name with this id.
    fn named(&self, id: &str) -> String {
        self.pattern().replace("{id}", id)
    }

    /// Returns the create request.
    fn creation(&self, resource: DynamicMessage) -> DynamicMessage {
        let mut request = self.request("Create");
        let field = resource_field(&request, &resource);
        request.set_field(&field, Value::Message(resource));
        request
    }

    /// Returns the field of the create request for an id chosen by the caller.
    fn id_field(&self) -> Option<String> {
        let request = self.rpc("Create")?.input();
        let mut fields = request.fields();
        let id = fields.find(|field| field.name().ends_with("_id") && field.name() != "request_id");
        id.map(|field| field.name().to_owned())
    }

    /// Returns the request that changes these fields, or all that are set.
    fn update(&self, name: &str, resource: DynamicMessage, paths: &[&str]) -> DynamicMessage {
        let (mut request, mut resource) = (self.request("Update"), resource);
        set(&mut resource, "name", Value::String(name.to_owned()));
        let field = resource_field(&request, &resource);
        request.set_field(&field, Value::Message(resource));
        if !paths.is_empty() {
            let paths = paths.iter().map(|path| Value::String((*path).to_owned()));
            set(
                &mut request,
                "update_mask.paths",
                Value::List(paths.collect()),
            );
        }
        request
    }

    /// Returns the request of a verb that only needs a name.
    fn naming(&self, verb: &str, name: &str) -> DynamicMessage {
        let mut request = self.request(verb);
        let path = match request.descriptor().get_field_by_name("target") {
            Some(_) => "target.cart",
            None => "name",
        };
        set(&mut request, path, Value::String(name.to_owned()));
        request
    }

    /// Calls the RPC of a verb.
    async fn call(
        &self,
        connection: &Connection,
        verb: &str,
        request: &DynamicMessage,
    ) -> Result<Response<DynamicMessage>, Status> {
        let rpc = self.rpc(verb).expect("the resource has the RPC");
        answer(connection, &rpc, request).await
    }

    /// Creates a resource, with this id if it takes one.
    async fn create(
        &self,
        connection: &Connection,
        request: DynamicMessage,
        id: &str,
    ) -> DynamicMessage {
        let mut request = request;
        if let Some(field) = self.id_field() {
            set(&mut request, &field, Value::String(id.to_owned()));
        }
        let created = self.call(connection, "Create", &request).await;
        let created = created.unwrap_or_else(|status| panic!("{}: {status:?}", self.message()));
        created.into_inner()
    }

    /// Changes a random resource.
    async fn change(&self, connection: &Connection, name: &str, rng: &mut StdRng) {
        let random = self.random(rng, number_of(name));
        let request = self.update(name, random, &self.changeable());
        let changed = self.call(connection, "Update", &request).await;
        changed.unwrap_or_else(|status| panic!("{name}: {status:?}"));
    }

    async fn delete(&self, connection: &Connection, name: &str) {
        let request = self.naming("Delete", name);
        let deleted = self.call(connection, "Delete", &request).await;
        deleted.unwrap_or_else(|status| panic!("{name}: {status:?}"));
    }

    async fn get(&self, connection: &Connection, name: &str) -> Result<DynamicMessage, Status> {
        let request = self.naming("Get", name);
        let answer = self.call(connection, "Get", &request).await;
        answer.map(Response::into_inner)
    }

    /// Reads a page of the list, with these fields of the request.
    async fn page(
        &self,
        connection: &Connection,
        fields: &[(&str, Value)],
    ) -> Result<Page, Status> {
        let mut request = self.request("List");
        for (field, value) in fields {
            request.set_field_by_name(field, value.clone());
        }
        let answer = self.call(connection, "List", &request).await?.into_inner();
        let rows = answer.get_field_by_number(1).expect("a list has rows");
        let rows = rows.as_list().expect("rows are a list").iter();
        Ok(Page {
            rows: rows
                .map(|row| row.as_message().expect("rows are messages").clone())
                .collect(),
            next: text(&answer, "next_page_token"),
        })
    }

    /// Opens a watch of a name, an owner or a filter, as `way` says.
    async fn watch(
        &self,
        connection: &Connection,
        way: Way,
        what: &str,
        options: WatchOptions,
    ) -> Result<Stream, Status> {
        let rpc = match way {
            Way::One | Way::Owner => method("WatchCart"),
            Way::All | Way::Names | Way::Filter => {
                self.rpc("Watch").expect("the resource has a watch")
            }
        };
        let mut request = DynamicMessage::new(rpc.input());
        let what = Value::String(what.to_owned());
        match way {
            Way::One => set(&mut request, "target.cart", what),
            Way::Owner => set(&mut request, "target.owner.visitor", what),
            Way::Names => set(&mut request, "names", Value::List(vec![what])),
            Way::Filter => set(&mut request, "filter", what),
            Way::All => {}
        }
        set(&mut request, "options", Value::Message(reflect(&options)));
        let messages = stream(connection, &rpc, request.encode_to_vec())
            .await?
            .into_inner();
        Ok(messages.map(|message| message.map(Received::of)).boxed())
    }
}

impl<S: Specimen + ?Sized> Rpcs for S {}

/// Calls an RPC with a reflected message.
pub async fn answer(
    connection: &Connection,
    rpc: &MethodDescriptor,
    request: &DynamicMessage,
) -> Result<Response<DynamicMessage>, Status> {
    let answer = ask(connection, rpc, request.encode_to_vec()).await?;
    let decode = |bytes| DynamicMessage::decode(rpc.output(), bytes).expect("an answer decodes");
    Ok(answer.map(decode))
}

/// Converts `savedFilters/{id}` to `SavedFilters`.
fn plural(pattern: &str) -> String {
    let mut words = pattern.rsplit('/').skip(1);
    let collection = words.next().expect("a pattern has a collection");
    collection[..1].to_uppercase() + &collection[1..]
}

/// Returns the field of a request that holds the resource.
fn resource_field(request: &DynamicMessage, resource: &DynamicMessage) -> FieldDescriptor {
    let is_it = |field: &FieldDescriptor| field.kind() == Kind::Message(resource.descriptor());
    let field = request.descriptor().fields().find(is_it);
    field.unwrap_or_else(|| {
        panic!(
            "{} has no field for the resource",
            request.descriptor().name()
        )
    })
}

/// Returns the number in the name of a random resource.
pub fn number_of(name: &str) -> u64 {
    let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    digits.parse().unwrap_or_default()
}
