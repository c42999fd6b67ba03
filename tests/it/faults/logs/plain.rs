//! Personal data that must not appear in the log.

use clientela::proto::pb;
use prost_types::{Struct, Value, value::Kind};

/// Parts of all personal data in these tests, in lower case.
pub const PERSONAL: [&str; 8] = [
    "zebr",
    "quagga",
    "5550155778",
    "1987-06-05",
    "fr40303265045",
    "somewhere 7",
    "qz9 7zx",
    "horse-battery",
];

pub const EMAIL: &str = "zebra.quagga@example.test";
pub const PASSWORD: &str = "correct-horse-battery-zebra";
pub const VISITOR: &str = "zebra-visitor-token-0001";

/// Attributes with personal data.
pub fn attributes() -> Option<Struct> {
    let value = Value {
        kind: Some(Kind::StringValue("Zebra".into())),
    };
    Some(Struct {
        fields: [("nickname".to_owned(), value)].into(),
    })
}

/// A customer with personal data.
pub fn customer() -> pb::Customer {
    pb::Customer {
        first_name: "Zebrina".into(),
        last_name: "Quaggason".into(),
        email: EMAIL.into(),
        password: Some(PASSWORD.into()),
        phone: "+495550155778".into(),
        company: "Zebra Ltd".into(),
        website: "https://zebra.example.test/".into(),
        vat_number: "FR40303265045".into(),
        birth_date: "1987-06-05".into(),
        attributes: attributes(),
        ..Default::default()
    }
}

/// An address with personal data.
pub fn address() -> pb::Address {
    pb::Address {
        label: "Zebra's home".into(),
        first_name: "Zebrina".into(),
        last_name: "Quaggason".into(),
        line1: "Somewhere 7".into(),
        city: "Zebraville".into(),
        postal_code: "QZ9 7ZX".into(),
        country_code: "GB".into(),
        phone: "+495550155778".into(),
        note: "ring at Quagga".into(),
        ..Default::default()
    }
}
