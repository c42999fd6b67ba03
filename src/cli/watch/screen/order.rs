//! The possible orders of the rows.

use std::{cmp::Ordering, rc::Rc};

use super::carts::Row;
use crate::feed::micros;

/// The key of an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Key {
    /// The last change, the latest first. The rows move as carts change.
    #[default]
    Changed,
    /// The total, the largest first. Amounts of one currency are adjacent.
    Total,
    /// The number of pieces, the largest first.
    Pieces,
    /// The age, the oldest first.
    Age,
    /// The customer or visitor, by name.
    Who,
}

/// An order of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Order {
    pub key: Key,
    /// Whether the order is reversed.
    pub reversed: bool,
}

impl Order {
    /// The order by the next key.
    pub fn next(self) -> Self {
        let key = match self.key {
            Key::Changed => Key::Total,
            Key::Total => Key::Pieces,
            Key::Pieces => Key::Age,
            Key::Age => Key::Who,
            Key::Who => Key::Changed,
        };
        Self {
            key,
            reversed: false,
        }
    }

    /// The reversed order.
    pub fn reverse(self) -> Self {
        Self {
            reversed: !self.reversed,
            ..self
        }
    }

    /// Sorts rows that are ordered by their last change. Equal rows keep their order.
    pub fn apply(self, rows: &mut [&Rc<Row>]) {
        if self.key != Key::Changed {
            rows.sort_by(|a, b| self.key.compare(a, b));
        }
        if self.reversed {
            rows.reverse();
        }
    }
}

impl Key {
    fn compare(self, a: &Row, b: &Row) -> Ordering {
        match self {
            Self::Changed => Ordering::Equal,
            Self::Total => currency(a)
                .cmp(currency(b))
                .then(micros_of(b).cmp(&micros_of(a))),
            Self::Pieces => b.cart.item_count.cmp(&a.cart.item_count),
            Self::Age => created(a).cmp(&created(b)),
            Self::Who => a.who.cmp(&b.who),
        }
    }
}

fn currency(row: &Row) -> &str {
    let total = row.cart.total.as_ref();
    total.map_or("", |total| total.currency_code.as_str())
}

fn micros_of(row: &Row) -> i64 {
    row.cart.total.as_ref().map_or(0, |total| total.micros)
}

fn created(row: &Row) -> i64 {
    row.cart.create_time.as_ref().map_or(i64::MAX, micros)
}
