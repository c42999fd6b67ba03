//! FreezeCart and UnfreezeCart.

use std::sync::Arc;

use super::Service;
use crate::access::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;

impl Service {
    pub(super) async fn freeze(
        &self,
        _caller: Arc<Caller>,
        _request: pb::FreezeCartRequest,
    ) -> Result<pb::Cart> {
        Err(Error::internal("not built yet"))
    }

    pub(super) async fn unfreeze(
        &self,
        _caller: Arc<Caller>,
        _request: pb::UnfreezeCartRequest,
    ) -> Result<pb::Cart> {
        Err(Error::internal("not built yet"))
    }
}
