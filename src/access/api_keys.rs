//! Creates, lists and revokes API keys. Calls read them through [`Keys`].

mod convert;
mod model;
mod read;
pub mod secret;
mod sql;

use futures::FutureExt as _;
use tonic::Code;

use super::Keys;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Change};
use crate::ids;
use crate::proto::pb::{self, ErrorReason, Role};
use crate::store::{LockKey, Store, Tx};
use convert::NewKey;

pub use model::{ApiKey, ApiKeyDoc};
pub use read::list;
pub use sql::knows_digest;

/// The kind of API keys in the change log.
const KIND: feed::Kind = feed::Kind::new(8);

/// Implements CreateApiKey.
pub async fn create(
    store: &Store,
    caller: Caller,
    request: pb::CreateApiKeyRequest,
) -> Result<pb::CreateApiKeyResponse> {
    let now = store.clock().now();
    let new = convert::new_key(&request.api_key.unwrap_or_default(), now)?;
    let key = owned(&caller, new, now)?;
    let secret = secret::new();
    let digest = secret::digest(&secret);
    let locks = feed::locks(&caller).and(lock(&key.id));
    let made = store.write_with(locks, (caller, key), move |tx, (caller, key)| {
        async move {
            if let Some(replay) = feed::replay(tx, caller).await? {
                return Err(not_stored(&replay.id));
            }
            insert(tx, caller, key, &digest).await?;
            Ok(convert::api_key(key))
        }
        .boxed()
    });
    Ok(pb::CreateApiKeyResponse {
        api_key: Some(made.await?),
        secret,
    })
}

/// Adds a key and appends the change to the log.
pub async fn insert(tx: &mut Tx, caller: &Caller, key: &ApiKey, digest: &[u8]) -> Result<()> {
    sql::insert(tx, key, digest).await?;
    let change = Change::upserted(KIND, &*key.id, 1, &convert::api_key(key));
    feed::append(tx, caller, key.create_time, change).await
}

/// The new key, bound to the caller's shop unless it is an operator key.
fn owned(caller: &Caller, new: NewKey, now: i64) -> Result<ApiKey> {
    let shop = if new.is_operator() {
        if !caller.is_operator() {
            let text = "only an operator key may create operator keys";
            return Err(
                Error::new(Code::PermissionDenied, ErrorReason::FieldNotWritable, text)
                    .with("field", "api_key.roles")
                    .with("allowed", Role::Operator.as_str_name()),
            );
        }
        None
    } else if caller.shop.is_empty() {
        let text = "there are several shops: name one in the metadata clientela-shop";
        return Err(Error::new(
            Code::InvalidArgument,
            ErrorReason::ShopRequired,
            text,
        ));
    } else {
        Some(caller.shop.to_string())
    };
    Ok(ApiKey {
        id: ids::new_id(),
        shop,
        doc: new.doc,
        expire_time: new.expire_time,
        revoke_time: None,
        create_time: now,
    })
}

fn not_stored(id: &str) -> Error {
    let text = "the request id was used before, and its answer held a secret, which is not stored";
    Error::new(Code::AlreadyExists, ErrorReason::AnswerNotStored, text)
        .with("name", convert::key_name(id))
}

/// Implements RevokeApiKey.
pub async fn revoke(
    store: &Store,
    api_keys: &Keys,
    caller: Caller,
    request: pb::RevokeApiKeyRequest,
) -> Result<()> {
    let now = store.clock().now();
    let id = convert::id_of(&request.name).to_owned();
    let locks = feed::locks(&caller).and(lock(&id));
    let data = (caller, id, api_keys.clone());
    let revoked = store.write_with(locks, data, move |tx, (caller, id, api_keys)| {
        async move {
            if feed::replay(tx, caller).await?.is_some() {
                return Ok(());
            }
            let mut key = read::get(tx, caller, id).await?;
            if key.revoke_time.is_none() {
                key.revoke_time = Some(feed::timestamp(now));
                sql::revoke(tx, id, now).await?;
                let change = Change::upserted(KIND, &**id, 2, &key);
                feed::append(tx, caller, now, change).await?;
                let (api_keys, id) = (api_keys.clone(), id.clone());
                tx.after_commit(move || api_keys.revoked(&id));
            }
            feed::remember(tx, caller, now, id, &()).await
        }
        .boxed()
    });
    revoked.await
}

fn lock(id: &str) -> LockKey {
    LockKey::of("api_key", "", id)
}
