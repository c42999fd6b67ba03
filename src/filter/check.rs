//! Checks a parsed tree: resolves fields to their index and literals to the type of their field. Refuses
//! everything that memory and SQL could not answer alike.

use super::error::{FilterError, echo};
use super::expression::{Comparison, Expression, Term, Test};
use super::literal::Instant;
use super::schema::{Field, Kind, Schema};
use super::syntax::{Argument, Literal, Node, Operator, Restriction};
use super::{fold, literal};
use crate::format;

type Visible<'a> = &'a dyn Fn(&str) -> bool;

pub(super) fn check(
    node: Node,
    schema: &'static Schema,
    visible: Visible<'_>,
) -> Result<Expression, FilterError> {
    let checked = |parts: Vec<Node>| -> Result<Vec<Expression>, FilterError> {
        parts
            .into_iter()
            .map(|part| check(part, schema, visible))
            .collect()
    };
    Ok(match node {
        Node::And(parts) => Expression::all(checked(parts)?),
        Node::Or(parts) => Expression::any(checked(parts)?),
        Node::Not(part) => Expression::not(check(*part, schema, visible)?),
        Node::Restriction(restriction) => Expression::Term(term(&restriction, schema, visible)?),
    })
}

fn term(
    restriction: &Restriction,
    schema: &'static Schema,
    visible: Visible<'_>,
) -> Result<Term, FilterError> {
    let (index, key) = resolve(restriction, schema, visible)?;
    let checker = Checker {
        restriction,
        field: &schema.fields[index],
    };
    let test = match key {
        Some(key) => checker.map_test(key)?,
        None => checker.test()?,
    };
    Ok(Term { field: index, test })
}

/// The field that a path names, and the key within it if the field is a map.
fn resolve(
    restriction: &Restriction,
    schema: &'static Schema,
    visible: Visible<'_>,
) -> Result<(usize, Option<String>), FilterError> {
    let segments = &restriction.segments;
    let path = segments.join(".");
    if let Some(index) = schema.find(&path, visible) {
        return Ok((index, None));
    }
    for length in (1..segments.len()).rev() {
        if let Some(index) = schema.find(&segments[..length].join("."), visible)
            && schema.fields[index].kind == Kind::TextMap
        {
            return Ok((index, Some(segments[length..].join("."))));
        }
    }
    Err(FilterError::unknown_field(
        restriction.position,
        &path,
        schema.visible_paths(visible),
    ))
}

struct Checker<'a> {
    restriction: &'a Restriction,
    field: &'static Field,
}

impl Checker<'_> {
    fn test(&self) -> Result<Test, FilterError> {
        let literal = match &self.restriction.argument {
            Argument::Any => return self.any().map(|()| Test::Present),
            Argument::Literal(literal) => literal,
        };
        match (self.restriction.operator, self.field.kind) {
            (Operator::Has, Kind::Text) => self.contains(literal),
            (Operator::Has, Kind::TextList) => Ok(Test::Element {
                element: self.text(literal)?.to_owned(),
            }),
            (Operator::Has, Kind::NameList(collection)) => Ok(Test::Element {
                element: self.id(collection, literal)?,
            }),
            (Operator::Has, Kind::TextMap) => Ok(Test::Key {
                key: self.spelled(&literal.text),
            }),
            (Operator::Has, _) => {
                Err(self.operator_fault("takes : only in the form :*; use = to compare"))
            }
            (Operator::Compare(comparison), kind) => self.compared(comparison, kind, literal),
        }
    }

    fn map_test(&self, key: String) -> Result<Test, FilterError> {
        let key = self.spelled(&key);
        match (&self.restriction.argument, self.restriction.operator) {
            (Argument::Any, _) => self.any().map(|()| Test::Key { key }),
            (Argument::Literal(literal), Operator::Compare(comparison)) => Ok(Test::Entry {
                key,
                equal: self.equality(comparison)?,
                value: literal.text.clone(),
            }),
            (Argument::Literal(_), Operator::Has) => {
                Err(self.operator_fault("takes : only in the form :*; its values compare with ="))
            }
        }
    }

    /// A value or a key in its stored form.
    fn spelled(&self, text: &str) -> String {
        if self.field.of_languages {
            format::canonical_language(text)
        } else {
            text.to_owned()
        }
    }

    fn any(&self) -> Result<(), FilterError> {
        match self.restriction.operator {
            Operator::Has => Ok(()),
            Operator::Compare(_) => Err(self.operator_fault("takes * only after :")),
        }
    }

    fn compared(
        &self,
        comparison: Comparison,
        kind: Kind,
        literal: &Literal,
    ) -> Result<Test, FilterError> {
        let text = literal.text.as_str();
        match kind {
            Kind::Text => {
                let value = self.spelled(self.text(literal)?);
                Ok(Test::Text { comparison, value })
            }
            Kind::Name(collection) => Ok(Test::Name {
                equal: self.equality(comparison)?,
                id: self.id(collection, literal)?,
            }),
            Kind::Bool => {
                let equal = self.equality(comparison)?;
                match text {
                    "true" => Ok(Test::Flag { equal, value: true }),
                    "false" => Ok(Test::Flag {
                        equal,
                        value: false,
                    }),
                    _ => Err(self
                        .not_a("a boolean", literal)
                        .allowing(vec!["true", "false"])),
                }
            }
            Kind::Int => match text.parse() {
                Ok(value) => Ok(Test::Number { comparison, value }),
                Err(_) => Err(self.not_a("a whole number", literal)),
            },
            Kind::Decimal2 => match literal::hundredths(text) {
                Some(value) => Ok(Test::Number { comparison, value }),
                None => Err(self.not_a("a number with at most two decimals", literal)),
            },
            Kind::Money { .. } => match literal::money(text) {
                Some((micros, currency)) => Ok(Test::Money {
                    comparison,
                    micros,
                    currency,
                }),
                None => Err(self.not_a(
                    "an amount with its currency, such as \"100.00 EUR\"",
                    literal,
                )),
            },
            Kind::Time => self.time(comparison, literal),
            Kind::Date if literal::is_date(text) => Ok(Test::Text {
                comparison,
                value: text.to_owned(),
            }),
            Kind::Date => Err(self.not_a("a date, such as 2026-01-31", literal)),
            Kind::Enum(values) => self.enumerated(self.equality(comparison)?, values, literal),
            Kind::TextList | Kind::NameList(_) => {
                Err(self.operator_fault("is a list: ask for an element with :"))
            }
            Kind::TextMap => {
                Err(self.operator_fault("is a map: name a key, as in map.key = value"))
            }
        }
    }

    fn time(&self, comparison: Comparison, literal: &Literal) -> Result<Test, FilterError> {
        let text = literal.text.as_str();
        if let Some(instant) = literal::time(text) {
            let (comparison, value) = among_micros(comparison, instant);
            return Ok(Test::Number { comparison, value });
        }
        if let Some(offset_seconds) = literal::clock(text) {
            return Ok(Test::Clock {
                comparison,
                offset_seconds,
            });
        }
        if text.starts_with("now") {
            let expected = "now, or now and an offset of at most 100 years in s, m, h, d or w";
            return Err(self.not_a(expected, literal));
        }
        Err(self.not_a("an RFC 3339 time, such as 2026-01-31T12:00:00Z", literal))
    }

    fn enumerated(
        &self,
        equal: bool,
        values: &'static [(&'static str, i64)],
        literal: &Literal,
    ) -> Result<Test, FilterError> {
        let comparison = if equal {
            Comparison::Equal
        } else {
            Comparison::NotEqual
        };
        if let Some((_, value)) = values.iter().find(|(name, _)| *name == literal.text) {
            return Ok(Test::Number {
                comparison,
                value: *value,
            });
        }
        let message = format!(
            "{} is not a value of {}",
            echo(&literal.text),
            self.field.path
        );
        let names = values.iter().map(|(name, _)| *name).collect();
        Err(FilterError::new(literal.position, message).allowing(names))
    }

    fn contains(&self, literal: &Literal) -> Result<Test, FilterError> {
        if self.field.folded_column.is_none() {
            return Err(self.operator_fault("is not searchable with :"));
        }
        let needle = fold(self.text(literal)?);
        if needle.is_empty() {
            return Err(FilterError::new(
                literal.position,
                "there is nothing to search for",
            ));
        }
        Ok(Test::Contains { needle })
    }

    /// The literal of a text. It cannot be empty, because an empty text is an absent one.
    fn text<'l>(&self, literal: &'l Literal) -> Result<&'l str, FilterError> {
        if literal.text.is_empty() {
            let path = self.field.path;
            let message = format!("an empty text matches nothing; for absence use NOT {path}:*");
            return Err(FilterError::new(literal.position, message));
        }
        Ok(&literal.text)
    }

    fn id(&self, collection: &str, literal: &Literal) -> Result<String, FilterError> {
        let text = self.text(literal)?;
        let id = bare_id(collection, text);
        if id.is_empty() || id.contains('/') {
            let message = format!(
                "{} is not a name like {collection}/id, nor an id",
                echo(text)
            );
            return Err(FilterError::new(literal.position, message));
        }
        Ok(id.to_owned())
    }

    fn equality(&self, comparison: Comparison) -> Result<bool, FilterError> {
        match comparison {
            Comparison::Equal => Ok(true),
            Comparison::NotEqual => Ok(false),
            _ => Err(self.operator_fault("has no order: use = or !=")),
        }
    }

    fn operator_fault(&self, what: &str) -> FilterError {
        let message = format!("{} {what}", self.field.path);
        FilterError::new(self.restriction.operator_position, message)
    }

    fn not_a(&self, expected: &str, literal: &Literal) -> FilterError {
        let message = format!(
            "{} expects {expected}, not {}",
            self.field.path,
            echo(&literal.text)
        );
        FilterError::new(literal.position, message)
    }
}

/// The id in a name of this collection. Any other text counts as an id already.
pub(super) fn bare_id<'a>(collection: &str, name: &'a str) -> &'a str {
    name.strip_prefix(collection)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(name)
}

/// The comparison with a whole microsecond that is equal to the one with the instant for every whole
/// microsecond.
fn among_micros(comparison: Comparison, instant: Instant) -> (Comparison, i64) {
    match (instant, comparison) {
        (Instant::At(micros), comparison) => (comparison, micros),
        (Instant::After(_), Comparison::Equal | Comparison::NotEqual) => {
            (comparison, literal::never())
        }
        (Instant::After(micros), Comparison::Less | Comparison::LessOrEqual) => {
            (Comparison::LessOrEqual, micros)
        }
        (Instant::After(micros), Comparison::Greater | Comparison::GreaterOrEqual) => {
            (Comparison::Greater, micros)
        }
    }
}
