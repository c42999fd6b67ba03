//! What the lists of all areas share: filters and orders as refusals of the contract, pages by keyset,
//! and counts.
//!
//! Invariant: an order always ends with the name, so every row has one place in it, and a page begins
//! right after the last row of the page before, whatever was written in between.

mod examine;
mod leads;

use std::time::{Duration, Instant};

use prost::Message;
use serde::{Deserialize, Serialize};
use tonic::Code;

use crate::error::{Error, Result};
use crate::filter::{self, Direction, Filter, FilterError, Kind, Record, Schema, Value};
use crate::limits;
use crate::proto::pb::{Count, CountMode, ErrorReason};
use crate::store::{Bind, Conn, Engine, PageToken, RequestDigest, Statement, StoreMeta, page_size};

pub use examine::{Examination, Way, by_name, push_ids, selected};
pub use leads::{Entries, Index, Lead, Pairs, Table};

/// A checked filter.
///
/// # Errors
/// INVALID_FILTER.
pub fn filter(
    text: &str,
    schema: &'static Schema,
    visible: &dyn Fn(&str) -> bool,
) -> Result<Filter> {
    Filter::parse(text, schema, visible).map_err(|e| refusal(ErrorReason::InvalidFilter, e))
}

fn refusal(reason: ErrorReason, error: FilterError) -> Error {
    let position = error.position.to_string();
    let refusal = Error::new(Code::InvalidArgument, reason, error.to_string());
    let mut refusal = refusal.with("position", position);
    if let Some(nearest) = error.nearest {
        refusal = refusal.with("nearest", nearest);
    }
    if !error.allowed.is_empty() {
        refusal = refusal.with("allowed", error.allowed.join(", "));
    }
    refusal
}

/// How many entries a page has at the most.
///
/// # Errors
/// INVALID_FIELD for a size below zero.
pub fn size(asked: i32) -> Result<usize> {
    page_size(asked).ok_or_else(|| {
        Error::invalid_field("page_size", "OUT_OF_RANGE", "a page has no negative size")
    })
}

/// How many rows to read for a page of `size`: one more tells whether another page follows.
#[must_use]
pub fn more(size: usize) -> i64 {
    i64::try_from(size + 1).expect("a page has at most 1,000 entries")
}

/// Lets other tasks run while a page is made of many rows or of large ones: whoever computes for long keeps
/// the calls waiting that are to run on the same thread. Not for writes, whose transaction others wait for.
pub struct Pauses(Instant);

impl Pauses {
    /// How long a page computes at a time.
    const AFTER: Duration = Duration::from_micros(500);

    /// Begins to compute.
    #[must_use]
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Pauses, if it is time to. To be called between two rows.
    pub async fn take(&mut self) {
        if self.0.elapsed() >= Self::AFTER {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}

/// An answer that clients accept.
///
/// # Errors
/// ANSWER_TOO_LARGE.
pub fn fits<M: Message>(answer: M) -> Result<M> {
    if answer.encoded_len() <= limits::RESPONSE_BYTES_MAX {
        Ok(answer)
    } else {
        Err(Error::answer_too_large())
    }
}

/// The value of a column by which rows are ordered, as a page token carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// A number, a time, an enum.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// A text or an id.
    Text(String),
}

impl From<Key> for Bind {
    fn from(key: Key) -> Self {
        match key {
            Key::Int(number) => Self::Int(number),
            Key::Bool(value) => Self::Bool(value),
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
    /// An order as a caller wrote it, with the name at its end.
    ///
    /// # Errors
    /// INVALID_ORDER_BY.
    pub fn parse(
        text: &str,
        schema: &'static Schema,
        visible: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let mut keys = filter::parse_order_by(text, schema, visible)
            .map_err(|error| refusal(ErrorReason::InvalidOrderBy, error))?;
        let name = schema.index("name");
        // What comes after the name decides nothing.
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

    /// Whether a field is one of the order's.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let mut fields = self.keys.iter();
        fields.any(|(field, _)| self.schema.fields[*field].path == path)
    }

    /// Whether rows lie in the order of their ids, up or down.
    fn is_by_id(&self) -> bool {
        self.keys.len() == 1
    }

    /// Whether rows lie in the order of a field, and of their ids where that is alike.
    fn is_by(&self, path: &str) -> bool {
        self.keys.len() == 2 && self.first() == path
    }

    /// The field that decides first.
    fn first(&self) -> &'static str {
        self.schema.fields[self.keys[0].0].path
    }

    /// The place of a row; ids stand for names.
    #[must_use]
    pub fn place(&self, row: &dyn Record) -> Vec<Key> {
        self.keys
            .iter()
            .map(|(field, _)| match row.value(*field) {
                Value::Int(number) => Key::Int(number),
                Value::Bool(value) => Key::Bool(value),
                Value::Text(text) => {
                    let id = text.rsplit('/').next().unwrap_or_default();
                    let is_name = *field == self.schema.index("name");
                    Key::Text(if is_name {
                        id.to_owned()
                    } else {
                        text.into_owned()
                    })
                }
                _ => Key::Text(String::new()),
            })
            .collect()
    }

    /// Adds the condition that a row comes after a place.
    ///
    /// # Errors
    /// INVALID_PAGE_TOKEN when the place is none of this order.
    pub fn push_after(&self, statement: &mut Statement, place: &[Key]) -> Result<()> {
        if place.len() != self.keys.len() {
            return Err(bad_token());
        }
        let pairs = || self.keys.iter().zip(place);
        if let [(field, direction), _, ..] = self.keys.as_slice() {
            // What follows implies it, but only this leads an index to the place.
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

    /// Adds a condition that each row meets. It leads SQLite to the index of the first field where no index
    /// has the whole order: it then sorts only rows that are alike in that field. PostgreSQL finds this way
    /// by itself.
    fn push_from_first(&self, statement: &mut Statement) {
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

    /// Adds the condition and the `ORDER BY` of an order by name to a statement in which another column
    /// holds the ids.
    ///
    /// # Errors
    /// INVALID_PAGE_TOKEN when the place is none of this order.
    fn push_by_id(
        &self,
        statement: &mut Statement,
        column: &'static str,
        place: Option<&[Key]>,
    ) -> Result<()> {
        let [(_, direction)] = self.keys[..] else {
            return Err(Error::internal("the order is not that of ids"));
        };
        let (after, order) = match direction {
            Direction::Ascending => (" > ", ""),
            Direction::Descending => (" < ", " DESC"),
        };
        match place {
            Some([id]) => {
                statement.push(" AND ").push(column).push(after);
                statement.bind(id.clone());
            }
            Some(_) => return Err(bad_token()),
            None => {}
        }
        statement.push(" ORDER BY ").push(column).push(order);
        Ok(())
    }

    /// Adds the `ORDER BY`.
    pub fn push(&self, statement: &mut Statement) {
        for (index, (field, direction)) in self.keys.iter().enumerate() {
            statement.push(if index == 0 { " ORDER BY " } else { ", " });
            statement.push(self.schema.fields[*field].column);
            if *direction == Direction::Descending {
                statement.push(" DESC");
            }
        }
    }
}

/// The position in a page token; none for the first page.
///
/// # Errors
/// INVALID_PAGE_TOKEN.
pub fn open<P: serde::de::DeserializeOwned>(
    meta: &StoreMeta,
    request: &RequestDigest,
    token: &str,
) -> Result<Option<P>> {
    PageToken::open(meta, request, token).map_err(|_| bad_token())
}

fn bad_token() -> Error {
    Error::new(
        Code::InvalidArgument,
        ErrorReason::InvalidPageToken,
        "the page token does not belong to this request",
    )
}

/// Counts what `matching` selects, as far as the caller wants it counted. `matching` has no `LIMIT`.
///
/// # Errors
/// The database's; INVALID_FIELD for a mode that does not exist.
pub async fn count(conn: &mut Conn, mode: i32, matching: &Statement) -> Result<Option<Count>> {
    let limit = match CountMode::try_from(mode) {
        Ok(CountMode::Unspecified | CountMode::None) => return Ok(None),
        Ok(CountMode::Estimate) => limits::COUNT_ESTIMATE_MAX,
        Ok(CountMode::Exact) => limits::COUNT_EXACT_MAX,
        Err(_) => return Err(Error::invalid_field("count", "INVALID", "no such mode")),
    };
    let mut statement = matching.clone();
    statement.enclose("SELECT COUNT(*) FROM (");
    statement
        .push(" LIMIT ")
        .push_number(limit + 1)
        .push(") AS matching");
    let rows: Vec<(i64,)> = statement.fetch_all(conn).await?;
    let counted = rows.first().map_or(0, |row| row.0);
    Ok(Some(Count {
        value: counted.min(limit),
        at_least: counted > limit,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Field;

    static SCHEMA: Schema = Schema {
        fields: &[
            Field::new("name", Kind::Name("things"), "t.id").sortable(),
            Field::new("size", Kind::Int, "t.size").sortable(),
        ],
    };

    struct Thing;

    impl Record for Thing {
        fn value(&self, field: usize) -> Value<'_> {
            if field == 0 {
                Value::text("things/a")
            } else {
                Value::Int(3)
            }
        }
    }

    fn order(text: &str) -> Result<Order> {
        Order::parse(text, &SCHEMA, &|_| true)
    }

    #[test]
    fn a_page_begins_after_the_last_row_in_every_key() {
        let order = order("size desc").unwrap();
        let place = order.place(&Thing);
        let mut statement = Statement::new(Engine::Sqlite, "");

        order.push_after(&mut statement, &place).unwrap();
        order.push(&mut statement);

        assert_eq!(place, [Key::Int(3), Key::Text("a".to_owned())]);
        assert_eq!(
            statement.text(),
            "t.size <= $1 AND (t.size < $2 OR t.size = $3 AND (t.id > $4)) \
             ORDER BY t.size DESC, t.id"
        );
    }

    #[test]
    fn nothing_is_ordered_by_after_the_name() {
        let mut statement = Statement::new(Engine::Sqlite, "");

        order("name desc, size").unwrap().push(&mut statement);

        assert_eq!(statement.text(), " ORDER BY t.id DESC");
    }

    #[test]
    fn refusals_say_where_and_what_instead() {
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
        assert!(size(-1).is_err());
    }
}
