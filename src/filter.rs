//! The filter language of `List*`, `Watch*` and rule groups. A text is read once into a checked tree, which
//! is then evaluated in memory or translated to SQL. Both give the same answer.
//!
//! A filter does not know any resource: a [`Schema`] lists the fields. A field that the caller may not see is
//! answered exactly like one that does not exist.
//!
//! Invariant: every comparison is true or false, never unknown. A comparison with an absent value is false
//! whatever its operator, and `NOT` inverts that. An empty text is an absent value.

mod check;
mod error;
mod evaluate;
mod expression;
mod fold;
mod literal;
mod order;
mod pack;
mod pins;
mod schema;
mod sql;
mod syntax;
#[cfg(test)]
mod tests;

use std::fmt;

pub use error::FilterError;
pub use evaluate::{Record, Value};
pub use fold::fold;
pub use order::{Direction, parse_order_by};
pub use pack::{pack_list, pack_map};
pub use schema::{Field, Kind, Schema};
pub use sql::{Bind, Engine, SqlText};

use expression::{Expression, Term, Test, print_quoted};

/// A checked filter: every field exists and is visible to the caller, and every literal has the type of its
/// field. Its `Display` is canonical: two texts print the same if they differ only in spacing, quoting,
/// redundant parentheses or the spelling of literals.
#[derive(Debug, Clone)]
pub struct Filter {
    schema: &'static Schema,
    root: Expression,
}

impl Filter {
    /// Reads and checks a filter. An empty text is the filter that matches everything.
    ///
    /// # Errors
    /// The first fault of the text, with its position.
    pub fn parse(
        text: &str,
        schema: &'static Schema,
        visible: &dyn Fn(&str) -> bool,
    ) -> Result<Self, FilterError> {
        let root = match syntax::parse(text)? {
            Some(node) => check::check(node, schema, visible)?,
            None => Expression::everything(),
        };
        Ok(Self { schema, root })
    }

    /// The filter that matches everything.
    #[must_use]
    pub fn everything(schema: &'static Schema) -> Self {
        Self {
            schema,
            root: Expression::everything(),
        }
    }

    /// The filter that matches what both this one and another of the same schema match.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        debug_assert_eq!(self.schema, other.schema, "both filters are of one table");
        Self {
            schema: self.schema,
            root: Expression::all([self.root, other.root]),
        }
    }

    /// Whether this is the filter of an empty text, which matches everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.root == Expression::everything()
    }

    /// The schema that this filter was checked against.
    #[must_use]
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// Whether the record matches at this instant.
    #[must_use]
    pub fn matches(&self, record: &dyn Record, now_micros: i64) -> bool {
        evaluate::holds(&self.root, self.schema, record, now_micros)
    }

    /// The earliest time in microseconds after `now_micros` at which the passing of time makes this unchanged
    /// record match or stop matching; `None` if there is none.
    #[must_use]
    pub fn next_flip(&self, record: &dyn Record, now_micros: i64) -> Option<i64> {
        evaluate::next_flip(&self.root, self.schema, record, now_micros)
    }

    /// Appends the filter as one parenthesised predicate. `now_micros` is bound as `now`.
    pub fn to_sql(&self, sql: &mut SqlText, now_micros: i64, engine: Engine) {
        sql::translate(&self.root, self.schema, sql, now_micros, engine);
    }

    /// Whether the filter names `now`, so that its result can change without a write.
    #[must_use]
    pub fn uses_clock(&self) -> bool {
        self.terms()
            .iter()
            .any(|term| matches!(term.test, Test::Clock { .. }))
    }

    /// The indices of all fields that the filter reads, ascending and distinct.
    #[must_use]
    pub fn fields(&self) -> Vec<usize> {
        let mut fields: Vec<usize> = self.terms().iter().map(|term| term.field).collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    fn terms(&self) -> Vec<&Term> {
        let mut terms = Vec::new();
        self.root.collect_terms(&mut terms);
        terms
    }
}

/// Quotes a text for use in a filter.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    print_quoted(text, &mut out).expect("a String takes everything");
    out
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema && self.root == other.root
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.print(self.schema, formatter)
    }
}
