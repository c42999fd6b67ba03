//! LockCart, RenewCartLock and UnlockCart.

use std::sync::Arc;

use super::Service;
use crate::access::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;

impl Service {
    pub(super) async fn lock(
        &self,
        _caller: Arc<Caller>,
        _request: pb::LockCartRequest,
    ) -> Result<pb::Cart> {
        Err(Error::internal("not built yet"))
    }

    pub(super) async fn renew_lock(
        &self,
        _caller: Arc<Caller>,
        _request: pb::RenewCartLockRequest,
    ) -> Result<pb::Cart> {
        Err(Error::internal("not built yet"))
    }

    pub(super) async fn unlock(
        &self,
        _caller: Arc<Caller>,
        _request: pb::UnlockCartRequest,
    ) -> Result<pb::Cart> {
        Err(Error::internal("not built yet"))
    }
}
