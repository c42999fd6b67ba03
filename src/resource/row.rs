//! A row of a list or of a snapshot.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, FromRow, Type, TypeInfo as _, ValueRef as _};

use super::order::Key;

/// A row with its place in an order.
#[derive(Debug)]
pub struct Row {
    /// The last part of the name.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// Its document; empty if documents were not requested.
    pub doc: String,
    /// The values of the other columns of its order.
    keys: Vec<Key>,
}

impl Row {
    /// Its place in the order in which it was read.
    pub(super) fn place(&self) -> Vec<Key> {
        let id = Key::Text(self.id.clone());
        self.keys.iter().cloned().chain([id]).collect()
    }

    fn read<R>(row: &R) -> sqlx::Result<Self>
    where
        R: sqlx::Row,
        usize: ColumnIndex<R>,
        String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
        i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    {
        let key = |index: usize| {
            let is_text = row.try_get_raw(index)?.type_info().name() == "TEXT";
            Ok(if is_text {
                Key::Text(row.try_get(index)?)
            } else {
                Key::Int(row.try_get(index)?)
            })
        };
        Ok(Self {
            id: row.try_get(0)?,
            version: row.try_get(1)?,
            doc: row.try_get(2)?,
            keys: (3..row.len()).map(key).collect::<sqlx::Result<_>>()?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Self::read(row)
    }
}

impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Self::read(row)
    }
}
