//! The checked tree that both back ends read, and its canonical text.
//!
//! Invariant: it is built only through [`Expression::all`], [`Expression::any`] and [`Expression::not`]. So
//! no `And` holds an `And`, no `Or` an `Or`, no `Not` a `Not`, and only the filter that matches everything is
//! empty.

use std::cmp::Ordering;
use std::fmt::{self, Formatter, Write as _};

use super::literal;
use super::schema::{Kind, Schema};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Term(Term),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// Index into the fields of the schema.
    pub(super) field: usize,
    pub(super) test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// `field:*`
    Present,
    /// Text and dates.
    Text {
        comparison: Comparison,
        value: String,
    },
    /// `field:text`; the needle is folded.
    Contains {
        needle: String,
    },
    /// A resource name, by its bare id.
    Name {
        equal: bool,
        id: String,
    },
    Flag {
        equal: bool,
        value: bool,
    },
    /// Whole numbers, hundredths, microseconds since 1970, enum values.
    Number {
        comparison: Comparison,
        value: i64,
    },
    /// `field < now - 30m`
    Clock {
        comparison: Comparison,
        offset_seconds: i64,
    },
    Money {
        comparison: Comparison,
        micros: i64,
        currency: String,
    },
    /// `list:element`; the bare id for a list of names.
    Element {
        element: String,
    },
    /// `map.key:*`
    Key {
        key: String,
    },
    /// `map.key = value`
    Entry {
        key: String,
        equal: bool,
        value: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Expression {
    pub(super) fn everything() -> Self {
        Self::And(Vec::new())
    }

    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 {
            flat.remove(0)
        } else {
            Self::And(flat)
        }
    }

    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 {
            flat.remove(0)
        } else {
            Self::Or(flat)
        }
    }

    pub(super) fn not(part: Self) -> Self {
        match part {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(super) fn collect_terms<'a>(&'a self, terms: &mut Vec<&'a Term>) {
        match self {
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.collect_terms(terms);
                }
            }
            Self::Not(part) => part.collect_terms(terms),
            Self::Term(term) => terms.push(term),
        }
    }

    /// Prints with as few parentheses as possible, so that a text within the depth limit prints to one within
    /// it. `OR` binds tighter than `AND`.
    pub(super) fn print(&self, schema: &Schema, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => print_joined(parts, " AND ", schema, out),
            Self::Or(parts) => print_joined(parts, " OR ", schema, out),
            Self::Not(part) => {
                out.write_str("NOT ")?;
                match **part {
                    Self::And(_) | Self::Or(_) => part.print_grouped(schema, out),
                    Self::Not(_) | Self::Term(_) => part.print(schema, out),
                }
            }
            Self::Term(term) => term.print(schema, out),
        }
    }

    fn print_grouped(&self, schema: &Schema, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_char('(')?;
        self.print(schema, out)?;
        out.write_char(')')
    }
}

fn print_joined(
    parts: &[Expression],
    joint: &str,
    schema: &Schema,
    out: &mut Formatter<'_>,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.write_str(joint)?;
        }
        match part {
            Expression::And(_) => part.print_grouped(schema, out)?,
            _ => part.print(schema, out)?,
        }
    }
    Ok(())
}

impl Term {
    fn print(&self, schema: &Schema, out: &mut Formatter<'_>) -> fmt::Result {
        let field = &schema.fields[self.field];
        out.write_str(field.path)?;
        match &self.test {
            Test::Present => out.write_str(":*"),
            Test::Text { comparison, value } => {
                write!(out, " {} ", comparison.symbol())?;
                print_quoted(value, out)
            }
            Test::Contains { needle: element } | Test::Element { element } => {
                out.write_char(':')?;
                print_quoted(element, out)
            }
            Test::Name { equal, id } => {
                out.write_str(equality_symbol(*equal))?;
                print_quoted(id, out)
            }
            Test::Flag { equal, value } => write!(out, "{}{value}", equality_symbol(*equal)),
            Test::Number { comparison, value } => {
                write!(out, " {} ", comparison.symbol())?;
                print_number(field.kind, *value, out)
            }
            Test::Clock {
                comparison,
                offset_seconds,
            } => {
                write!(out, " {} ", comparison.symbol())?;
                literal::print_clock(*offset_seconds, out)
            }
            Test::Money {
                comparison,
                micros,
                currency,
            } => {
                write!(out, " {} \"", comparison.symbol())?;
                literal::print_money(*micros, out)?;
                write!(out, " {currency}\"")
            }
            Test::Key { key } => {
                print_key(key, out)?;
                out.write_str(":*")
            }
            Test::Entry { key, equal, value } => {
                print_key(key, out)?;
                out.write_str(equality_symbol(*equal))?;
                print_quoted(value, out)
            }
        }
    }
}

fn equality_symbol(equal: bool) -> &'static str {
    if equal { " = " } else { " != " }
}

fn print_number(kind: Kind, value: i64, out: &mut Formatter<'_>) -> fmt::Result {
    match kind {
        Kind::Decimal2 => literal::print_hundredths(value, out),
        Kind::Time => literal::print_time(value, out),
        Kind::Enum(values) => match values.iter().find(|(_, number)| *number == value) {
            Some((name, _)) => out.write_str(name),
            None => write!(out, "{value}"),
        },
        _ => write!(out, "{value}"),
    }
}

fn print_key(key: &str, out: &mut Formatter<'_>) -> fmt::Result {
    out.write_char('.')?;
    if !key.is_empty() && key.chars().all(literal::is_segment_character) {
        out.write_str(key)
    } else {
        print_quoted(key, out)
    }
}

pub(super) fn print_quoted(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\t' => out.write_str("\\t")?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}
