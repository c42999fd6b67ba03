//! VerifyPassword.

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::Code;
use zeroize::Zeroizing;

use super::Service;
use crate::{
    caller::Caller,
    customers::{
        convert,
        sql::{self, AccountRow},
        visits,
    },
    error::{Error, Result},
    format,
    passwords::{Owner, Verdict},
    proto::pb::{self, ErrorReason},
};

impl Service {
    pub(super) async fn verify_password(
        &self,
        caller: Caller,
        request: pb::VerifyPasswordRequest,
    ) -> Result<pb::VerifyPasswordResponse> {
        let password = Zeroizing::new(request.password);
        // An address that is invalid, or that no customer has, costs the same statement and the same hash.
        let claim = format::email_claim(&request.email).unwrap_or_default();
        let shop = Arc::clone(&caller.shop);
        let account = self
            .store
            .read(|conn| async move { sql::account(conn, &shop, &claim).await }.boxed())
            .await?;
        let account = account.map(account_of).transpose()?;
        let stored = account.as_ref().and_then(|(_, digest)| digest.clone());
        let owner = Owner::of(&caller);
        let verdict = self.passwords.verify(&owner, password, stored).await?;
        match (account, verdict) {
            (Some((customer, Some(old))), Verdict::Right(renewed)) if customer.may_sign_in() => {
                let renewal = renewed.map(|new| (old, new));
                let now = self.store.clock().now();
                visits::signed_in(&self.store, &caller, &customer.id, renewal, now).await?;
                let customer = self.finish(&caller, convert::message(&customer)).await?;
                Ok(pb::VerifyPasswordResponse {
                    customer: Some(customer),
                })
            }
            _ => Err(wrong_credentials()),
        }
    }
}

fn account_of(row: AccountRow) -> Result<(crate::customers::Customer, Option<String>)> {
    Ok((sql::model(row.id, row.version, &row.doc)?, row.digest))
}

fn wrong_credentials() -> Error {
    let text = "the e-mail address or the password is wrong";
    Error::new(Code::Unauthenticated, ErrorReason::WrongCredentials, text)
}
