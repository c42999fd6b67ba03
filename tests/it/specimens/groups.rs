//! Groups.

use clientela::filter::Schema;
use clientela::groups::TABLE;
use clientela::proto::pb;
use prost_reflect::DynamicMessage;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::Specimen;
use super::random::TEXTS;
use crate::contract::messages::reflect;

pub struct Groups;

const DISCOUNTS: &[&str] = &["0", "0.01", "12.5", "33.33", "99.99", "100"];
const PRIORITIES: &[&str] = &["0", "1", "5", "1000000"];

impl Specimen for Groups {
    fn pattern(&self) -> &'static str {
        "groups/{id}"
    }

    fn message(&self) -> &'static str {
        "Group"
    }

    fn sent(&self, text: &str) -> DynamicMessage {
        reflect(&pb::Group {
            display_names: [("en".to_owned(), text.to_owned())].into(),
            discount_percent: "10".to_owned(),
            ..Default::default()
        })
    }

    fn log_kind(&self) -> i64 {
        2
    }

    fn always(&self) -> &'static str {
        "priority >= 0"
    }

    fn schema(&self) -> Option<&'static Schema> {
        Some(TABLE.schema())
    }

    fn random(&self, rng: &mut StdRng, _number: u64) -> DynamicMessage {
        let mut display_names = vec![("en".to_owned(), "Group".to_owned())];
        for language in ["fr", "pt-BR", "en"] {
            if rng.random() {
                let name = TEXTS.choose(rng).expect("some");
                display_names.push((language.to_owned(), (*name).to_owned()));
            }
        }
        let priority = PRIORITIES.choose(rng).expect("some");
        reflect(&pb::Group {
            display_names: display_names.into_iter().collect(),
            discount_percent: (*DISCOUNTS.choose(rng).expect("some")).to_owned(),
            price_display: rng.random_range(0..=2),
            show_prices: *[None, Some(true), Some(false)].choose(rng).expect("some"),
            state: rng.random_range(1..=3),
            audience: rng.random_range(0..=2),
            priority: priority.parse().expect("a number"),
            ..Default::default()
        })
    }

    fn changeable(&self) -> Vec<&'static str> {
        vec![
            "display_names",
            "discount_percent",
            "price_display",
            "show_prices",
            "state",
            "priority",
        ]
    }

    fn literals(&self, path: &str) -> &'static [&'static str] {
        match path {
            "name" => &["groups/none", "g1", "groups/customer"],
            "display_names" => &[
                "en\tGroup",
                "en\tStraße 5",
                "fr\tit's \"so\"",
                "pt-BR\t日本語",
                "pt-BR\t*",
                "pt\tGroup",
                "de\tGroup",
            ],
            "discount_percent" => DISCOUNTS,
            "priority" => PRIORITIES,
            _ => &[],
        }
    }
}
