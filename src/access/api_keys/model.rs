//! An API key as it is stored.
//!
//! Fields that this release does not know are kept, so that releases may run side by side.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An API key as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// The last part of its name.
    pub id: String,
    /// The shop that it opens; none for an operator's.
    pub shop: Option<String>,
    /// Its purpose and its roles.
    pub doc: ApiKeyDoc,
    /// When it ends by itself.
    pub expire_time: Option<i64>,
    /// When it was revoked.
    pub revoke_time: Option<i64>,
    /// When it was made.
    pub create_time: i64,
}

/// The document of a row of `api_keys`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiKeyDoc {
    /// The purpose of the key, for people.
    pub display_name: String,
    /// Its roles, as the numbers of [`Role`](crate::proto::pb::Role).
    pub roles: Vec<i32>,
    /// Whether it may name the acting person.
    pub may_act: bool,
    /// What a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
