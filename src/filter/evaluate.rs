//! Evaluates a filter for a record in memory, and finds when time alone changes the result. It must agree
//! with the SQL of `sql.rs` for the record's row; both follow the same rules of absence.

use std::borrow::Cow;

use super::check::bare_id;
use super::expression::{Comparison, Expression, Term, Test};
use super::fold::fold;
use super::pack;
use super::schema::{Kind, Schema};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// A resource in memory, whose fields are read by their index in the schema.
pub trait Record {
    /// The value of a field; [`Value::Absent`] for one without a value.
    fn value(&self, field: usize) -> Value<'_>;
}

/// The value of a record's field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value: every comparison is false.
    Absent,
    /// A text, a date or a name (whole or as a bare id). Empty is absent.
    Text(Cow<'a, str>),
    /// A boolean.
    Bool(bool),
    /// A whole number, hundredths, microseconds since 1970, or the number of an enum value.
    Int(i64),
    /// An amount of money.
    Money {
        /// Millionths of the currency's major unit.
        micros: i64,
        /// The ISO 4217 code; empty is absent.
        currency: Cow<'a, str>,
    },
    /// A list, as the message holds it.
    List(&'a [String]),
    /// A list or a map, in the form of [`super::pack_list`] and [`super::pack_map`].
    Packed(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// A text, absent if empty.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn is_present(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Text(text) | Self::Packed(text) => !text.is_empty(),
            Self::Money { currency, .. } => !currency.is_empty(),
            // As in the packed column, empty elements do not count.
            Self::List(elements) => elements.iter().any(|element| !element.is_empty()),
            Self::Bool(_) | Self::Int(_) => true,
        }
    }
}

pub(super) fn holds(
    expression: &Expression,
    schema: &Schema,
    record: &dyn Record,
    now_micros: i64,
) -> bool {
    match expression {
        Expression::And(parts) => parts
            .iter()
            .all(|part| holds(part, schema, record, now_micros)),
        Expression::Or(parts) => parts
            .iter()
            .any(|part| holds(part, schema, record, now_micros)),
        Expression::Not(part) => !holds(part, schema, record, now_micros),
        Expression::Term(term) => term_holds(term, schema, record, now_micros),
    }
}

/// Between two neighbouring candidates no comparison with the clock changes. So the first candidate at which
/// the whole filter answers differently is exact.
pub(super) fn next_flip(
    root: &Expression,
    schema: &Schema,
    record: &dyn Record,
    now_micros: i64,
) -> Option<i64> {
    let mut terms = Vec::new();
    root.collect_terms(&mut terms);
    let mut candidates = Vec::new();
    for term in terms {
        if let Test::Clock {
            comparison,
            offset_seconds,
        } = term.test
            && let Value::Int(value) = record.value(term.field)
        {
            push_candidates(&mut candidates, value, comparison, offset_seconds);
        }
    }
    candidates.retain(|candidate| *candidate > now_micros);
    candidates.sort_unstable();
    candidates.dedup();
    let matches_now = holds(root, schema, record, now_micros);
    candidates
        .into_iter()
        .find(|candidate| holds(root, schema, record, *candidate) != matches_now)
}

/// Adds the times at which a comparison with `now + offset` changes.
fn push_candidates(
    candidates: &mut Vec<i64>,
    value: i64,
    comparison: Comparison,
    offset_seconds: i64,
) {
    let Some(equal_at) = offset_seconds
        .checked_mul(MICROS_PER_SECOND)
        .and_then(|offset_micros| value.checked_sub(offset_micros))
    else {
        return;
    };
    if !matches!(comparison, Comparison::Less | Comparison::GreaterOrEqual) {
        candidates.push(equal_at);
    }
    if !matches!(comparison, Comparison::LessOrEqual | Comparison::Greater) {
        candidates.extend(equal_at.checked_add(1));
    }
}

/// The time of `now` with an offset, in microseconds.
pub(super) fn clock_bound(now_micros: i64, offset_seconds: i64) -> i64 {
    now_micros.saturating_add(offset_seconds.saturating_mul(MICROS_PER_SECOND))
}

fn term_holds(term: &Term, schema: &Schema, record: &dyn Record, now_micros: i64) -> bool {
    let value = record.value(term.field);
    if !value.is_present() {
        return false;
    }
    match (&term.test, &value) {
        (Test::Present, _) => true,
        (
            Test::Text {
                comparison,
                value: bound,
            },
            Value::Text(text),
        ) => comparison.holds(text.as_bytes().cmp(bound.as_bytes())),
        (Test::Contains { needle }, Value::Text(text)) => fold(text).contains(needle.as_str()),
        (Test::Name { equal, id }, Value::Text(name)) => {
            (id_in(term, schema, name) == id) == *equal
        }
        (
            Test::Flag {
                equal,
                value: bound,
            },
            Value::Bool(flag),
        ) => (flag == bound) == *equal,
        (
            Test::Number {
                comparison,
                value: bound,
            },
            Value::Int(number),
        ) => comparison.holds(number.cmp(bound)),
        (
            Test::Clock {
                comparison,
                offset_seconds,
            },
            Value::Int(instant),
        ) => comparison.holds(instant.cmp(&clock_bound(now_micros, *offset_seconds))),
        (
            Test::Money {
                comparison,
                micros: bound,
                currency: bound_currency,
            },
            Value::Money { micros, currency },
        ) => currency == bound_currency && comparison.holds(micros.cmp(bound)),
        (Test::Element { element }, Value::List(elements)) => elements
            .iter()
            .any(|candidate| id_in(term, schema, candidate) == element),
        (Test::Element { element }, Value::Packed(packed)) => {
            packed.contains(&pack::element(element))
        }
        (Test::Key { key }, Value::Packed(packed)) => packed.contains(&pack::key_prefix(key)),
        (Test::Entry { key, equal, value }, Value::Packed(packed)) => {
            packed.contains(&pack::key_prefix(key))
                && packed.contains(&pack::entry(key, value)) == *equal
        }
        (test, value) => {
            debug_assert!(false, "the record returned {value:?} for {test:?}");
            false
        }
    }
}

/// Records return names in the form of their messages; columns and literals hold bare ids.
fn id_in<'v>(term: &Term, schema: &Schema, name: &'v str) -> &'v str {
    match schema.fields[term.field].kind {
        Kind::Name(collection) | Kind::NameList(collection) => bare_id(collection, name),
        _ => name,
    }
}
