//! Saved filters of two owners, shared and not shared.

use clientela::filter::Schema;
use clientela::proto::pb;
use clientela::saved_filters::TABLE;
use prost_reflect::DynamicMessage;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::random::TEXTS;
use super::{Specimen, text};
use crate::contract::messages::reflect;

pub struct SavedFilters;

const OWNERS: [&str; 2] = ["staff/anna", "staff/bert"];

impl Specimen for SavedFilters {
    fn pattern(&self) -> &'static str {
        "savedFilters/{id}"
    }

    fn message(&self) -> &'static str {
        "SavedFilter"
    }

    /// Returns a shared filter, so that each role may use it.
    fn sent(&self, text: &str) -> DynamicMessage {
        reflect(&crate::saved_filters::sent(text, true))
    }

    fn changed(&self, text: &str) -> DynamicMessage {
        reflect(&pb::SavedFilter {
            display_name: text.to_owned(),
            ..Default::default()
        })
    }

    fn log_kind(&self) -> i64 {
        11
    }

    fn schema(&self) -> Option<&'static Schema> {
        Some(TABLE.schema())
    }

    fn random(&self, rng: &mut StdRng, _number: u64) -> DynamicMessage {
        reflect(&pb::SavedFilter {
            display_name: (*TEXTS.choose(rng).expect("some")).to_owned(),
            resource: rng.random_range(1..=5),
            filter: "create_time < now".to_owned(),
            shared: rng.random(),
            ..Default::default()
        })
    }

    fn changeable(&self) -> Vec<&'static str> {
        vec!["display_name", "resource", "shared"]
    }

    fn literals(&self, path: &str) -> &'static [&'static str] {
        match path {
            "owner" => &OWNERS,
            _ => &[],
        }
    }

    fn actor(&self, number: u64) -> Option<&'static str> {
        Some(OWNERS[usize::from(number % 2 == 1)])
    }

    fn is_seen(&self, resource: &DynamicMessage) -> bool {
        let shared = resource.get_field_by_name("shared");
        let shared = shared.and_then(|shared| shared.as_bool());
        shared == Some(true) || text(resource, "owner") == OWNERS[0]
    }
}
