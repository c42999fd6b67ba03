//! The password of a request with a request id.
//!
//! A repeat with another password is another request. The digest of the request cannot show that, because it
//! leaves passwords out. Its key is in the database, so a copy of the database would reveal passwords far
//! faster than their Argon2id digests do. So the first call stores its Argon2id digest with the request id,
//! as long as the id is remembered. The password of a repeat must match it. The stored digest is no easier to
//! break than the account's own.

use futures::FutureExt as _;
use prost::Message;

use super::Service;
use crate::{
    caller::Caller,
    customers::convert,
    error::Result,
    feed,
    passwords::{Owner, Password, Verdict},
    store::Tx,
};

/// A password to be stored.
#[derive(Clone)]
pub(super) struct Secret {
    /// Its Argon2id digest.
    pub(super) digest: String,
    /// Whether it was compared with the password of an earlier call with the request id, if there was one.
    pub(super) compared: bool,
}

/// The digest that is stored with the request id.
#[derive(Clone, PartialEq, Message)]
struct Kept {
    #[prost(string, tag = "1")]
    digest: String,
}

impl Service {
    /// Makes the digest of a password, or finds that of an earlier call with the request id.
    ///
    /// # Errors
    /// REQUEST_ID_REUSED if the earlier call had another password.
    pub(super) async fn secret(&self, caller: &Caller, password: &Password) -> Result<Secret> {
        if let Some(digest) = self.compare(caller, password).await? {
            return Ok(Secret {
                digest,
                compared: true,
            });
        }
        Ok(Secret {
            digest: self
                .passwords
                .hash(&Owner::of(caller), password.clone())
                .await?,
            compared: false,
        })
    }

    /// Compares a password with that of an earlier call with the request id. Returns the digest that was
    /// stored then; None if there was no such call, or its digest is no longer stored.
    ///
    /// # Errors
    /// REQUEST_ID_REUSED if the passwords differ.
    pub(super) async fn compare(
        &self,
        caller: &Caller,
        password: &Password,
    ) -> Result<Option<String>> {
        if caller.request.is_none() {
            return Ok(None);
        }
        let asker = caller.clone();
        let kept: Option<Kept> = self
            .store
            .read(|conn| async move { feed::answered(conn, &asker).await }.boxed())
            .await?;
        let Some(Kept { digest }) = kept else {
            return Ok(None);
        };
        let owner = Owner::of(caller);
        let verdict = self
            .passwords
            .verify(&owner, password.clone(), Some(digest.clone()));
        match verdict.await? {
            Verdict::Right(_) => Ok(Some(digest)),
            Verdict::Wrong => Err(feed::request_id_reused()),
        }
    }
}

/// Stores the digest of a password with the request id, in the transaction that stores the password.
pub(super) async fn keep(
    tx: &mut Tx,
    caller: &Caller,
    now: i64,
    customer: &str,
    digest: &str,
) -> Result<()> {
    let kept = Kept {
        digest: digest.to_owned(),
    };
    feed::answer(tx, caller, now, &kept, &[convert::name(customer)]).await
}
