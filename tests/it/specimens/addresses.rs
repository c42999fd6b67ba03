//! Addresses of customers.

use clientela::proto::pb;
use prost_reflect::DynamicMessage;

use super::Specimen;
use crate::contract::messages::reflect;

pub struct Addresses;

impl Specimen for Addresses {
    fn pattern(&self) -> &'static str {
        "customers/{id}/addresses/{id}"
    }

    fn message(&self) -> &'static str {
        "Address"
    }

    fn sent(&self, text: &str) -> DynamicMessage {
        reflect(&pb::Address {
            city: text.to_owned(),
            ..Default::default()
        })
    }
}
