//! Conversion of a customer field by field.

use std::collections::BTreeMap;

use crate::{
    attributes,
    customers::model::{AccountType, Consent, Customer, Kind, Money, Risk, State},
    error::Violation,
    feed, format, groups,
    proto::pb,
};

use super::{address_ids, address_name, name, title_id, title_name};

/// The name with this id, or empty text if there is no id.
fn name_if_any(id: &str, name: impl Fn(&str) -> String) -> String {
    if id.is_empty() {
        String::new()
    } else {
        name(id)
    }
}

/// Converts a customer to its message, without derived fields.
#[must_use]
pub fn message(customer: &Customer) -> pb::Customer {
    let Customer { id, version, .. } = customer;
    let name = name(id);
    let etag = feed::etag(&name, *version);
    let external_id = |(system, id): (&String, &String)| pb::ExternalId {
        system: system.clone(),
        id: id.clone(),
    };
    pb::Customer {
        name,
        number: customer.number.clone(),
        external_ids: customer.external_ids.iter().map(external_id).collect(),
        account_type: customer.account_type.number(),
        kind: customer.kind.number(),
        state: customer.state.number(),
        title: name_if_any(&customer.title, title_name),
        first_name: customer.first_name.clone(),
        last_name: customer.last_name.clone(),
        email: customer.email.clone(),
        password: None,
        phone: customer.phone.clone(),
        company: customer.company.clone(),
        website: customer.website.clone(),
        vat_number: customer.vat_number.clone(),
        registration_number: customer.registration_number.clone(),
        activity_code: customer.activity_code.clone(),
        credit_limit: customer.credit_limit.as_ref().map(|limit| pb::Money {
            currency_code: limit.currency.clone(),
            micros: limit.micros,
        }),
        payment_days: customer.payment_days,
        risk: customer.risk.number(),
        birth_date: customer.birth_date.clone(),
        age: None,
        language_code: customer.language_code.clone(),
        storefront: customer.storefront.clone(),
        default_group: name_if_any(&customer.default_group, groups::name),
        groups: customer.groups.iter().map(|id| groups::name(id)).collect(),
        newsletter: customer.newsletter.as_ref().map(consent_message),
        partner_offers: customer.partner_offers.as_ref().map(consent_message),
        tax_exempt: customer.tax_exempt,
        accounting_number: customer.accounting_number.clone(),
        attributes: attributes::to_struct_if_any(&customer.attributes),
        default_billing_address: name_if_any(&customer.default_billing_address, |address| {
            address_name(id, address)
        }),
        default_shipping_address: name_if_any(&customer.default_shipping_address, |address| {
            address_name(id, address)
        }),
        create_time: Some(feed::timestamp(customer.create_time)),
        update_time: Some(feed::timestamp(customer.update_time)),
        delete_time: customer.delete_time.map(feed::timestamp),
        last_visit_time: None,
        online: false,
        etag,
    }
}

fn consent_message(consent: &Consent) -> pb::Consent {
    pb::Consent {
        subscribed: consent.subscribed,
        time: consent.time.map(feed::timestamp),
        source: consent.source.clone(),
    }
}

/// Sets these fields of a customer to the sent values, except for the password.
///
/// The fields that cannot be empty keep their value when the sent one is empty: number, account type, state
/// and the default addresses. All violations are collected.
pub(in crate::customers) fn apply(
    customer: &mut Customer,
    sent: &pb::Customer,
    paths: &[&str],
    now: i64,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for path in paths {
        apply_one(customer, sent, path, now, &mut violations);
    }
    violations
}

fn apply_one(
    customer: &mut Customer,
    sent: &pb::Customer,
    path: &str,
    now: i64,
    violations: &mut Vec<Violation>,
) {
    let text = |to: &mut String, from: &String| to.clone_from(from);
    match path {
        "number" if !sent.number.is_empty() => text(&mut customer.number, &sent.number),
        "external_ids" => customer.external_ids = external_ids(&sent.external_ids, violations),
        "account_type" => {
            customer.account_type =
                AccountType::of(sent.account_type).unwrap_or(customer.account_type);
        }
        "kind" => match Kind::of(sent.kind) {
            // A new customer has no version, and any kind.
            Some(kind) if customer.version == 0 => customer.kind = kind,
            Some(kind) if kind != customer.kind => violations.push(Violation::new(
                "customer.kind",
                "IMMUTABLE",
                "the kind cannot be changed by an update",
            )),
            Some(_) | None => {}
        },
        "state" => customer.state = State::of(sent.state).unwrap_or(customer.state),
        "title" => customer.title = title_id(&sent.title).to_owned(),
        "first_name" => text(&mut customer.first_name, &sent.first_name),
        "last_name" => text(&mut customer.last_name, &sent.last_name),
        "email" => sent.email.trim().clone_into(&mut customer.email),
        "phone" => text(&mut customer.phone, &sent.phone),
        "company" => text(&mut customer.company, &sent.company),
        "website" => text(&mut customer.website, &sent.website),
        "vat_number" => text(&mut customer.vat_number, &sent.vat_number),
        "registration_number" => {
            text(&mut customer.registration_number, &sent.registration_number);
        }
        "activity_code" => text(&mut customer.activity_code, &sent.activity_code),
        "credit_limit" => {
            customer.credit_limit = sent.credit_limit.as_ref().map(|limit| Money {
                currency: limit.currency_code.clone(),
                micros: limit.micros,
            });
        }
        "payment_days" => customer.payment_days = sent.payment_days,
        "risk" => customer.risk = Risk::of(sent.risk).unwrap_or_default(),
        "birth_date" => text(&mut customer.birth_date, &sent.birth_date),
        "language_code" => {
            customer.language_code = format::canonical_language(&sent.language_code);
        }
        "storefront" => text(&mut customer.storefront, &sent.storefront),
        "default_group" => customer.default_group = group_id(&sent.default_group),
        "groups" => customer.groups = group_ids(&sent.groups),
        "newsletter" => {
            customer.newsletter =
                consent(customer.newsletter.as_ref(), sent.newsletter.as_ref(), now);
        }
        "partner_offers" => {
            customer.partner_offers = consent(
                customer.partner_offers.as_ref(),
                sent.partner_offers.as_ref(),
                now,
            );
        }
        "tax_exempt" => customer.tax_exempt = sent.tax_exempt,
        "accounting_number" => text(&mut customer.accounting_number, &sent.accounting_number),
        "attributes" => {
            customer.attributes = sent
                .attributes
                .as_ref()
                .map(attributes::to_map)
                .unwrap_or_default();
        }
        "default_billing_address" => default_address(
            &customer.id,
            &mut customer.default_billing_address,
            &sent.default_billing_address,
            path,
            violations,
        ),
        "default_shipping_address" => default_address(
            &customer.id,
            &mut customer.default_shipping_address,
            &sent.default_shipping_address,
            path,
            violations,
        ),
        _ => {}
    }
}

fn default_address(
    customer: &str,
    to: &mut String,
    name: &str,
    path: &str,
    violations: &mut Vec<Violation>,
) {
    match address_ids(name) {
        ("", _) => {}
        (owner, id) if owner == customer => id.clone_into(to),
        _ => violations.push(Violation::new(
            format!("customer.{path}"),
            "NOT_FOUND",
            "the customer has no such address",
        )),
    }
}

pub(super) fn external_ids(
    sent: &[pb::ExternalId],
    violations: &mut Vec<Violation>,
) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for (index, sent) in sent.iter().enumerate() {
        if ids.insert(sent.system.clone(), sent.id.clone()).is_some() {
            violations.push(Violation::new(
                format!("customer.external_ids[{index}].system"),
                "DUPLICATE",
                "there is one id per system",
            ));
        }
    }
    ids
}

fn group_id(name: &str) -> String {
    groups::id_of(name).unwrap_or_default().to_owned()
}

fn group_ids(names: &[String]) -> Vec<String> {
    let mut ids: Vec<String> = names.iter().map(|name| group_id(name)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The new consent. Its time is the sent one, or the present if the answer changes without one.
pub(super) fn consent(
    before: Option<&Consent>,
    sent: Option<&pb::Consent>,
    now: i64,
) -> Option<Consent> {
    let sent = sent?;
    let was = before.is_some_and(|before| before.subscribed);
    let time = match &sent.time {
        Some(time) => Some(feed::micros(time)),
        None if sent.subscribed != was => Some(now),
        None => before.and_then(|before| before.time),
    };
    Some(Consent {
        subscribed: sent.subscribed,
        time,
        source: sent.source.clone(),
    })
}
