//! Shops, their settings and their API keys. Each shop has customers of its own.
//!
//! Other areas read a shop's [`settings`]; the program calls [`first_start()`] as it starts. Higher areas react to a
//! new or changed [`Shop`]: they create its groups and titles, and follow its settings.

mod convert;
mod first_start;
mod model;
mod read;
mod rpc;
mod sql;

pub use first_start::{FirstStartError, KEYS_FILE, Keys, first_start};
pub use model::{NewCustomerState, ReRegistration, Settings, Shop, ShopDoc, Specials};
pub use rpc::{HideGroups, Service};

use std::sync::Arc;

use crate::area::{Area, bounded};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Change};
use crate::proto::server::admin_service_server::AdminServiceServer;
use crate::store::{Conn, Event, LockKey, Tx};

/// The shops as a part of the program. The area of the groups provides `hidden`.
#[must_use]
pub fn area(hidden: impl HideGroups) -> Area {
    let hidden: Arc<dyn HideGroups> = Arc::new(hidden);
    Area::default().service(move |parts, routes| {
        let (store, keys) = (parts.store.clone(), parts.keys.clone());
        let service = Service::new(store, keys, Arc::clone(&hidden));
        routes.add_service(bounded!(AdminServiceServer, service))
    })
}

/// Shops in the change log.
const KIND: feed::Kind = feed::Kind::new(6);
/// The settings of shops in the change log.
pub const SETTINGS: feed::Kind = feed::Kind::new(7);

/// The id of the shop that the first start creates.
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

/// Returns at most 100 shops whose customers are not indexed by this version of the index.
///
/// # Errors
/// The database's.
pub async fn not_indexed_by(conn: &mut Conn, version: &str) -> Result<Vec<String>> {
    sql::not_indexed_by(conn, version).await
}

/// Records that all customers of a shop are indexed by this version of the index.
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

/// Inserts a new shop and runs the reactions to it. The caller holds the lock of the shop.
async fn insert(tx: &mut Tx, caller: &Caller, shop: &Shop) -> Result<()> {
    let now = shop.create_time;
    let event = Event {
        caller,
        before: None,
        after: Some(shop),
        now,
    };
    let held = tx.hold(event).await?;
    sql::insert(tx, shop).await?;
    let (kind, message) = (crate::shops::KIND, convert::shop(shop));
    let change = Change::upserted(kind, &*shop.id, shop.version, &message);
    feed::append(tx, caller, now, change).await?;
    tx.react_held(event, &held).await
}
