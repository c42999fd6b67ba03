//! Conditions on single fields that every match of a filter meets. A query may use them to select an index.
//!
//! A filter pins a field when nothing can match without one comparison: the comparison is the whole filter,
//! or one side of its outermost `AND`.

use super::evaluate::clock_bound;
use super::expression::{Comparison, Expression, Term, Test};
use super::sql::{Bind, operator};
use super::{Filter, Kind};

impl Filter {
    /// The literal to which the filter pins a field by `field = literal`. Money, maps and comparisons with
    /// `now` never pin.
    #[must_use]
    pub fn equality(&self, path: &str) -> Option<Bind> {
        self.pinned(path, |test| match test {
            Test::Text {
                comparison: Comparison::Equal,
                value,
            }
            | Test::Name {
                equal: true,
                id: value,
            } => Some(Bind::Text(value.clone())),
            Test::Number {
                comparison: Comparison::Equal,
                value,
            } => Some(Bind::Int(*value)),
            Test::Flag { equal: true, value } => Some(Bind::Bool(*value)),
            _ => None,
        })
    }

    /// The key and the literal to which the filter pins an entry of a map.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<(String, String)> {
        self.pinned(path, |test| match test {
            Test::Entry {
                key,
                equal: true,
                value,
            } => Some((key.clone(), value.clone())),
            _ => None,
        })
    }

    /// The element that a list must contain.
    #[must_use]
    pub fn element(&self, path: &str) -> Option<String> {
        self.pinned(path, |test| match test {
            Test::Element { element } => Some(element.clone()),
            _ => None,
        })
    }

    /// The folded text that a field must contain.
    #[must_use]
    pub fn needle(&self, path: &str) -> Option<String> {
        self.pinned(path, |test| match test {
            Test::Contains { needle } => Some(needle.clone()),
            _ => None,
        })
    }

    /// The bounds of a field, each with its SQL operator.
    #[must_use]
    pub fn bounds(&self, path: &str, now_micros: i64) -> Vec<(&'static str, Bind)> {
        let bound = |test: &Test| match test {
            Test::Text { comparison, value } => Some((*comparison, Bind::Text(value.clone()))),
            Test::Number { comparison, value } => Some((*comparison, Bind::Int(*value))),
            Test::Clock {
                comparison,
                offset_seconds,
            } => {
                let bound = clock_bound(now_micros, *offset_seconds);
                Some((*comparison, Bind::Int(bound)))
            }
            _ => None,
        };
        self.parts()
            .iter()
            .filter_map(|part| self.term(part, path))
            .filter_map(bound)
            .filter(|(comparison, _)| *comparison != Comparison::NotEqual)
            .map(|(comparison, bind)| (operator(comparison), bind))
            .collect()
    }

    /// The part of the filter whose result time alone does not change: a record that fails it now fails it
    /// until it is written.
    #[must_use]
    pub fn timeless(&self) -> Self {
        let is_timeless = |part: &&Expression| {
            let mut terms = Vec::new();
            part.collect_terms(&mut terms);
            !terms
                .iter()
                .any(|term| matches!(term.test, Test::Clock { .. }))
        };
        let parts = self.parts().iter().filter(is_timeless).cloned();
        Self {
            schema: self.schema,
            root: Expression::all(parts),
        }
    }

    /// Returns the sides of the outermost `AND`, or the whole filter.
    fn parts(&self) -> &[Expression] {
        match &self.root {
            Expression::And(parts) => parts,
            single => std::slice::from_ref(single),
        }
    }

    fn term<'f>(&self, part: &'f Expression, path: &str) -> Option<&'f Test> {
        match part {
            Expression::Term(Term { field, test })
                if self.schema.fields[*field].path == path && !self.is_money(*field) =>
            {
                Some(test)
            }
            _ => None,
        }
    }

    fn is_money(&self, field: usize) -> bool {
        matches!(self.schema.fields[field].kind, Kind::Money { .. })
    }

    fn pinned<T>(&self, path: &str, pin: impl Fn(&Test) -> Option<T>) -> Option<T> {
        self.parts()
            .iter()
            .filter_map(|part| self.term(part, path))
            .find_map(pin)
    }
}
