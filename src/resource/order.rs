//! The order of a list.
//!
//! Invariant: an order always ends with the name, so every row has one place in it, and a page begins
//! right after the last row of the page before, whatever was written in between.

use serde::{Deserialize, Serialize};

use super::page::{self, bad_token};
use crate::error::Result;
use crate::filter::{Direction, Kind, Schema};
use crate::store::{Bind, Engine, Statement};

/// The value of a column by which rows are ordered, as a page token carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// A number, a time, an enum.
    Int(i64),
    /// A text or an id.
    Text(String),
}

impl From<Key> for Bind {
    fn from(key: Key) -> Self {
        match key {
            Key::Int(number) => Self::Int(number),
            Key::Text(text) => Self::Text(text),
        }
    }
}

/// A total order over columns that are never NULL.
#[derive(Clone, Debug)]
pub struct Order {
    schema: &'static Schema,
    keys: Vec<(usize, Direction)>,
}

impl Order {
    /// Parses the order of a request and appends the name.
    ///
    /// # Errors
    /// INVALID_ORDER_BY.
    pub fn parse(
        text: &str,
        schema: &'static Schema,
        visible: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let mut keys = page::order(text, schema, visible)?;
        let name = schema.index("name");
        // Keys after the name have no effect, because names are unique.
        match keys.iter().position(|(field, _)| *field == name) {
            Some(place) => keys.truncate(place + 1),
            None => keys.push((name, Direction::Ascending)),
        }
        Ok(Self { schema, keys })
    }

    /// The order by name alone.
    #[must_use]
    pub fn by_name(schema: &'static Schema) -> Self {
        let keys = vec![(schema.index("name"), Direction::Ascending)];
        Self { schema, keys }
    }

    /// Whether the order has a field.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let mut fields = self.keys.iter();
        fields.any(|(field, _)| self.schema.fields[*field].path == path)
    }

    /// Whether rows are ordered by id alone, ascending or descending.
    pub(super) fn is_by_id(&self) -> bool {
        self.keys.len() == 1
    }

    /// Whether rows are ordered by a field, and by id among equals.
    pub(super) fn is_by(&self, path: &str) -> bool {
        self.keys.len() == 2 && self.first() == path
    }

    /// The path of the first field.
    pub(super) fn first(&self) -> &'static str {
        self.schema.fields[self.keys[0].0].path
    }

    /// The number of columns besides the id.
    pub(super) fn columns(&self) -> i64 {
        i64::try_from(self.keys.len() - 1).unwrap_or_default()
    }

    /// Adds these columns, as `key0` and so on.
    pub(super) fn push_columns(&self, statement: &mut Statement) {
        for (number, (field, _)) in (0..self.columns()).zip(&self.keys) {
            statement.push(", ").push(self.schema.fields[*field].column);
            statement.push(" AS key").push_number(number);
        }
    }

    /// Adds the condition that a row comes after a place.
    ///
    /// # Errors
    /// INVALID_PAGE_TOKEN if the place is of another order.
    pub fn push_after(&self, statement: &mut Statement, place: &[Key]) -> Result<()> {
        if place.len() != self.keys.len() {
            return Err(bad_token());
        }
        let pairs = || self.keys.iter().zip(place);
        if let [(field, direction), _, ..] = self.keys.as_slice() {
            // The conditions below imply this one, but only this one lets the database seek in an index.
            statement.push(self.schema.fields[*field].column);
            statement.push(match direction {
                Direction::Ascending => " >= ",
                Direction::Descending => " <= ",
            });
            statement.bind(place[0].clone()).push(" AND ");
        }
        for (index, ((field, direction), key)) in pairs().enumerate() {
            let column = self.schema.fields[*field].column;
            statement.push(if index == 0 { "(" } else { " AND (" });
            statement.push(column).push(match direction {
                Direction::Ascending => " > ",
                Direction::Descending => " < ",
            });
            statement.bind(key.clone());
            if index + 1 < self.keys.len() {
                statement
                    .push(" OR ")
                    .push(column)
                    .push(" = ")
                    .bind(key.clone());
            }
        }
        for _ in pairs() {
            statement.push(")");
        }
        Ok(())
    }

    /// Adds a condition that every row meets. If no index has the whole order, it makes SQLite use the index of the
    /// first field and sort only rows that are equal in that field. PostgreSQL does this by itself.
    pub(super) fn push_from_first(&self, statement: &mut Statement) {
        let [(field, _), _, _, ..] = self.keys[..] else {
            return;
        };
        if statement.engine() != Engine::Sqlite {
            return;
        }
        let field = &self.schema.fields[field];
        let least = match field.kind {
            Kind::Text => Bind::Text(String::new()),
            Kind::Time => Bind::Int(i64::MIN),
            _ => return,
        };
        statement.push(" AND ").push(field.column).push(" >= ");
        statement.bind(least);
    }

    /// Adds the condition that a row comes after a place in the order of names, by another column that holds the ids.
    ///
    /// # Errors
    /// INVALID_PAGE_TOKEN if the place is of another order.
    pub(super) fn push_after_id(
        &self,
        statement: &mut Statement,
        column: &'static str,
        place: &[Key],
    ) -> Result<()> {
        let ([(_, direction)], [id]) = (&*self.keys, place) else {
            return Err(bad_token());
        };
        statement.push(" AND ").push(column).push(match direction {
            Direction::Ascending => " > ",
            Direction::Descending => " < ",
        });
        statement.bind(id.clone());
        Ok(())
    }

    /// Adds the `ORDER BY` of the columns of [`push_columns`](Self::push_columns) and the id.
    pub fn push(&self, statement: &mut Statement) {
        self.push_by(statement, "id");
    }

    /// Adds the `ORDER BY`, with another column that holds the ids.
    pub(super) fn push_by(&self, statement: &mut Statement, id: &'static str) {
        let last = self.keys.len() - 1;
        for (number, (place, (_, direction))) in (0..).zip(self.keys.iter().enumerate()) {
            statement.push(if place == 0 { " ORDER BY " } else { ", " });
            if place == last {
                statement.push(id);
            } else {
                statement.push("key").push_number(number);
            }
            if *direction == Direction::Descending {
                statement.push(" DESC");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::filter;
    use super::*;
    use crate::filter::Field;
    use crate::proto::pb::ErrorReason;

    static SCHEMA: Schema = Schema {
        fields: &[
            Field::new("name", Kind::Name("things"), "t.id").sortable(),
            Field::new("size", Kind::Int, "t.size").sortable(),
        ],
    };

    fn order(text: &str) -> Result<Order> {
        Order::parse(text, &SCHEMA, &|_| true)
    }

    #[test]
    fn a_page_begins_after_the_last_row_in_every_key() {
        let order = order("size desc").unwrap();
        let place = [Key::Int(3), Key::Text("a".to_owned())];
        let mut statement = Statement::new(Engine::Sqlite, "");

        order.push_after(&mut statement, &place).unwrap();
        order.push(&mut statement);

        assert_eq!(
            statement.text(),
            "t.size <= $1 AND (t.size < $2 OR t.size = $3 AND (t.id > $4)) \
             ORDER BY key0 DESC, id"
        );
    }

    #[test]
    fn keys_after_the_name_are_ignored() {
        let mut statement = Statement::new(Engine::Sqlite, "");

        order("name desc, size").unwrap().push(&mut statement);

        assert_eq!(statement.text(), " ORDER BY id DESC");
    }

    #[test]
    fn a_refused_order_names_the_position_and_the_nearest_field() {
        let error = order("sise").unwrap_err();

        assert_eq!(error.reason(), ErrorReason::InvalidOrderBy);
        assert_eq!(error.metadata("nearest"), Some("size"));
        assert_eq!(error.metadata("position"), Some("0"));
        let error = filter("size = x", &SCHEMA, &|_| true).unwrap_err();
        assert_eq!(error.reason(), ErrorReason::InvalidFilter);
    }

    #[test]
    fn a_place_of_another_order_is_refused() {
        let mut statement = Statement::new(Engine::Sqlite, "");

        assert!(order("").unwrap().push_after(&mut statement, &[]).is_err());
    }
}
