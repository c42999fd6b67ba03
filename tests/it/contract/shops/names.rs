//! Tests each field of a request that may name a resource, with a name of another shop.

use std::collections::BTreeSet;

use clientela::contract::{Field, Kind, MessageId, Shape, TABLES};
use clientela::limits::Rule;
use clientela::proto::pb::Role;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::Status;

use super::super::call::{allowed, call, methods, next, open, said};
use super::super::messages::set;
use super::super::world::World;
use super::{TAG, names_the_other, other_shop};
use crate::harness::{Shop, reason, violations};
use crate::on_both_engines;
use crate::specimens::{self, Rpcs as _};

/// A field of a request that names a resource.
struct Place {
    path: String,
    pattern: &'static str,
    is_list: bool,
    /// The server ignores the name of a new resource.
    is_new: bool,
}

/// Returns all such fields in the request of an RPC.
fn places(method: &MethodDescriptor) -> Vec<Place> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let table = TABLES.method(&path).expect("the tables have all RPCs");
    let mut found = Vec::new();
    let mut open: Vec<(MessageId, String)> = vec![(table.request, String::new())];
    while let Some((id, at)) = open.pop() {
        let fields = TABLES.message(id).fields();
        for field in fields.filter(|field| !field.output_only) {
            let path = match at.as_str() {
                "" => field.name.clone(),
                at => format!("{at}.{}", field.name),
            };
            if let Some((pattern, is_list)) = names(field) {
                let is_new = table.creates && field.name == "name";
                found.push(Place {
                    path,
                    pattern,
                    is_list,
                    is_new,
                });
            } else if let (Kind::Message(nested), Shape::One | Shape::List) =
                (&field.kind, field.shape)
                && TABLES.message(*nested).known.is_none()
            {
                open.push((*nested, path));
            }
        }
    }
    found
}

/// Returns the pattern of the names in a field, and whether it is a list.
fn names(field: &Field) -> Option<(&'static str, bool)> {
    let of = |rule: Rule| match rule {
        Rule::Name(pattern) | Rule::NameOrId(pattern) => Some(pattern),
        Rule::Member => Some("customers/{id}"),
        _ => None,
    };
    match field.rule? {
        Rule::List(_, each) => of(*each).map(|pattern| (pattern, true)),
        rule => of(rule).map(|pattern| (pattern, false)),
    }
}

/// Calls an RPC and returns its answer. Of a watch these are the changes of its snapshot, and of
/// WatchOperation its first message.
async fn outcome(
    shop: &Shop,
    key: &str,
    method: &MethodDescriptor,
    request: &DynamicMessage,
) -> Result<Vec<u8>, Status> {
    let bytes = request.encode_to_vec();
    if !method.name().starts_with("Watch") || method.name() == "WatchOperation" {
        let answer = call(shop, key, method, bytes).await?;
        return Ok(answer.unwrap_or_default().to_vec());
    }
    let mut stream = open(shop, key, method, bytes).await?;
    let mut received = Vec::new();
    loop {
        let message = next(&mut stream).await?.expect("the watch stays open");
        let message = DynamicMessage::decode(method.output(), message).unwrap();
        for change in message
            .get_field_by_name("changes")
            .unwrap()
            .as_list()
            .unwrap()
        {
            received.extend(change.as_message().unwrap().encode_to_vec());
        }
        if message.has_field_by_name("snapshot_end") {
            return Ok(received);
        }
    }
}

/// Returns an answer or a refusal as bytes, with one name replaced by another of the same length.
fn bytes(outcome: &Result<Vec<u8>, Status>, name: &str, other: &str) -> Vec<u8> {
    let whole = match outcome {
        Ok(answer) => answer.clone(),
        Err(status) => said(status).join("\n").into_bytes(),
    };
    replaced(&whole, name.as_bytes(), other.as_bytes())
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

/// Fields that may name an absent resource: lists with a result for each name, watches of carts that may
/// be created later, and fields that the server ignores. The names of watches are added by the test.
const WITHOUT_IT: [&str; 8] = [
    "AddMembers.members",
    "CreateCustomer.customer.default_billing_address",
    "CreateCustomer.customer.default_shipping_address",
    "RemoveMembers.members",
    "UpdateCart.cart.billing_address.name",
    "UpdateCart.cart.delivery_address.name",
    "WatchCart.target.cart",
    "WatchCart.target.owner.customer",
];

/// Two names of the same length: one of the other shop, and one that does not exist.
struct Names {
    foreign: String,
    absent: String,
}

impl Names {
    /// Returns the names to test in a field: the other shop's, and its last part below a parent of the
    /// caller's.
    async fn at(place: &Place, theirs: &World, ours: &World) -> Vec<Self> {
        let whole = theirs.name(place.pattern).await;
        let mut names = vec![whole.clone()];
        for (collection, parent) in [("addresses", "customers/{id}"), ("items", "carts/{id}")] {
            if let Some((_, last)) = whole.split_once(&format!("/{collection}/")) {
                names.push(format!("{}/{collection}/{last}", ours.name(parent).await));
            }
        }
        let with_absent = |foreign: String| {
            let (rest, last) = foreign.split_at(foreign.len() - 1);
            let absent = format!("{rest}{}", if last == "q" { "r" } else { "q" });
            Self { foreign, absent }
        };
        names.into_iter().map(with_absent).collect()
    }
}

/// Calls an RPC with both names in a field of a valid request, and asserts that the answers are the
/// same. Returns whether the calls succeeded.
async fn goes_on(
    shop: &Shop,
    key: &str,
    method: &MethodDescriptor,
    good: &DynamicMessage,
    place: &Place,
    names: &Names,
) -> bool {
    let ask = async |name: &str| {
        let mut request = good.clone();
        let name = Value::String(name.to_owned());
        let name = if place.is_list {
            Value::List(vec![name])
        } else {
            name
        };
        set(&mut request, &place.path, name);
        outcome(shop, key, method, &request).await
    };
    let Names { foreign, absent } = names;
    let label = format!("{}.{}, {foreign}", method.name(), place.path);

    let theirs = ask(foreign).await;
    let nobodys = ask(absent).await;

    let seen = bytes(&theirs, foreign, absent);
    // A new resource gets a name and a time of its own each time.
    if theirs.is_err() || !method.name().starts_with("Create") {
        let same = seen == bytes(&nobodys, foreign, absent);
        assert!(same, "{label}: {theirs:?}, but {nobodys:?}");
    }
    let rest = replaced(&seen, absent.as_bytes(), b"");
    assert!(!names_the_other(&rest), "{label}: {theirs:?}");
    match (theirs, nobodys) {
        (Ok(_), Ok(_)) => true,
        (Err(status), Err(_)) => {
            let of_name = violations(&status);
            let of_name = of_name
                .iter()
                .any(|(field, _)| field.starts_with(&place.path));
            let reason = reason(&status);
            let of_kind = ["NOT_FOUND", "DEFAULT_GROUP_NOT_MEMBER"].contains(&reason.as_str());
            assert!(
                of_name || of_kind,
                "{label}: the name is not the reason: {status:?}"
            );
            false
        }
        (theirs, nobodys) => panic!("{label}: {theirs:?}, but {nobodys:?}"),
    }
}

on_both_engines! {
    async fn a_name_of_another_shop_gets_the_answer_of_an_absent_one(shop: Shop) {
        let theirs = World::new(&shop, &shop.admin_key, TAG);
        theirs.make_all().await;
        let key = other_shop(&shop).await;
        let ours = World::new(&shop, &key, "lindgren");
        let before = theirs.state().await;
        let (mut asked, mut kinds, mut went_on) = (0, BTreeSet::new(), BTreeSet::new());

        let open = |method: &MethodDescriptor| allowed(method).contains(&Role::Admin);
        for method in methods().into_iter().filter(open) {
            for place in places(&method).into_iter().filter(|place| !place.is_new) {
                kinds.insert(place.pattern);
                let good = ours.request(method.name()).await;
                for names in Names::at(&place, &theirs, &ours).await {
                    if goes_on(&shop, &key, &method, &good, &place, &names).await {
                        went_on.insert(format!("{}.{}", method.name(), place.path));
                    }
                    asked += 1;
                }
            }
        }

        let watches = specimens::watched().filter_map(|kind| kind.rpc("Watch"));
        let watches = watches.map(|method| format!("{}.names", method.name()));
        let without_it: BTreeSet<String> = watches.chain(WITHOUT_IT.map(str::to_owned)).collect();
        assert_eq!(went_on, without_it);
        let all: BTreeSet<&str> = specimens::ALL.iter().map(|kind| kind.pattern()).collect();
        assert_eq!(kinds, all, "every kind is named somewhere");
        assert!(asked >= 80, "only {asked} names are tested");
        theirs.state().await.assert_unchanged(&before);
    }
}
