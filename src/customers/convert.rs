//! Customers between the contract and the model.
//!
//! What one field alone decides has been checked by the access layer. Here is what needs the kind of
//! write or a second field; what needs the database is left to the writes.

use std::collections::BTreeMap;

use crate::{
    access::{Caller, format},
    attributes,
    error::Violation,
    feed, groups,
    proto::pb,
};

use super::model::{AccountType, Consent, Customer, Kind, Money, Risk, State};

/// The first part of a customer's name.
pub const COLLECTION: &str = "customers";

/// The full name of a customer.
#[must_use]
pub fn name(id: &str) -> String {
    format!("{COLLECTION}/{id}")
}

/// The id in a customer's name, which the access layer has checked; empty for other text.
#[must_use]
pub fn id_of(name: &str) -> &str {
    format::ids::<1>("customers/{id}", name).map_or("", |[id]| id)
}

/// The full name of an address.
pub(super) fn address_name(customer: &str, id: &str) -> String {
    format!("{COLLECTION}/{customer}/addresses/{id}")
}

/// The ids of the customer and of the address in an address's name.
pub(super) fn address_ids(name: &str) -> (&str, &str) {
    format::ids::<2>("customers/{id}/addresses/{id}", name).map_or(("", ""), |[c, a]| (c, a))
}

/// The full name of a title.
pub(super) fn title_name(id: &str) -> String {
    format!("titles/{id}")
}

/// The id in a title's name.
pub(super) fn title_id(name: &str) -> &str {
    format::ids::<1>("titles/{id}", name).map_or("", |[id]| id)
}

/// A name, or nothing where there is no id.
fn name_if_any(id: &str, name: impl Fn(&str) -> String) -> String {
    if id.is_empty() {
        String::new()
    } else {
        name(id)
    }
}

/// The customer as the contract has it, without what is derived.
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

/// What an update may change, in the order of the contract.
pub(super) const WRITABLE: &[&str] = &[
    "number",
    "external_ids",
    "account_type",
    "kind",
    "state",
    "title",
    "first_name",
    "last_name",
    "email",
    "password",
    "phone",
    "company",
    "website",
    "vat_number",
    "registration_number",
    "activity_code",
    "credit_limit",
    "payment_days",
    "risk",
    "birth_date",
    "language_code",
    "storefront",
    "default_group",
    "groups",
    "newsletter",
    "partner_offers",
    "tax_exempt",
    "accounting_number",
    "attributes",
    "default_billing_address",
    "default_shipping_address",
];

/// What an update may name although it changes nothing.
pub(super) const IGNORED: &[&str] = &[
    "name",
    "age",
    "create_time",
    "update_time",
    "delete_time",
    "last_visit_time",
    "online",
    "etag",
];

/// Whether a field of `WRITABLE` is set.
pub(super) fn is_set(sent: &pb::Customer, path: &str) -> bool {
    match path {
        "number" => !sent.number.is_empty(),
        "external_ids" => !sent.external_ids.is_empty(),
        "account_type" => sent.account_type != 0,
        "kind" => sent.kind != 0,
        "state" => sent.state != 0,
        "title" => !sent.title.is_empty(),
        "first_name" => !sent.first_name.is_empty(),
        "last_name" => !sent.last_name.is_empty(),
        "email" => !sent.email.is_empty(),
        "password" => sent.password.is_some(),
        "phone" => !sent.phone.is_empty(),
        "company" => !sent.company.is_empty(),
        "website" => !sent.website.is_empty(),
        "vat_number" => !sent.vat_number.is_empty(),
        "registration_number" => !sent.registration_number.is_empty(),
        "activity_code" => !sent.activity_code.is_empty(),
        "credit_limit" => sent.credit_limit.is_some(),
        "payment_days" => sent.payment_days.is_some(),
        "risk" => sent.risk != 0,
        "birth_date" => !sent.birth_date.is_empty(),
        "language_code" => !sent.language_code.is_empty(),
        "storefront" => !sent.storefront.is_empty(),
        "default_group" => !sent.default_group.is_empty(),
        "groups" => !sent.groups.is_empty(),
        "newsletter" => sent.newsletter.is_some(),
        "partner_offers" => sent.partner_offers.is_some(),
        "tax_exempt" => sent.tax_exempt,
        "accounting_number" => !sent.accounting_number.is_empty(),
        "attributes" => sent.attributes.is_some(),
        "default_billing_address" => !sent.default_billing_address.is_empty(),
        "default_shipping_address" => !sent.default_shipping_address.is_empty(),
        _ => false,
    }
}

/// Gives a customer the values sent for these fields of `WRITABLE`, except for the password.
///
/// Where an empty value cannot be, the field stays as it is: number, account type, state and the
/// default addresses. All violations are collected.
pub(super) fn apply(
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
        "email" => text(&mut customer.email, &sent.email),
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
        "language_code" => text(&mut customer.language_code, &sent.language_code),
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

fn external_ids(
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

/// What is agreed to now. Its time is the one sent; else, where the answer changes, the present.
fn consent(before: Option<&Consent>, sent: Option<&pb::Consent>, now: i64) -> Option<Consent> {
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

/// What must be true of a customer that was `before` as it was; what was accepted once stays so.
pub(super) fn check(
    caller: &Caller,
    before: Option<&Customer>,
    customer: &Customer,
    has_password: bool,
    today: jiff::civil::Date,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let may_lack_email =
        customer.account_type == AccountType::Staff || caller.roles.has(pb::Role::Ingest);
    let is_new = before.is_none_or(|before| {
        before.email != customer.email || before.account_type != customer.account_type
    });
    if customer.email.is_empty() && is_new && !may_lack_email {
        let text = "an e-mail address is required";
        violations.push(Violation::new("customer.email", "REQUIRED", text));
    }
    if has_password && customer.kind == Kind::Guest {
        let text = "a guest has no password";
        violations.push(Violation::new("customer.password", "NOT_ALLOWED", text));
    }
    let born: Option<jiff::civil::Date> = customer.birth_date.parse().ok();
    if born.is_some_and(|born| born > today) {
        let text = "the birth date is in the future";
        violations.push(Violation::new("customer.birth_date", "OUT_OF_RANGE", text));
    }
    violations
}

/// The e-mail address that a customer claims for itself: registered ones do, as long as they are not
/// deleted with the address freed.
pub(super) fn claim(customer: &Customer) -> Option<String> {
    if customer.kind == Kind::Guest {
        return None;
    }
    format::email_claim(&customer.email)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_sent_is_what_is_answered() {
        let mut customer = Customer {
            id: "ada".to_owned(),
            ..Customer::default()
        };

        let violations = apply(&mut customer, &sent(), WRITABLE, 5_000_000);

        assert_eq!(violations, []);
        let answer = message(&customer);
        assert_eq!(answer.name, "customers/ada");
        assert_eq!(answer.email, " Ada@Example.TEST");
        assert_eq!(answer.groups, ["groups/a", "groups/vip"]);
        assert_eq!(
            answer.newsletter.unwrap().time,
            Some(feed::timestamp(5_000_000))
        );
        assert_eq!(claim(&customer).as_deref(), Some("ada@example.test"));
    }

    #[test]
    fn every_writable_field_of_the_contract_is_in_one_of_the_lists() {
        let descriptor = crate::proto::POOL
            .get_message_by_name("clientela.v1.Customer")
            .unwrap();
        let mut listed: Vec<&str> = WRITABLE.iter().chain(IGNORED).copied().collect();
        listed.sort_unstable();
        let mut fields: Vec<String> = descriptor
            .fields()
            .map(|field| field.name().to_owned())
            .collect();
        fields.sort_unstable();

        assert_eq!(listed, fields);
    }

    #[test]
    fn only_fields_with_a_value_are_set() {
        let sent = sent();

        let set: Vec<&str> = WRITABLE
            .iter()
            .copied()
            .filter(|path| is_set(&sent, path))
            .collect();

        assert_eq!(set, ["first_name", "email", "groups", "newsletter"]);
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

        let violations = apply(&mut customer, &sent, WRITABLE, 0);

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
}
