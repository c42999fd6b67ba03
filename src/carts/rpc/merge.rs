//! MergeCarts.

use std::sync::Arc;

use super::Service;
use crate::access::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;

impl Service {
    pub(super) async fn merge(
        &self,
        _caller: Arc<Caller>,
        _request: pb::MergeCartsRequest,
    ) -> Result<pb::MergeCartsResponse> {
        Err(Error::internal("not built yet"))
    }
}
