//! Parameter types that each engine encodes in its own form.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArgumentsBuffer, SqliteTypeInfo};
use sqlx::{Encode, Type};

use crate::ids;

/// A list of texts as one parameter: an array on PostgreSQL, JSON on SQLite.
///
/// For use with [`dialect::any_of`](super::dialect::any_of) or `Engine::pick`.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a>(pub &'a [String]);

impl Type<Sqlite> for Texts<'_> {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Type<Postgres> for Texts<'_> {
    fn type_info() -> PgTypeInfo {
        <Vec<String> as Type<Postgres>>::type_info()
    }
}

impl<'q> Encode<'q, Sqlite> for Texts<'_> {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        let json = serde_json::to_string(self.0)?;
        <String as Encode<'_, Sqlite>>::encode(json, buffer)
    }
}

impl<'q> Encode<'q, Postgres> for Texts<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <&[String] as Encode<'_, Postgres>>::encode(self.0, buffer)
    }
}

/// A list of digests as one parameter; for use with [`dialect::any_digest_of`](super::dialect::any_digest_of).
#[derive(Clone, Copy, Debug)]
pub struct Digests<'a>(pub &'a [[u8; 32]]);

impl Type<Sqlite> for Digests<'_> {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Type<Postgres> for Digests<'_> {
    fn type_info() -> PgTypeInfo {
        <Vec<Vec<u8>> as Type<Postgres>>::type_info()
    }
}

impl<'q> Encode<'q, Sqlite> for Digests<'_> {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        let texts: Vec<String> = self.0.iter().map(|digest| ids::hex(digest)).collect();
        <String as Encode<'_, Sqlite>>::encode(serde_json::to_string(&texts)?, buffer)
    }
}

impl<'q> Encode<'q, Postgres> for Digests<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let digests: Vec<&[u8]> = self.0.iter().map(<[u8; 32]>::as_slice).collect();
        <Vec<&[u8]> as Encode<'_, Postgres>>::encode(digests, buffer)
    }
}
