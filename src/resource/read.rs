//! Reading one resource.

use std::sync::Arc;

use futures::FutureExt as _;

use super::stored::{self, Resource, not_found};
use crate::caller::Caller;
use crate::error::Result;
use crate::store::Store;

/// The resource of this name, without derived fields.
///
/// # Errors
/// NOT_FOUND.
pub async fn get<R: Resource>(store: &Store, caller: &Caller, name: &str) -> Result<R::Message> {
    let (shop, id) = (Arc::clone(&caller.shop), R::table().id_of(name).to_owned());
    let found: Option<R> = store
        .read(|conn| async move { stored::load(conn, &shop, &id).await }.boxed())
        .await?;
    found
        .map(|found| found.message())
        .filter(|message| R::table().owned.shows(caller, message))
        .ok_or_else(not_found::<R>)
}
