//! Tests every field of every request at its limit and beyond it. The cases are generated from the
//! descriptors and the table of limits, so that a new field needs no line here.

mod probes;

use std::collections::BTreeSet;

use clientela::contract::{Field, Kind, Known, MessageId, Shape, TABLES};
use clientela::proto::pb::{self, ErrorReason};
use futures::{StreamExt as _, stream};
use tonic::{Code, Status};

use super::call::{call, method, methods};
use super::world::World;
use crate::harness::{Shop, assert_refused, reason, repeated, violations};
use crate::on_both_engines;
use probes::{Expected, Probe, Probes};

/// The number of concurrent calls.
const AT_ONCE: usize = 8;

/// Returns every field that a request may have, such as `Customer.email`. Booleans and single messages
/// of the contract are left out, because they have no limit.
fn fields() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<MessageId> = TABLES.methods().map(|method| method.request).collect();
    let mut seen = Vec::new();
    while let Some(id) = open.pop() {
        let message = TABLES.message(id);
        if seen.contains(&id) || message.known.is_some() {
            continue;
        }
        seen.push(id);
        for field in message.fields() {
            if is_limited(field) {
                found.insert(format!("{}.{}", message.name, field.name));
            }
            if let (Kind::Message(nested), Shape::One | Shape::List, false) =
                (&field.kind, field.shape, field.output_only)
            {
                open.push(*nested);
            }
        }
    }
    found
}

fn is_limited(field: &Field) -> bool {
    match (&field.kind, field.shape) {
        (Kind::Bool, _) => false,
        (Kind::Message(id), Shape::One) => match TABLES.message(*id).known {
            Some(Known::Timestamp | Known::Duration | Known::FieldMask | Known::Struct) => true,
            None => false,
        },
        _ => true,
    }
}

/// Reasons of the general rules of fields. Areas refuse with further reasons.
const OF_RULES: [&str; 10] = [
    "BLANK",
    "CONTROL_CHARACTER",
    "FRACTION",
    "INVISIBLE_CHARACTER",
    "MALFORMED",
    "OUT_OF_RANGE",
    "TOO_LONG",
    "TOO_MANY",
    "TOO_SHORT",
    "UNKNOWN_VALUE",
];

/// Returns valid requests with one field at its limit or beyond it, for all RPCs.
async fn probes(world: &World) -> Probes {
    let mut probes = Probes::default();
    for method in methods() {
        let good = world.request(method.name()).await;
        probes.visit(&method, &good);
    }
    probes
}

/// Returns the admin's key, or the operator's for an RPC that needs it.
fn key<'s>(shop: &'s Shop, probe: &Probe) -> &'s str {
    match probe.method.name() {
        "CreateShop" => &shop.operator_key,
        _ => &shop.admin_key,
    }
}

/// Sends the requests beyond a limit, or those at one, and returns the answers.
async fn asked<'p>(
    shop: &'p Shop,
    probes: &'p Probes,
    beyond: bool,
) -> Vec<(&'p Probe, Result<(), Status>)> {
    let probes = probes.all.iter();
    stream::iter(probes.filter(|probe| probe.is_beyond() == beyond))
        .map(|probe| async move {
            let answer = call(shop, key(shop, probe), &probe.method, probe.request.clone());
            (probe, answer.await.map(drop))
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

fn assert_beyond(probe: &Probe, path: &str, expected: &str, status: &Status) {
    assert_refused(status, Code::InvalidArgument, ErrorReason::InvalidField);
    let found = violations(status);
    let wanted = (path.to_owned(), expected.to_owned());
    assert!(
        found.contains(&wanted),
        "{probe}: {wanted:?} is not in {found:?}"
    );
    // A broken part may also break the message that holds it. No other field may be named.
    let strays = found
        .iter()
        .filter(|(field, _)| !path.starts_with(field.as_str()));
    assert_eq!(strays.count(), 0, "{probe}: {found:?}");
}

fn assert_at(probe: &Probe, path: &str, status: &Status) {
    assert_ne!(status.code(), Code::Internal, "{probe}: {status:?}");
    assert_ne!(status.code(), Code::Unimplemented, "{probe}: {status:?}");
    assert_ne!(reason(status), "MALFORMED_REQUEST", "{probe}: {status:?}");
    let broken = violations(status)
        .into_iter()
        .find(|(field, reason)| field == path && OF_RULES.contains(&reason.as_str()));
    assert_eq!(broken, None, "{probe}: {status:?}");
}

on_both_engines! {
    async fn every_field_of_every_request_is_checked_against_its_limit(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "probe");
        let probes = probes(&world).await;
        assert_eq!(probes.fields, fields());
        assert!(probes.fields.len() > 200, "{} fields", probes.fields.len());
        let before = world.state().await;

        let beyond = asked(&shop, &probes, true).await;
        let after = world.state().await;
        let at = asked(&shop, &probes, false).await;

        for (probe, answer) in &beyond {
            let status = answer.as_ref().expect_err(&probe.to_string());
            if let Expected::Refused(path, reason) = &probe.expected {
                assert_beyond(probe, path, reason, status);
            }
        }
        after.assert_unchanged(&before);
        for (probe, answer) in &at {
            if let (Err(status), Expected::Taken(path)) = (answer, &probe.expected) {
                assert_at(probe, path, status);
            }
        }
        let (at, beyond) = (at, beyond.len());
        let taken = at.iter().filter(|(_, answer)| answer.is_ok()).count();
        assert!(at.len() > 500 && beyond > 1_500, "{} at a limit, {beyond} beyond", at.len());
        // The other requests are refused for another reason: an id that is in use, a name that does not
        // exist.
        assert!(2 * taken > at.len(), "of {} requests at a limit {taken} were accepted", at.len());
    }

    /// A larger page size is treated as the largest one.
    async fn a_page_has_at_most_a_thousand_entries(shop: Shop) {
        let customer = pb::CreateCustomerRequest {
            customer: Some(pb::Customer { email: "ada@example.test".into(), ..Default::default() }),
            ..Default::default()
        };
        let mut customers = shop.customers();
        customers.create_customer(customer).await.unwrap();
        let create = |number: u32| {
            let customers = customers.clone();
            let title = pb::Title {
                display_names: [("en".to_owned(), number.to_string())].into(),
                ..Default::default()
            };
            let request = pb::CreateTitleRequest {
                title: Some(title),
                request_id: format!("title {number}"),
                ..Default::default()
            };
            async move {
                let call = || {
                    let (mut customers, request) = (customers.clone(), request.clone());
                    async move { customers.create_title(request).await }
                };
                repeated(call).await.unwrap()
            }
        };
        stream::iter(0..1_000).map(create).buffer_unordered(50).for_each(|_| async {}).await;

        for (asked, given) in [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000), (i32::MAX, 1_000)] {
            let request = pb::ListTitlesRequest { page_size: asked, ..Default::default() };
            let page = customers.list_titles(request).await.unwrap().into_inner();
            assert_eq!(page.titles.len(), given, "asked for {asked}");
            assert!(!page.next_page_token.is_empty());
        }
    }

    /// These durations have limits of their own in addition to those of their type.
    async fn intervals_of_a_watch_are_checked_against_their_limits(shop: Shop) {
        let watch = method("WatchCarts");
        let ask = |options: pb::WatchOptions| {
            let request = pb::WatchCartsRequest { options: Some(options), ..Default::default() };
            call(&shop, &shop.admin_key, &watch, prost::Message::encode_to_vec(&request))
        };
        let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });

        for seconds in [-1, 0, 1, 60, 61, 1_000_000] {
            let heartbeat_interval = span(seconds);
            let options = pb::WatchOptions { heartbeat_interval, ..Default::default() };
            ask(options).await.expect("an interval out of range is moved to the nearest limit");
        }
        for seconds in [0, 60] {
            let min_update_interval = span(seconds);
            ask(pb::WatchOptions { min_update_interval, ..Default::default() }).await.unwrap();
        }
        for seconds in [-1, 61] {
            let min_update_interval = span(seconds);
            let options = pb::WatchOptions { min_update_interval, ..Default::default() };
            let refused = ask(options).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
            let named = ("options.min_update_interval".to_owned(), "OUT_OF_RANGE".to_owned());
            assert_eq!(violations(&refused), [named]);
        }
    }
}
