//! Values at the limits of a rule, and values beyond them with the reason of the refusal.

use clientela::limits::{FILTER_BYTES_MAX, PASSWORD_BYTES_MAX, Rule};
use prost_reflect::Value;

/// Invisible characters: of the category Cf, separators, and fillers of other categories.
pub const INVISIBLE: [char; 8] = [
    '\u{ad}',
    '\u{200b}',
    '\u{202e}',
    '\u{2028}',
    '\u{2029}',
    '\u{feff}',
    '\u{e0041}',
    '\u{3164}',
];

/// Texts without a visible character.
pub const BLANK: [&str; 4] = [" ", "\u{a0}\u{3000}", "\u{200b}", "\u{2800}"];

/// Values at the limits of a field, and values that it refuses.
pub struct Cases {
    pub good: Vec<Value>,
    pub bad: Vec<(Value, &'static str)>,
}

pub fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

/// Returns a text of `length` characters of two bytes each.
fn long(length: usize) -> Value {
    text("é".repeat(length))
}

/// Returns the cases of a rule for text.
pub fn of_text(rule: Rule) -> Cases {
    let name = |pattern: &str, id: &str| text(pattern.replace("{id}", id));
    match rule {
        Rule::Text(max) => Cases {
            good: vec![long(max)],
            bad: vec![
                (long(max + 1), "TOO_LONG"),
                (text("a\0b"), "CONTROL_CHARACTER"),
                (text("a\nb"), "CONTROL_CHARACTER"),
            ],
        },
        Rule::Lines(max) => Cases {
            good: vec![long(max), text("a\r\n\tb")],
            bad: vec![
                (long(max + 1), "TOO_LONG"),
                (text("a\0b"), "CONTROL_CHARACTER"),
                (text("a\u{85}b"), "CONTROL_CHARACTER"),
            ],
        },
        Rule::Label(max) => Cases {
            good: vec![long(max), text("Žluťoučký 👨\u{200d}👩")],
            bad: [
                (long(max + 1), "TOO_LONG"),
                (text("a\0b"), "CONTROL_CHARACTER"),
            ]
            .into_iter()
            .chain(BLANK.map(|blank| (text(blank), "BLANK")))
            .collect(),
        },
        Rule::Key(max) => {
            let mut bad = vec![
                (long(max + 1), "TOO_LONG"),
                (text("a\0b"), "CONTROL_CHARACTER"),
                (text("\u{a0} "), "BLANK"),
            ];
            bad.extend(INVISIBLE.map(|c| (text(format!("a{c}b")), "INVISIBLE_CHARACTER")));
            Cases {
                good: vec![long(max), text("a b\u{a0}c")],
                bad,
            }
        }
        Rule::Token(min, max) => {
            let rest = "b".repeat(min);
            let mut bad = vec![
                (long(max + 1), "TOO_LONG"),
                (text(format!("a\0{rest}")), "CONTROL_CHARACTER"),
                (text("\u{a0}".repeat(min)), "BLANK"),
            ];
            bad.extend(INVISIBLE.map(|c| (text(format!("a{c}{rest}")), "INVISIBLE_CHARACTER")));
            if min > 1 {
                bad.push((long(min - 1), "TOO_SHORT"));
            }
            Cases {
                good: vec![long(min), long(max)],
                bad,
            }
        }
        Rule::Expression(max) => {
            let some = if max == FILTER_BYTES_MAX {
                "create_time:*"
            } else {
                "create_time"
            };
            // The rule of an expression does not count blanks.
            Cases {
                good: vec![text(format!("{some:max$}"))],
                bad: vec![
                    (text(format!("{some:0$}", max + 1)), "TOO_LONG"),
                    (text(format!("{some}\0")), "CONTROL_CHARACTER"),
                ],
            }
        }
        Rule::Password(min, max) => {
            // A text of four-byte characters reaches both limits at once.
            assert_eq!(4 * max, PASSWORD_BYTES_MAX);
            let mut bad = vec![
                (long(max + 1), "TOO_LONG"),
                (text("a\0bcdefghi"), "CONTROL_CHARACTER"),
            ];
            if min > 1 {
                bad.push((long(min - 1), "TOO_SHORT"));
            }
            Cases {
                good: vec![long(min), text("😀".repeat(max))],
                bad,
            }
        }
        Rule::Id => {
            let (longest, beyond) = ("a".repeat(63), "a".repeat(64));
            formats(
                &["a", "0-9", &longest],
                &["A", "a b", "ä", "a/b", "a\0", &beyond],
            )
        }
        Rule::Name(pattern) => Cases {
            good: vec![name(pattern, "a"), name(pattern, &"a".repeat(63))],
            bad: vec![
                (name(pattern, &"a".repeat(64)), "MALFORMED"),
                (name(pattern, ""), "MALFORMED"),
                (name(pattern, "a\0"), "MALFORMED"),
                (name(&format!("x{pattern}"), "a"), "MALFORMED"),
                (name(&format!("{pattern}/"), "a"), "MALFORMED"),
            ],
        },
        Rule::NameOrId(pattern) => Cases {
            good: vec![name(pattern, "a"), text("a")],
            bad: vec![
                (name(pattern, ""), "MALFORMED"),
                (text("A"), "MALFORMED"),
                (text("a\0"), "MALFORMED"),
            ],
        },
        Rule::Member => Cases {
            good: vec![text("customers/a"), text("ada@example.test"), long(254)],
            bad: vec![
                (text("customers/A"), "MALFORMED"),
                (long(255), "TOO_LONG"),
                (text("a\0@example.test"), "CONTROL_CHARACTER"),
            ],
        },
        Rule::Number => {
            let (longest, beyond) = ("Z".repeat(32), "Z".repeat(33));
            formats(&["A-1", &longest], &["A 1", "é", "1\0", &beyond])
        }
        Rule::Email => email(),
        Rule::Url(max) => {
            let start = "https://example.test/";
            let address = |length: usize| format!("{start}{}", "é".repeat(length - start.len()));
            Cases {
                good: vec![text(address(max))],
                bad: vec![
                    (text(address(max + 1)), "TOO_LONG"),
                    (text("example.test"), "MALFORMED"),
                    (text("javascript:alert(1)"), "MALFORMED"),
                    (text(format!("{start}\0")), "CONTROL_CHARACTER"),
                ],
            }
        }
        Rule::Language => {
            let longest = ["en-x-", "abcdefgh-abcdefgh-abcdefgh-abc"].concat();
            assert_eq!(longest.len(), 35);
            let beyond = format!("{longest}d");
            formats(
                &["fr", "pt-BR", "PT-br", "zh-yue-Hant-HK", "x-own", &longest],
                &["f", "fr_FR", "12", "français", "fr\0", &beyond],
            )
        }
        Rule::Country => formats(&["FR", "XK"], &["fr", "FRA", "XX", "F\0"]),
        Rule::Currency => formats(&["EUR", "JPY"], &["eur", "EU", "XXX", "EU\0"]),
        Rule::Percent(places) => {
            let digits = |places: u32| format!("0.{}", "5".repeat(places as usize));
            let bad = ["-1", "1e2", "1,5", "NaN", "1\0", &digits(places + 1)];
            let malformed = bad.iter().map(|value| (text(*value), "MALFORMED"));
            Cases {
                good: vec![text("0"), text("100"), text(digits(places))],
                bad: malformed.chain([(text("100.1"), "OUT_OF_RANGE")]).collect(),
            }
        }
        Rule::Date => formats(
            &["2000-02-29", "0001-01-01"],
            &[
                "2001-02-29",
                "2000-13-01",
                "2000-00-01",
                "2000-2-9",
                "0000-01-01",
                "29.02.2000",
                "2000-02-29\0",
            ],
        ),
        Rule::TimeZone => formats(
            &["UTC", "Europe/Paris", "europe/paris"],
            &["Europe/Nowhere", "+02:00", "UTC\0"],
        ),
        Rule::Etag | Rule::RequestId => {
            let (longest, beyond) = ("a".repeat(128), "a".repeat(129));
            let mut cases = formats(&["a b", &longest], &["é", "a\n", "a\0", &beyond]);
            if rule == Rule::RequestId {
                cases.bad.push((text("  "), "MALFORMED"));
            }
            cases
        }
        Rule::Int(..)
        | Rule::Price
        | Rule::Paid
        | Rule::PaidOrTaken
        | Rule::Attributes(_)
        | Rule::Messages(_)
        | Rule::List(..)
        | Rule::Map(..)
        | Rule::Values(_) => panic!("{rule:?} is not a rule for text"),
    }
}

fn formats(good: &[&str], bad: &[&str]) -> Cases {
    let malformed = bad.iter().map(|value| (text(*value), "MALFORMED"));
    Cases {
        good: good.iter().map(|value| text(*value)).collect(),
        bad: malformed.collect(),
    }
}

fn email() -> Cases {
    let host = ["b".repeat(61).as_str(); 3].join(".");
    let longest = format!("{}@{host}.test", "a".repeat(63));
    assert_eq!(longest.len(), 254);
    let malformed = [
        "ada",
        "ada@",
        "@example.test",
        "ada@localhost",
        "a b@example.test",
        "a@b@example.test",
        "ada@example..test",
    ];
    let malformed = malformed.map(|value| (text(value), "MALFORMED"));
    Cases {
        good: vec![text(longest.clone()), text(" Ada@BÜCHER.test ")],
        bad: malformed
            .into_iter()
            .chain([
                (text(format!("a{longest}")), "TOO_LONG"),
                (text("a\0@example.test"), "CONTROL_CHARACTER"),
            ])
            .chain(INVISIBLE.map(|c| (text(format!("a{c}@example.test")), "INVISIBLE_CHARACTER")))
            .chain(INVISIBLE.map(|c| (text(format!("ada@a{c}b.test")), "INVISIBLE_CHARACTER")))
            .collect(),
    }
}
