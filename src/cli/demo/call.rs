//! Calls that are repeated until they are answered.

use std::{future::Future, sync::Arc};

use tonic::{Code, Response, Status};

use crate::cli::{backoff::Backoff, connection::Client, failure::reason};
use crate::proto::pb::ErrorReason;

use super::progress::Progress;

/// Calls the server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The client to call through.
    pub client: Client,
    /// The progress that is shown.
    pub progress: Arc<Progress>,
}

impl Caller {
    /// Creates a caller for this client.
    pub fn new(client: Client, progress: Arc<Progress>) -> Self {
        Self { client, progress }
    }

    /// Repeats a call until the server has answered it. `call` gets the same request id each time, so that
    /// the change is applied once.
    pub async fn until_answered<T, F>(
        &self,
        call: impl Fn(Client, String) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let request_id = uuid::Uuid::new_v4().to_string();
        let mut backoff = Backoff::new();
        loop {
            match call(self.client.clone(), request_id.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if may_pass(&status) => self.progress.retried(),
                Err(status) => return Err(status),
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }
}

/// Whether the same call may succeed later: the server is unavailable, starting, stopping or busy, or other
/// writes came first too often.
fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Internal
    ) || reason(status) == Some(ErrorReason::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_answer() {
        assert!(may_pass(&Status::unavailable("")));
        assert!(!may_pass(&Status::already_exists("")));
        assert!(!may_pass(&Status::aborted("")));
    }
}
