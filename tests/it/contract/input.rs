//! Tests bad input of every kind on every RPC that takes it: the code, the reason and the named field of
//! the refusal, and that nothing has changed.

mod amounts;
mod conflicts;
mod texts;

use clientela::proto::pb::{ErrorReason, Role};
use prost_reflect::{DynamicMessage, Kind, MethodDescriptor, Value};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::call::{allowed, method, methods, send};
use super::messages::{has, set};
use super::world::World;
use crate::harness::{Shop, assert_refused, reason, violations};
use crate::on_both_engines;
use crate::specimens::{self, Rpcs as _};

/// A bad request and the refusal that it must get.
struct Bad {
    method: MethodDescriptor,
    request: DynamicMessage,
    code: Code,
    reason: ErrorReason,
    /// The field that the refusal must name, with its reason.
    field: Option<(String, &'static str)>,
}

impl Bad {
    fn new(method: &MethodDescriptor, request: DynamicMessage, reason: ErrorReason) -> Self {
        Self {
            method: method.clone(),
            request,
            code: Code::InvalidArgument,
            reason,
            field: None,
        }
    }

    fn with(self, code: Code) -> Self {
        Self { code, ..self }
    }

    fn naming(self, field: &str, reason: &'static str) -> Self {
        Self {
            field: Some((field.to_owned(), reason)),
            ..self
        }
    }
}

/// Sends the requests, asserts that each is refused and that nothing has changed, and returns the
/// refusals.
async fn refused(shop: &Shop, world: &World, all: Vec<Bad>) -> Vec<(Bad, Status)> {
    let before = world.state().await;
    let mut statuses = Vec::new();
    for bad in all {
        let key = match allowed(&bad.method).contains(&Role::Admin) {
            true => &shop.admin_key,
            false => &shop.operator_key,
        };
        let answer = send(shop, key, &bad.method, &bad.request).await;
        // JSON cannot represent some of the bad requests.
        let sent = serde_json::to_string(&bad.request).unwrap_or_default();
        let label = format!("{}: {}", bad.method.name(), &sent[..sent.len().min(300)]);
        let status = answer.expect_err(&label);
        let whole = (status.code(), reason(&status));
        assert_eq!(
            whole,
            (bad.code, bad.reason.as_str_name().into()),
            "{label}: {status:?}"
        );
        assert_refused(&status, bad.code, bad.reason);
        if let Some((field, reason)) = &bad.field {
            let named = (field.clone(), (*reason).to_owned());
            assert_eq!(violations(&status), [named], "{label}");
        }
        statuses.push((bad, status));
    }
    world.state().await.assert_unchanged(&before);
    statuses
}

fn metadata(status: &Status, key: &str) -> String {
    let info = status
        .get_details_error_info()
        .expect("every refusal has an ErrorInfo");
    info.metadata.get(key).cloned().unwrap_or_default()
}

/// Returns the field of the resource in the request of an RPC that creates or updates one.
fn resource(method: &MethodDescriptor) -> Option<String> {
    let field = method.input().get_field(1)?;
    let Kind::Message(message) = field.kind() else {
        return None;
    };
    message.get_field_by_name("name")?;
    Some(field.name().to_owned())
}

/// Returns the path of the etag in a request.
fn etag(method: &MethodDescriptor) -> Option<String> {
    if method.name().starts_with("Create") {
        return None;
    }
    if method.input().get_field_by_name("etag").is_some() {
        return Some("etag".to_owned());
    }
    let resource = resource(method)?;
    let field = method.input().get_field_by_name(&resource)?;
    field.kind().as_message()?.get_field_by_name("etag")?;
    Some(format!("{resource}.etag"))
}

fn takes(method: &MethodDescriptor, field: &str) -> bool {
    method.input().get_field_by_name(field).is_some()
}

on_both_engines! {
    async fn a_stale_etag_is_refused_with_the_current_one(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "etags");
        let mut all = Vec::new();
        for method in methods() {
            let Some(path) = etag(&method) else { continue };
            let mut request = world.request(method.name()).await;
            set(&mut request, &path, Value::String("\"77-0badcafe\"".into()));
            all.push(Bad::new(&method, request, ErrorReason::EtagMismatch).with(Code::Aborted));
        }
        assert!(all.len() >= 20, "only {} RPCs take an etag", all.len());

        for (bad, status) in refused(&shop, &world, all).await {
            let path = etag(&bad.method).unwrap();
            let current = metadata(&status, "current_etag");
            let mut request = bad.request;
            set(&mut request, &path, Value::String(current));
            let answer = send(&shop, &shop.admin_key, &bad.method, &request).await;
            answer.unwrap_or_else(|status| panic!("{}: {status:?}", bad.method.name()));
        }
    }

    async fn an_update_with_an_empty_or_unknown_mask_is_refused(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "masks");
        let mut all = Vec::new();
        for method in methods() {
            let Some(resource) = resource(&method).filter(|_| takes(&method, "update_mask")) else {
                continue;
            };
            let good = world.request(method.name()).await;
            let bad = |request| Bad::new(&method, request, ErrorReason::InvalidField);
            for (paths, reason) in [
                (vec![], "REQUIRED"),
                (vec!["update_time"], "REQUIRED"),
                (vec!["updateTime", "etag"], "REQUIRED"),
                (vec!["shoe_size"], "UNKNOWN_FIELD"),
                (vec!["etag.x"], "UNKNOWN_FIELD"),
                (vec![""], "UNKNOWN_FIELD"),
                (vec!["Name"], "UNKNOWN_FIELD"),
            ] {
                let mut request = good.clone();
                let paths = paths.into_iter().map(|path| Value::String(path.into())).collect();
                set(&mut request, "update_mask.paths", Value::List(paths));
                all.push(bad(request).naming("update_mask", reason));
            }
            // Without a mask the fields that are set change. Here only the name is set.
            let field = method.input().get_field_by_name(&resource).unwrap();
            let whole = good.get_field(&field).into_owned();
            let mut bare = DynamicMessage::new(field.kind().as_message().unwrap().clone());
            let name = whole.as_message().unwrap().get_field_by_name("name").unwrap().into_owned();
            bare.set_field_by_name("name", name);
            let mut request = good.clone();
            request.set_field(&field, Value::Message(bare));
            all.push(bad(request).naming("update_mask", "REQUIRED"));
        }
        assert!(all.len() >= 6 * 8, "only {} updates", all.len());

        refused(&shop, &world, all).await;
    }

    async fn an_id_that_is_in_use_is_refused(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "ids");
        let mut all = Vec::new();
        let mut names = Vec::new();
        for specimen in specimens::ALL {
            let Some(field) = specimen.id_field() else { continue };
            let method = specimen.rpc("Create").unwrap();
            let mut request = world.request(method.name()).await;
            let name = world.name(specimen.pattern()).await;
            let id = name.rsplit('/').next().unwrap();
            set(&mut request, &field, Value::String(id.into()));
            if method.name() == "CreateAddress" {
                set(&mut request, "customer", Value::String(world.name("customers/{id}").await));
            }
            all.push(Bad::new(&method, request, ErrorReason::NameTaken).with(Code::AlreadyExists));
            names.push(name);
        }
        let with_ids = methods().into_iter().filter(|method| {
            let input = method.input();
            let is_id = |name: &str| name.ends_with("_id") && name != "request_id";
            method.name().starts_with("Create") && input.fields().any(|field| is_id(field.name()))
        });
        assert_eq!(with_ids.count(), all.len(), "every RPC that takes an id is called");

        for ((_, status), name) in refused(&shop, &world, all).await.into_iter().zip(names) {
            assert_eq!(metadata(&status, "name"), name);
        }
    }

    async fn a_request_id_is_refused_for_any_other_request(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "requests");
        let with_id = |request: &DynamicMessage, id: &str| {
            let mut request = request.clone();
            set(&mut request, "request_id", Value::String(id.into()));
            request
        };
        let used: Vec<MethodDescriptor> =
            methods().into_iter().filter(|method| takes(method, "request_id")).collect();
        assert!(used.len() >= 30, "only {} RPCs take a request id", used.len());
        // Each id is used by one RPC and then by the next one.
        let mut all = Vec::new();
        for (at, first) in used.iter().enumerate() {
            let request = world.request(first.name()).await;
            let id = format!("of {}", first.name());
            let key = match allowed(first).contains(&Role::Admin) {
                true => &shop.admin_key,
                false => &shop.operator_key,
            };
            let answer = send(&shop, key, first, &with_id(&request, &id)).await;
            // A dry run stores no request id, and the operation may have ended.
            if has(&request, "validate_only") || first.name() == "CancelOperation" {
                continue;
            }
            answer.unwrap_or_else(|status| panic!("{}: {status:?}", first.name()));
            let next = &used[(at + 1) % used.len()];
            for second in [next, &method("AddMembers"), &method("CreateTitle")] {
                if second == first {
                    continue;
                }
                let request = with_id(&world.request(second.name()).await, &id);
                all.push(Bad::new(second, request, ErrorReason::RequestIdReused));
            }
        }

        refused(&shop, &world, all).await;
    }

    async fn an_ordered_cart_is_not_edited(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "ordered");
        let ordered = world.ordered_cart().await;
        let mut all = Vec::new();
        let carts = methods().into_iter().filter(|method| {
            method.parent_service().name() == "CartService" && takes(method, "request_id")
        });
        // These calls need no open cart.
        let others = ["CreateCart", "ReopenCart", "RecoverCart", "UnlockCart"];
        let edits = |method: &MethodDescriptor| !others.contains(&method.name());
        for method in carts.filter(edits) {
            let mut request = world.request(method.name()).await;
            let paths = [
                ("source.cart", &ordered.name),
                ("target.cart", &ordered.name),
                ("cart.name", &ordered.name),
                ("name", &ordered.items[0].name),
            ];
            let (path, name) = paths.iter().find(|(path, _)| has(&request, path)).unwrap();
            set(&mut request, path, Value::String((*name).clone()));
            let bad = Bad::new(&method, request, ErrorReason::CartNotOpen);
            all.push(bad.with(Code::FailedPrecondition));
        }
        assert_eq!(all.len(), 15, "each call that edits a cart");

        for (_, status) in refused(&shop, &world, all).await {
            assert_eq!(metadata(&status, "state"), "STATE_ORDERED");
            assert_eq!(metadata(&status, "order_reference"), ordered.order_reference);
        }
    }
}
