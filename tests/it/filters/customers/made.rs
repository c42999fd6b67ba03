//! What the customers of these tests are made of.

use clientela::filter::Kind;
use clientela::proto::POOL;
use clientela::proto::pb::{self, Consent, ExternalId};
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _};

use super::{Customers, Sort as _};
use crate::carts::money;
use crate::filters::values::{TEXTS, attributes, maybe};

pub(super) const GROUPS: &[&str] = &["groups/customer", "groups/vip", "groups/club"];
pub(super) const NAMES: &[&str] = &[
    "Ada", "ada", "Ægir", "Łukasz", "O'Neil", "İpek", "Straße", "STRASSE",
];
pub(super) const PHONES: &[&str] = &["+33 1", "+49 (30) 7", "0"];
pub(super) const NUMBERS: &[&str] = &["DE1", "de1", "FR 40"];
pub(super) const LANGUAGES: &[&str] = &["fr", "en", "pt-BR"];
pub(super) const STOREFRONTS: &[&str] = &["paris", "b2b"];
pub(super) const BIRTH_DATES: &[&str] = &["1985-06-21", "2000-02-29", "1999-12-31"];
/// What can be changed of a customer.
pub(super) const CHANGEABLE: [&str; 21] = [
    "external_ids",
    "state",
    "title",
    "first_name",
    "last_name",
    "phone",
    "company",
    "vat_number",
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
];

/// Some groups, sorted, and one of them.
fn groups(rng: &mut impl Rng) -> (Vec<String>, String) {
    let mut groups: Vec<String> = GROUPS
        .iter()
        .filter(|_| rng.random())
        .map(|name| (*name).into())
        .collect();
    if groups.is_empty() {
        groups.push(GROUPS[0].into());
    }
    let default = groups.choose(rng).unwrap().clone();
    (groups, default)
}

fn consent(rng: &mut impl Rng) -> Option<Consent> {
    let subscribed = rng.random();
    rng.random::<bool>().then(|| Consent {
        subscribed,
        ..Default::default()
    })
}

/// A customer like no other but in its values.
pub(super) fn random(rng: &mut StdRng, number: usize) -> pb::Customer {
    let (groups, default_group) = groups(rng);
    let external_ids: Vec<ExternalId> = ["erp", "crm"]
        .into_iter()
        .filter(|_| rng.random())
        .map(|system| ExternalId {
            system: system.into(),
            id: format!("X = {number}"),
        })
        .collect();
    let currency = *["EUR", "JPY"].choose(rng).unwrap();
    let limit = [0, 1_000_000, 99_990_000, 500_000_000].choose(rng).copied();
    let customer = pb::Customer {
        external_ids,
        state: rng.random_range(1..=4),
        title: maybe(rng, &["titles/mr", "titles/ms"]).into(),
        first_name: maybe(rng, NAMES).into(),
        last_name: maybe(rng, TEXTS).into(),
        phone: maybe(rng, PHONES).into(),
        company: maybe(rng, TEXTS).replace('\n', " "),
        vat_number: maybe(rng, NUMBERS).into(),
        credit_limit: limit
            .filter(|_| rng.random())
            .map(|micros| money(currency, micros)),
        payment_days: *[None, Some(0), Some(14), Some(30)].choose(rng).unwrap(),
        risk: rng.random_range(0..=4),
        birth_date: maybe(rng, BIRTH_DATES).into(),
        language_code: maybe(rng, LANGUAGES).into(),
        storefront: maybe(rng, STOREFRONTS).into(),
        default_group,
        groups,
        newsletter: consent(rng),
        partner_offers: consent(rng),
        tax_exempt: rng.random(),
        accounting_number: maybe(rng, NUMBERS).into(),
        attributes: attributes(rng),
        ..Default::default()
    };
    with_other_texts(customer, rng)
}

/// The texts of the table of which these tests say nothing.
pub(super) fn other_texts() -> impl Iterator<Item = &'static str> {
    let fields = Customers::schema().fields.iter();
    let texts = fields.filter(|field| matches!(field.kind, Kind::Text) && field.sorts.is_none());
    let paths = texts.map(|field| field.path);
    paths.filter(|path| Customers::literals(path).is_empty())
}

/// The customer with a value for each of them, or none.
fn with_other_texts(customer: pb::Customer, rng: &mut StdRng) -> pb::Customer {
    let descriptor = POOL.get_message_by_name("clientela.v1.Customer").unwrap();
    let bytes = customer.encode_to_vec();
    let mut message = DynamicMessage::decode(descriptor, bytes.as_slice()).unwrap();
    for path in other_texts() {
        let text = maybe(rng, TEXTS).replace('\n', " ");
        message.set_field_by_name(path, Value::String(text));
    }
    pb::Customer::decode(message.encode_to_vec().as_slice()).unwrap()
}
