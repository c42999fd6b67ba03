//! The stored form of an API key.
//!
//! Fields that this release does not know are kept, so that releases can run side by side.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The stored form of an API key.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// The last segment of its name.
    pub id: String,
    /// The shop to which it gives access; None for an operator key.
    pub shop: Option<String>,
    /// Its purpose and its roles.
    pub doc: ApiKeyDoc,
    /// When it expires, in microseconds.
    pub expire_time: Option<i64>,
    /// When it was revoked.
    pub revoke_time: Option<i64>,
    /// When it was created.
    pub create_time: i64,
}

/// The document of a row of `api_keys`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiKeyDoc {
    /// Its purpose, for people.
    pub display_name: String,
    /// Its roles, as the numbers of [`Role`](crate::proto::pb::Role).
    pub roles: Vec<i32>,
    /// Whether it may name the acting person.
    pub may_act: bool,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
