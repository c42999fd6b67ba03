//! Statements that are assembled at run time: filters, orders, searches.
//!
//! The text comes only from the program; every value of a caller is bound. Assembled text becomes a query
//! only in [`Statement::fetch_all`] and [`Statement::execute`].

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow};

use super::{Conn, Engine, Tx};
use crate::error::Result;
use crate::filter::{self, Filter};
use crate::{bound, execute, on};

/// A value for a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub enum Bind {
    /// A text.
    Text(String),
    /// A number, a time in microseconds or an amount in micros.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list of texts, for [`dialect::any_of`](super::dialect::any_of).
    Texts(Vec<String>),
    /// NULL, as a number.
    NoInt,
    /// NULL, as a text.
    NoText,
}

impl From<&str> for Bind {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Bind {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Bind {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Option<i64>> for Bind {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::NoInt, Self::Int)
    }
}

impl From<Option<String>> for Bind {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::NoText, Self::Text)
    }
}

impl From<bool> for Bind {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// A statement that is being assembled, with the values of its placeholders.
#[derive(Clone, Debug)]
pub struct Statement {
    engine: Engine,
    text: String,
    binds: Vec<Bind>,
}

impl Statement {
    /// Begins with text of the program.
    #[must_use]
    pub fn new(engine: Engine, text: &'static str) -> Self {
        Self {
            engine,
            text: text.to_owned(),
            binds: Vec::new(),
        }
    }

    /// The engine whose SQL the statement uses.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends text of the program.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a piece that [`dialect`](super::dialect) made from text of the program and placeholders. It
    /// must not contain anything that a caller sent.
    pub fn push_piece(&mut self, piece: &str) -> &mut Self {
        self.text.push_str(piece);
        self
    }

    /// Appends a number as text. A number cannot hold anything else.
    pub fn push_number(&mut self, number: i64) -> &mut Self {
        use std::fmt::Write as _;
        let _ = write!(self.text, "{number}");
        self
    }

    /// Inserts text of the program at the beginning.
    pub fn enclose(&mut self, before: &'static str) -> &mut Self {
        self.text.insert_str(0, before);
        self
    }

    /// Keeps a value and returns its placeholder (`$3`), which may be used more than once.
    pub fn keep(&mut self, value: impl Into<Bind>) -> String {
        self.binds.push(value.into());
        format!("${}", self.binds.len())
    }

    /// Appends a placeholder with its value.
    pub fn bind(&mut self, value: impl Into<Bind>) -> &mut Self {
        let placeholder = self.keep(value);
        self.text.push_str(&placeholder);
        self
    }

    /// Appends a filter as one parenthesised predicate. `now_micros` is the value of its `now`.
    pub fn push_filter(&mut self, filter: &Filter, now_micros: i64) -> &mut Self {
        let engine = match self.engine {
            Engine::Sqlite => filter::Engine::Sqlite,
            Engine::Postgres => filter::Engine::Postgres,
        };
        let mut predicate = filter::SqlText::after(self.binds.len());
        filter.to_sql(&mut predicate, now_micros, engine);
        let (text, binds) = predicate.into_parts();
        self.text.push_str(&text);
        self.binds.extend(binds.into_iter().map(|bind| match bind {
            filter::Bind::Text(text) => Bind::Text(text),
            filter::Bind::Int(number) => Bind::Int(number),
            filter::Bind::Bool(value) => Bind::Bool(value),
        }));
        self
    }

    /// Runs the statement and reads all of its rows. The statement should have a `LIMIT`.
    ///
    /// # Errors
    /// An error of the database.
    pub async fn fetch_all<R>(self, conn: &mut Conn) -> sqlx::Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let Self {
            engine,
            text,
            binds,
        } = self;
        debug_assert_eq!(engine, conn.engine(), "a statement of the other engine");
        on!(conn, |e| bound!(
            sqlx::query_as(AssertSqlSafe(text)),
            &binds
        )
        .fetch_all(e)
        .await)
    }

    /// Runs a statement that writes.
    ///
    /// # Errors
    /// An error of the database.
    pub async fn execute(self, tx: &mut Tx) -> Result<()> {
        let Self {
            engine,
            text,
            binds,
        } = self;
        debug_assert_eq!(engine, tx.engine(), "a statement of the other engine");
        execute!(tx, bound!(sqlx::query(AssertSqlSafe(text)), &binds))?;
        Ok(())
    }
}

/// Binds the values to a query.
#[macro_export]
macro_rules! bound {
    ($query:expr, $binds:expr) => {{
        use $crate::store::{Bind, Texts};
        let mut query = $query;
        for bind in $binds {
            query = match bind {
                Bind::Text(text) => query.bind(text.as_str()),
                Bind::Int(number) => query.bind(*number),
                Bind::Bool(value) => query.bind(*value),
                Bind::Bytes(bytes) => query.bind(bytes.as_slice()),
                Bind::Texts(texts) => query.bind(Texts(texts)),
                Bind::NoInt => query.bind(None::<i64>),
                Bind::NoText => query.bind(None::<&str>),
            };
        }
        query
    }};
}
