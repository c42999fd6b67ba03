//! The pieces of SQL in which the engines differ, and nothing else.

use super::Engine;

/// The position up to which the change log is complete: no row with a smaller `xid` can still appear. Read it
/// in the same statement as the rows or in an earlier one, never in a later one.
///
/// SQLite has one writer and needs no horizon; every position is below its largest number.
#[must_use]
pub const fn horizon(engine: Engine) -> &'static str {
    engine.pick(
        "9223372036854775807",
        "pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
    )
}

/// A statement that reads the [`horizon`].
#[must_use]
pub const fn select_horizon(engine: Engine) -> &'static str {
    engine.pick(
        "SELECT 9223372036854775807",
        "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
    )
}

/// A statement that reads whether the server is a standby, which may lag behind its primary.
#[must_use]
pub const fn select_in_recovery(engine: Engine) -> &'static str {
    engine.pick("SELECT FALSE", "SELECT pg_is_in_recovery()")
}

/// The number of the current transaction, as the change log stores it.
#[must_use]
pub const fn current_xid(engine: Engine) -> &'static str {
    engine.pick("0", "pg_current_xact_id()::text::bigint")
}

/// Whether `column` contains the text at `placeholder`, byte by byte.
#[must_use]
pub fn contains(engine: Engine, column: &str, placeholder: &str) -> String {
    match engine {
        Engine::Sqlite => format!("instr({column}, {placeholder}) > 0"),
        Engine::Postgres => format!("strpos({column}, {placeholder}) > 0"),
    }
}

/// Whether `column` is one of the texts at `placeholder`, which binds [`Texts`](super::Texts).
#[must_use]
pub fn any_of(engine: Engine, column: &str, placeholder: &str) -> String {
    match engine {
        Engine::Sqlite => format!("{column} IN (SELECT value FROM json_each({placeholder}))"),
        Engine::Postgres => format!("{column} = ANY({placeholder})"),
    }
}

/// Whether `column` is one of the digests at `placeholder`, which binds [`Digests`](super::Digests).
#[must_use]
pub fn any_digest_of(engine: Engine, column: &str, placeholder: &str) -> String {
    match engine {
        Engine::Sqlite => {
            format!("{column} IN (SELECT unhex(value) FROM json_each({placeholder}))")
        }
        Engine::Postgres => format!("{column} = ANY({placeholder})"),
    }
}

/// Whether the column holds a JSON array of texts that contains the text at `placeholder`.
#[must_use]
pub fn array_has(engine: Engine, column: &str, placeholder: &str) -> String {
    match engine {
        Engine::Sqlite => {
            format!("EXISTS (SELECT 1 FROM json_each({column}) WHERE value = {placeholder})")
        }
        Engine::Postgres => format!("({column})::jsonb ? {placeholder}"),
    }
}

/// The text at `key` (a plain word) of a JSON object in a text column; NULL if there is none.
#[must_use]
pub fn json_text(engine: Engine, column: &str, key: &str) -> String {
    debug_assert!(
        key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
        "a plain word"
    );
    match engine {
        Engine::Sqlite => format!("({column} ->> '{key}')"),
        Engine::Postgres => format!("(({column})::jsonb ->> '{key}')"),
    }
}

/// The text at `inner` of the object at `outer` (both plain words) of a JSON object in a text column; NULL if
/// there is none.
#[must_use]
pub fn nested_text(engine: Engine, column: &str, outer: &str, inner: &str) -> String {
    let object = match engine {
        Engine::Sqlite => column.to_owned(),
        Engine::Postgres => format!("({column})::jsonb"),
    };
    format!("({object} -> '{outer}' ->> '{inner}')")
}

/// Skips rows that others have locked, at the end of a `SELECT`. Empty on SQLite, which has one writer.
#[must_use]
pub const fn skip_locked(engine: Engine) -> &'static str {
    engine.pick("", " FOR UPDATE SKIP LOCKED")
}

/// One message that runs `write` and, if that changed a row, inserts a row of `values`. `write` changes at
/// most one row and returns nothing. `insert` is the statement up to its columns, `rest` the text after the
/// values.
///
/// The driver for SQLite runs several statements of one text, each with the placeholders that it names.
/// PostgreSQL takes one statement a message, which may write in several places.
#[must_use]
pub fn write_then_insert(
    engine: Engine,
    write: &str,
    insert: &str,
    values: &str,
    rest: &str,
) -> String {
    match engine {
        Engine::Sqlite => format!("{write}; {insert} SELECT {values} WHERE changes() = 1 {rest}"),
        Engine::Postgres => format!(
            "WITH written AS ({write} RETURNING 1) {insert} SELECT {values} FROM written {rest}"
        ),
    }
}
