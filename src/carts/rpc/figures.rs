//! WatchCartFigures.

use std::pin::Pin;
use std::sync::Arc;

use tonic::Status;

use super::Service;
use crate::access::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;

/// The messages of a watch of figures.
pub type Stream =
    Pin<Box<dyn futures::Stream<Item = Result<pb::WatchCartFiguresResponse, Status>> + Send>>;

impl Service {
    pub(super) fn watch_figures(
        &self,
        _caller: Arc<Caller>,
        _request: pb::WatchCartFiguresRequest,
    ) -> Result<Stream> {
        Err(Error::internal("not built yet"))
    }
}
