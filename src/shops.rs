//! Shops: the scopes in which customers are shared, their settings, and the keys that open them.
//!
//! The face for the other areas: a shop's [`settings`]; and for the start of the program,
//! [`first_start()`].

mod convert;
mod first_start;
mod model;
mod rpc;
mod sql;

pub use first_start::{FirstStartError, KEYS_FILE, Keys, first_start};
pub use model::{NewCustomerState, ReRegistration, Settings, Shop, ShopDoc, Specials};
pub use rpc::Service;

use crate::area::{Area, bounded};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Change};
use crate::proto::server::admin_service_server::AdminServiceServer;
use crate::store::{Conn, LockKey, Tx};
use crate::{customers, groups};

/// The shops as a part of the program.
#[must_use]
pub fn area() -> Area {
    Area::default().service(|parts, routes| {
        let service = Service::new(parts.store.clone(), parts.keys.clone());
        routes.add_service(bounded!(AdminServiceServer, service))
    })
}

/// Shops in the change log.
const KIND: feed::Kind = feed::Kind::new(6);
/// The settings of shops in the change log.
pub const SETTINGS: feed::Kind = feed::Kind::new(7);

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

/// Shops, a hundred at most, whose customers are not found and ordered by what this version makes.
///
/// # Errors
/// The database's.
pub async fn not_indexed_by(conn: &mut Conn, version: &str) -> Result<Vec<String>> {
    sql::not_indexed_by(conn, version).await
}

/// Notes that a shop's customers are all found and ordered by what this version makes.
///
/// # Errors
/// The database's.
pub async fn set_indexed_by(tx: &mut Tx, shop: &str, version: &str) -> Result<()> {
    sql::set_indexed_by(tx, shop, version).await
}

/// The lock of a shop's row.
fn lock(shop: &str) -> LockKey {
    LockKey::of("shop", shop, "")
}

/// The locks of making a shop.
fn locks(shop: &str) -> impl Iterator<Item = LockKey> {
    std::iter::once(lock(shop)).chain(groups::locks_of_special(shop))
}

/// Adds a shop with what every shop begins with.
async fn insert(tx: &mut Tx, caller: &Caller, shop: &Shop) -> Result<()> {
    let now = shop.create_time;
    sql::insert(tx, shop).await?;
    let change = Change::upserted(
        crate::shops::KIND,
        &*shop.id,
        shop.version,
        &convert::shop(shop),
    );
    feed::append(tx, caller, now, change).await?;
    groups::insert_special(tx, caller, &shop.id, now).await?;
    customers::titles::insert_defaults(tx, caller, &shop.id, now).await
}
