//! MoveItems.

use std::sync::Arc;

use super::Service;
use crate::access::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;

impl Service {
    pub(super) async fn move_lines(
        &self,
        _caller: Arc<Caller>,
        _request: pb::MoveItemsRequest,
    ) -> Result<pb::MoveItemsResponse> {
        Err(Error::internal("not built yet"))
    }
}
