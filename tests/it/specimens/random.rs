//! Random texts and attributes for resources.

use prost_types::{ListValue, Struct, Value, value::Kind};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _};

/// Texts that differ in case, accents and scripts, and some that look like a filter.
pub const TEXTS: &[&str] = &[
    "Grüße aus Köln",
    "STRASSE",
    "Straße 5",
    "Ångström",
    "angstrom",
    "İpek Łódź",
    "日本語",
    "it's \"so\"",
    "a\\b",
    "100% (sure)",
    "x = y, z > 1",
    "NOT now",
    "*",
    "ﬁn",
    "zz",
];

/// Entries of attributes, each as its key, a tab and its value.
pub const ENTRIES: &[&str] = &[
    "color\tred",
    "color\tRed",
    "color\tdark blue",
    "size\t12",
    "size\t1.5",
    "size\t-0.5",
    "size\t0",
    "gift\ttrue",
    "a=b\tc=d",
    "a\tb=c=d",
    "my key\tit's",
    "ключ\tж",
    "list\tx",
    "nothing\tnull",
];

/// Returns one of the texts, or an empty one.
pub fn maybe<'t>(rng: &mut impl Rng, texts: &[&'t str]) -> &'t str {
    if rng.random_ratio(1, 3) {
        ""
    } else {
        texts.choose(rng).expect("there are texts")
    }
}

/// Returns attributes of every type.
pub fn attributes(rng: &mut StdRng) -> Option<Struct> {
    let text = |text: &str| Kind::StringValue(text.to_owned());
    let choices = [
        (
            "color",
            text(["red", "Red", "dark blue", ""].choose(rng).expect("some")),
        ),
        (
            "size",
            Kind::NumberValue(
                *[12.0, 1.5, -0.5, 0.0, -0.0, 1e21]
                    .choose(rng)
                    .expect("some"),
            ),
        ),
        ("weight", Kind::NumberValue(rng.random())),
        ("income", Kind::NumberValue(rng.random_range(0.0..1e6))),
        ("gift", Kind::BoolValue(rng.random())),
        ("a=b", text("c=d")),
        ("my key", text(TEXTS.choose(rng).expect("some"))),
        ("ключ", text("ж")),
        (
            "list",
            Kind::ListValue(ListValue {
                values: vec![Value {
                    kind: Some(text("x")),
                }],
            }),
        ),
        ("nothing", Kind::NullValue(0)),
    ];
    let mut fields = Struct::default();
    for (key, kind) in choices {
        if rng.random_ratio(1, 3) {
            fields
                .fields
                .insert(key.to_owned(), Value { kind: Some(kind) });
        }
    }
    (!fields.fields.is_empty()).then_some(fields)
}
