//! Customers between the contract and the model.
//!
//! What one field alone decides has been checked by the access layer. Here is what needs the kind of
//! write or a second field; what needs the database is left to the writes.

mod fields;
#[cfg(test)]
mod tests;

pub(super) use fields::apply;

use crate::{attributes, caller::Caller, error::Violation, feed, format, groups, proto::pb};

use super::model::{AccountType, Consent, Customer, Kind};

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
