//! The SQL of a filter: one text for both engines except for the search of a substring.
//!
//! Invariant: the text consists of constants and numbered placeholders; everything from a caller is a bound
//! value. Every predicate is true or false for every row, never NULL.

use super::evaluate::clock_bound;
use super::expression::{Comparison, Expression, Term, Test};
use super::pack;
use super::schema::{Field, Kind, Schema};

/// The engines whose SQL differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A value for a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// For a TEXT column.
    Text(String),
    /// For a BIGINT column.
    Int(i64),
    /// For a BOOLEAN column.
    Bool(bool),
}

/// A statement that is being assembled, with the values of its placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlText {
    text: String,
    /// How many placeholders precede those of this text.
    before: usize,
    binds: Vec<Bind>,
}

impl SqlText {
    /// An empty statement.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A piece of a statement that already has `placeholders` placeholders; the first of this piece is the
    /// next one.
    #[must_use]
    pub fn after(placeholders: usize) -> Self {
        Self {
            before: placeholders,
            ..Self::default()
        }
    }

    /// Appends text of the program.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends the next placeholder and keeps its value.
    pub fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        self.text.push('$');
        self.text
            .push_str(&(self.before + self.binds.len()).to_string());
        self
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values so far, in the order of their placeholders.
    #[must_use]
    pub fn binds(&self) -> &[Bind] {
        &self.binds
    }

    /// The finished text and its values.
    #[must_use]
    pub fn into_parts(self) -> (String, Vec<Bind>) {
        (self.text, self.binds)
    }
}

pub(super) fn translate(
    expression: &Expression,
    schema: &Schema,
    sql: &mut SqlText,
    now_micros: i64,
    engine: Engine,
) {
    match expression {
        Expression::And(parts) if parts.is_empty() => {
            sql.push("(1 = 1)");
        }
        Expression::And(parts) | Expression::Or(parts) => {
            let joint = if matches!(expression, Expression::And(_)) {
                " AND "
            } else {
                " OR "
            };
            for (index, part) in parts.iter().enumerate() {
                sql.push(if index == 0 { "(" } else { joint });
                translate(part, schema, sql, now_micros, engine);
            }
            sql.push(")");
        }
        Expression::Not(part) => {
            sql.push("(NOT ");
            translate(part, schema, sql, now_micros, engine);
            sql.push(")");
        }
        Expression::Term(term) => {
            sql.push("(");
            let field = &schema.fields[term.field];
            Predicate { field, sql, engine }.push(term, now_micros);
            sql.push(")");
        }
    }
}

struct Predicate<'a> {
    field: &'static Field,
    sql: &'a mut SqlText,
    engine: Engine,
}

impl Predicate<'_> {
    fn push(mut self, term: &Term, now_micros: i64) {
        let column = self.field.column;
        match &term.test {
            Test::Present => self.present(),
            Test::Text { comparison, value } => self.text(*comparison, value),
            Test::Name { equal, id } => {
                self.text(
                    if *equal {
                        Comparison::Equal
                    } else {
                        Comparison::NotEqual
                    },
                    id,
                );
            }
            Test::Contains { needle } => {
                let folded = self
                    .field
                    .folded_column
                    .expect("checked: the field is searchable");
                self.sql.push(folded).push(" IS NOT NULL AND ");
                self.position(folded, needle.clone()).push(" > 0");
            }
            Test::Flag { equal, value } => {
                let operator = if *equal { " = " } else { " <> " };
                self.not_null(column)
                    .push(column)
                    .push(operator)
                    .bind(Bind::Bool(*value));
            }
            Test::Number { comparison, value } => self.number(*comparison, *value),
            Test::Clock {
                comparison,
                offset_seconds,
            } => {
                self.number(*comparison, clock_bound(now_micros, *offset_seconds));
            }
            Test::Money {
                comparison,
                micros,
                currency,
            } => {
                self.money(*comparison, *micros, currency);
            }
            Test::Element { element } => {
                self.not_null(column);
                self.position(column, pack::element(element)).push(" > 0");
            }
            Test::Key { key } => {
                self.not_null(column);
                self.position(column, pack::key_prefix(key)).push(" > 0");
            }
            Test::Entry {
                key,
                equal: true,
                value,
            } => {
                self.not_null(column);
                self.position(column, pack::entry(key, value)).push(" > 0");
            }
            Test::Entry {
                key,
                equal: false,
                value,
            } => {
                self.not_null(column);
                self.position(column, pack::key_prefix(key))
                    .push(" > 0 AND ");
                self.position(column, pack::entry(key, value)).push(" = 0");
            }
        }
    }

    fn present(&mut self) {
        let column = self.field.column;
        match self.field.kind {
            Kind::Text
            | Kind::Name(_)
            | Kind::Date
            | Kind::TextList
            | Kind::NameList(_)
            | Kind::TextMap => {
                self.not_null(column).push(column).push(" <> ''");
            }
            Kind::Money { currency_column } => {
                self.sql.push(column).push("_micros IS NOT NULL AND ");
                self.not_null(currency_column)
                    .push(currency_column)
                    .push(" <> ''");
            }
            Kind::Bool | Kind::Int | Kind::Decimal2 | Kind::Time | Kind::Enum(_) => {
                self.sql.push(column).push(" IS NOT NULL");
            }
        }
    }

    fn text(&mut self, comparison: Comparison, value: &str) {
        let column = self.field.column;
        self.not_null(column);
        // No literal is empty, so the other operators are false for an empty text anyway.
        if matches!(
            comparison,
            Comparison::NotEqual | Comparison::Less | Comparison::LessOrEqual
        ) {
            self.sql.push(column).push(" <> '' AND ");
        }
        self.sql
            .push(column)
            .push(operator(comparison))
            .bind(Bind::Text(value.to_owned()));
    }

    fn number(&mut self, comparison: Comparison, value: i64) {
        let column = self.field.column;
        self.not_null(column)
            .push(column)
            .push(operator(comparison))
            .bind(Bind::Int(value));
    }

    fn money(&mut self, comparison: Comparison, micros: i64, currency: &str) {
        let Kind::Money { currency_column } = self.field.kind else {
            unreachable!("only fields of money are compared with money");
        };
        let column = self.field.column;
        self.not_null(currency_column)
            .push(currency_column)
            .push(" = ");
        self.sql
            .bind(Bind::Text(currency.to_owned()))
            .push(" AND ")
            .push(column);
        self.sql
            .push("_micros IS NOT NULL AND ")
            .push(column)
            .push("_micros");
        self.sql.push(operator(comparison)).bind(Bind::Int(micros));
    }

    fn not_null(&mut self, column: &'static str) -> &mut SqlText {
        self.sql.push(column).push(" IS NOT NULL AND ")
    }

    /// The one-based position of a text in a column; 0 if it is not there.
    fn position(&mut self, column: &'static str, needle: String) -> &mut SqlText {
        self.sql.push(match self.engine {
            Engine::Sqlite => "instr(",
            Engine::Postgres => "strpos(",
        });
        self.sql
            .push(column)
            .push(", ")
            .bind(Bind::Text(needle))
            .push(")")
    }
}

pub(super) fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => " = ",
        Comparison::NotEqual => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    }
}
