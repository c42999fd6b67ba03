//! The stored form of a saved filter.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A filter of the list of one kind of resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedFilter {
    /// The last segment of the name.
    #[serde(skip)]
    pub id: String,
    /// Increases by one with each change.
    #[serde(skip)]
    pub version: i64,
    /// The name for people; never empty.
    pub display_name: String,
    /// The number in the contract of the resource whose list it filters.
    pub resource: i32,
    /// The filter, as its author wrote it.
    pub filter: String,
    /// The order, as its author wrote it.
    pub order_by: String,
    /// Whether everybody sees it.
    pub shared: bool,
    /// The identity of the caller who created it.
    pub owner: String,
    /// When it was created.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
