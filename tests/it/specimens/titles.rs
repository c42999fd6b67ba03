//! Titles.

use clientela::proto::pb;
use prost_reflect::DynamicMessage;

use super::Specimen;
use crate::contract::messages::reflect;

pub struct Titles;

impl Specimen for Titles {
    fn pattern(&self) -> &'static str {
        "titles/{id}"
    }

    fn message(&self) -> &'static str {
        "Title"
    }

    fn sent(&self, text: &str) -> DynamicMessage {
        reflect(&pb::Title {
            display_names: [("en".to_owned(), text.to_owned())].into(),
            ..Default::default()
        })
    }
}
