//! Statements, one file a noun. Each takes the connection or transaction to run in; types of parameters are named at the call, so that a
//! pooler in transaction mode works.

pub mod audit;
pub mod broadcasts;
pub mod claims;
pub mod kicks;
pub mod nodes;
pub mod refresh;
pub mod resets;
pub mod samples;
pub mod secrets;
pub mod stream_keys;
pub mod streams;
pub mod tokens;
pub mod users;

use kit::pg::{PgError, Row, Type};
use serde::de::{DeserializeOwned, value::StrDeserializer};
use std::error::Error;
use tokio_postgres::types::{FromSql, accepts};

/// Answer of a statement.
pub type PgResult<T> = Result<T, PgError>;

/// Reads a column. One of another type is a bug of ours and comes out as a failed statement, not as a panic.
fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> PgResult<T> {
    row.try_get(name).map_err(PgError::Statement)
}

/// Reads a text column that holds a word or id of ours.
fn word<T: DeserializeOwned>(row: &Row, name: &str) -> PgResult<T> {
    column::<Word<T>>(row, name).map(|word| word.0)
}

/// Text that reads as `T` does in JSON: a closed word or an id.
struct Word<T>(T);

impl<'a, T: DeserializeOwned> FromSql<'a> for Word<T> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let text = <&str>::from_sql(ty, raw)?;
        let read = T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text));
        read.map(Self).map_err(Into::into)
    }
    accepts!(TEXT);
}
