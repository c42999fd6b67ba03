//! Customers of all kinds: registered, guests and staff, with and without each of their fields.

use clientela::customers::TABLE;
use clientela::filter::{Kind, Schema};
use clientela::proto::pb::{self, Consent, ExternalId, customer};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use prost_reflect::{DynamicMessage, Value};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _};

use super::random::{ENTRIES, TEXTS, attributes, maybe};
use super::{Rpcs as _, Specimen};
use crate::carts::{euros, money};
use crate::contract::messages::{reflect, set};
use crate::contract::world::World;
use crate::customers::group;
use crate::harness::{Shop, unique};

pub struct Customers;

const GROUPS: &[&str] = &["groups/customer", "groups/vip", "groups/club"];
const NAMES: &[&str] = &[
    "Ada", "ada", "Ægir", "Łukasz", "O'Neil", "İpek", "Straße", "STRASSE",
];
const PHONES: &[&str] = &["+33 1", "+49 (30) 7", "0"];
const NUMBERS: &[&str] = &["DE1", "de1", "FR 40"];
const LANGUAGES: &[&str] = &["fr", "en", "pt-BR"];
const STOREFRONTS: &[&str] = &["paris", "b2b"];
const BIRTH_DATES: &[&str] = &["1985-06-21", "2000-02-29", "1999-12-31"];
const HOSTS: &[&str] = &["example.test", "EXAMPLE.test", "bücher.test"];
/// The fields that may be changed, apart from [`other_texts`].
const CHANGEABLE: [&str; 22] = [
    "external_ids",
    "state",
    "title",
    "first_name",
    "last_name",
    "email",
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

impl Specimen for Customers {
    fn pattern(&self) -> &'static str {
        "customers/{id}"
    }

    fn message(&self) -> &'static str {
        "Customer"
    }

    /// Returns a guest, because guests may share an e-mail address.
    fn sent(&self, text: &str) -> DynamicMessage {
        reflect(&pb::Customer {
            kind: customer::Kind::Guest.into(),
            first_name: text.to_owned(),
            email: format!("{text}@example.test"),
            ..Default::default()
        })
    }

    fn changed(&self, text: &str) -> DynamicMessage {
        reflect(&pb::Customer {
            phone: text.to_owned(),
            ..Default::default()
        })
    }

    fn whole<'w>(&'w self, world: &'w World, text: &'w str) -> LocalBoxFuture<'w, DynamicMessage> {
        let whole = async move {
            let group = world.name("groups/{id}").await;
            self.creation(reflect(&pb::Customer {
                number: format!("{}-{}", world.tag, unique()),
                external_ids: vec![ExternalId {
                    system: "erp".to_owned(),
                    id: text.to_owned(),
                }],
                title: world.name("titles/{id}").await,
                first_name: world.tag.clone(),
                last_name: world.tag.clone(),
                email: format!("{text}@example.test"),
                credit_limit: euros(5),
                payment_days: Some(30),
                risk: customer::Risk::High.into(),
                default_group: group.clone(),
                groups: vec!["groups/customer".to_owned(), group],
                tax_exempt: true,
                accounting_number: world.tag.clone(),
                ..Default::default()
            }))
        };
        whole.boxed_local()
    }

    fn log_kind(&self) -> i64 {
        1
    }

    fn always(&self) -> &'static str {
        "first_name:subject"
    }

    fn schema(&self) -> Option<&'static Schema> {
        Some(TABLE.schema())
    }

    /// Creates the [`GROUPS`], and one for staff.
    fn prepare<'s>(&'s self, shop: &'s Shop) -> LocalBoxFuture<'s, ()> {
        let prepared = async move {
            for id in ["vip", "club"] {
                group(shop, id, pb::Group::default()).await;
            }
            let staff = pb::Group {
                audience: pb::group::Audience::Staff.into(),
                ..Default::default()
            };
            group(shop, "desk", staff).await;
        };
        prepared.boxed_local()
    }

    fn random(&self, rng: &mut StdRng, number: u64) -> DynamicMessage {
        let mut customer = anybody(rng, number);
        match number % 12 {
            0 => customer.kind = customer::Kind::Guest.into(),
            // Staff may only be in groups for staff.
            1 => {
                customer.account_type = customer::AccountType::Staff.into();
                customer.groups = vec!["groups/desk".into()];
                customer.default_group = "groups/desk".into();
                customer.email.clear();
            }
            2 => customer.number = format!("C-{number}"),
            _ => {}
        }
        let mut customer = reflect(&customer);
        for path in other_texts() {
            let text = maybe(rng, TEXTS).replace('\n', " ");
            set(&mut customer, path, Value::String(text));
        }
        customer
    }

    fn changeable(&self) -> Vec<&'static str> {
        CHANGEABLE.into_iter().chain(other_texts()).collect()
    }

    fn literals(&self, path: &str) -> &'static [&'static str] {
        match path {
            "name" => &["customers/none", "c1"],
            "number" => &["1", "C-7"],
            "external_ids" => &["erp\tX = 1", "crm\tX = 2", "erp\tX", "shop\t1"],
            "title" => &["titles/mr", "titles/ms", "titles/miss"],
            "first_name" => NAMES,
            "last_name" | "company" => TEXTS,
            "email" => &["0@example.test", "A@B", "7@bücher.test"],
            "phone" => PHONES,
            "vat_number" | "accounting_number" => NUMBERS,
            "credit_limit" => &["0 EUR", "1 JPY", "100 EUR", "1 USD"],
            "payment_days" => &["0", "14", "15", "-1"],
            "birth_date" => BIRTH_DATES,
            "language_code" => LANGUAGES,
            "storefront" => STOREFRONTS,
            "default_group" | "groups" => &[
                "groups/customer",
                "groups/vip",
                "groups/club",
                "groups/desk",
                "v",
            ],
            "attributes" => ENTRIES,
            "delete_time" => &["2026-01-31T12:00:00Z"],
            _ => &[],
        }
    }
}

/// Returns some groups, sorted, and one of them as the default.
fn groups(rng: &mut impl Rng) -> (Vec<String>, String) {
    let mut groups: Vec<String> = GROUPS
        .iter()
        .filter(|_| rng.random())
        .map(|name| (*name).into())
        .collect();
    if groups.is_empty() {
        groups.push(GROUPS[0].into());
    }
    let default = groups.choose(rng).expect("some").clone();
    (groups, default)
}

fn consent(rng: &mut impl Rng) -> Option<Consent> {
    let subscribed = rng.random();
    rng.random::<bool>().then(|| Consent {
        subscribed,
        ..Default::default()
    })
}

/// Returns a random customer.
fn anybody(rng: &mut StdRng, number: u64) -> pb::Customer {
    let (groups, default_group) = groups(rng);
    let external_ids: Vec<ExternalId> = ["erp", "crm"]
        .into_iter()
        .filter(|_| rng.random())
        .map(|system| ExternalId {
            system: system.into(),
            id: format!("X = {number}"),
        })
        .collect();
    let currency = *["EUR", "JPY"].choose(rng).expect("some");
    let limit = [0, 1_000_000, 99_990_000, 500_000_000].choose(rng).copied();
    pb::Customer {
        external_ids,
        state: rng.random_range(1..=4),
        title: maybe(rng, &["titles/mr", "titles/ms"]).into(),
        first_name: maybe(rng, NAMES).into(),
        last_name: maybe(rng, TEXTS).into(),
        email: format!("{number}@{}", HOSTS.choose(rng).expect("some")),
        phone: maybe(rng, PHONES).into(),
        company: maybe(rng, TEXTS).replace('\n', " "),
        vat_number: maybe(rng, NUMBERS).into(),
        credit_limit: limit
            .filter(|_| rng.random())
            .map(|micros| money(currency, micros)),
        payment_days: *[None, Some(0), Some(14), Some(30)]
            .choose(rng)
            .expect("some"),
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
    }
}

/// Returns the text fields of the table that have no literals here.
fn other_texts() -> impl Iterator<Item = &'static str> {
    let fields = TABLE.schema().fields.iter();
    let texts = fields.filter(|field| matches!(field.kind, Kind::Text) && field.sorts.is_none());
    let paths = texts.map(|field| field.path);
    paths.filter(|path| Customers.literals(path).is_empty())
}
