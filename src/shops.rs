//! Shops: the scopes in which customers are shared, their settings, and the keys that open them.
//!
//! The face for the other areas: a shop's [`settings`].

mod model;
mod sql;

pub use model::{ApiKeyDoc, NewCustomerState, ReRegistration, Settings, Shop, ShopDoc};

use crate::error::{Error, Result};
use crate::store::Conn;

/// The shop that the first start makes.
pub const DEFAULT_SHOP: &str = "default";

/// The settings of a shop.
///
/// # Errors
/// NOT_FOUND if there is no such shop.
pub async fn settings(conn: &mut Conn, shop: &str) -> Result<Settings> {
    match sql::doc(conn, shop).await? {
        Some(doc) => Ok(doc.settings),
        None => Err(Error::not_found("shop")),
    }
}
