//! CreateRecoveryLink and RecoverCart.

use std::sync::Arc;

use super::Service;
use crate::access::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;

impl Service {
    pub(super) async fn create_link(
        &self,
        _caller: Arc<Caller>,
        _request: pb::CreateRecoveryLinkRequest,
    ) -> Result<pb::CreateRecoveryLinkResponse> {
        Err(Error::internal("not built yet"))
    }

    pub(super) async fn recover(
        &self,
        _caller: Arc<Caller>,
        _request: pb::RecoverCartRequest,
    ) -> Result<pb::Cart> {
        Err(Error::internal("not built yet"))
    }
}
