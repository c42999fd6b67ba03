//! Tests of the conversion of customers from and to the contract.

use super::fields::{consent, external_ids};
use super::*;
use crate::feed;

fn sent() -> pb::Customer {
    pb::Customer {
        first_name: "Ada".to_owned(),
        email: " Ada@Example.TEST".to_owned(),
        groups: vec![
            "groups/vip".to_owned(),
            "groups/a".to_owned(),
            "groups/vip".to_owned(),
        ],
        newsletter: Some(pb::Consent {
            subscribed: true,
            ..pb::Consent::default()
        }),
        ..pb::Customer::default()
    }
}

#[test]
fn a_customer_is_returned_as_it_was_sent() {
    let mut customer = Customer {
        id: "ada".to_owned(),
        ..Customer::default()
    };

    let violations = apply(
        &mut customer,
        &sent(),
        &crate::mask::writable::<pb::Customer>(),
        5_000_000,
    );

    assert_eq!(violations, []);
    let answer = message(&customer);
    assert_eq!(answer.name, "customers/ada");
    assert_eq!(answer.email, "Ada@Example.TEST");
    assert_eq!(answer.groups, ["groups/a", "groups/vip"]);
    assert_eq!(
        answer.newsletter.unwrap().time,
        Some(feed::timestamp(5_000_000))
    );
    assert_eq!(claim(&customer).as_deref(), Some("ada@example.test"));
}

#[test]
fn consent_keeps_its_time_until_the_answer_changes() {
    let agreed = pb::Consent {
        subscribed: true,
        ..pb::Consent::default()
    };
    let withdrawn = pb::Consent::default();

    let first = consent(None, Some(&agreed), 10).unwrap();
    let again = consent(Some(&first), Some(&agreed), 20).unwrap();
    let then = consent(Some(&again), Some(&withdrawn), 30).unwrap();

    assert_eq!(
        (first.time, again.time, then.time),
        (Some(10), Some(10), Some(30))
    );
    assert_eq!(consent(None, Some(&withdrawn), 40).unwrap().time, None);
    assert_eq!(consent(Some(&then), None, 50), None);
}

#[test]
fn the_kind_and_addresses_of_others_are_refused_by_an_update() {
    let mut customer = Customer {
        id: "ada".to_owned(),
        version: 3,
        ..Customer::default()
    };
    let sent = pb::Customer {
        kind: Kind::Guest.number(),
        default_billing_address: "customers/bob/addresses/home".to_owned(),
        default_shipping_address: "customers/ada/addresses/home".to_owned(),
        ..pb::Customer::default()
    };

    let violations = apply(
        &mut customer,
        &sent,
        &crate::mask::writable::<pb::Customer>(),
        0,
    );

    let fields: Vec<&str> = violations
        .iter()
        .map(|fault| fault.field.as_str())
        .collect();
    assert_eq!(
        fields,
        ["customer.kind", "customer.default_billing_address"]
    );
    assert_eq!(customer.default_shipping_address, "home");
}

#[test]
fn two_ids_of_one_system_are_refused() {
    let id = |id: &str| pb::ExternalId {
        system: "erp".to_owned(),
        id: id.to_owned(),
    };
    let mut violations = Vec::new();

    external_ids(&[id("1"), id("2")], &mut violations);

    assert_eq!(violations[0].field, "customer.external_ids[1].system");
}

#[test]
fn guests_claim_no_address() {
    let guest = Customer {
        kind: Kind::Guest,
        email: "ada@example.test".to_owned(),
        ..Customer::default()
    };

    assert_eq!(claim(&guest), None);
}
