//! Conversion of customers between the contract and the model.
//!
//! The access layer has checked each field by itself. Here are the rules that depend on the kind of write or
//! on a second field. Rules that need the database are checked by the writes.

mod fields;
#[cfg(test)]
mod tests;

pub(super) use fields::apply;
pub use fields::message;

use crate::{caller::Caller, error::Violation, format, proto::pb};

use super::model::{AccountType, Customer, Kind};

/// The first segment of a customer's name.
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

/// Checks the rules that a customer must keep. Values of `before` that were accepted once stay valid.
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

/// The e-mail address that only this customer may have. Registered customers have one, unless they are
/// deleted and the address was freed.
pub(super) fn claim(customer: &Customer) -> Option<String> {
    if customer.kind == Kind::Guest {
        return None;
    }
    format::email_claim(&customer.email)
}
