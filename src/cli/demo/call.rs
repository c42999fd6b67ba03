//! Calls that are repeated until they are answered.

use std::{future::Future, sync::Arc};

use tonic::{Code, Response, Status};

use crate::cli::{backoff::Backoff, connection::Client, failure::reason};
use crate::proto::pb::ErrorReason;

use super::progress::Progress;

/// Calls the server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Where to.
    pub client: Client,
    /// What is shown of it.
    pub progress: Arc<Progress>,
}

impl Caller {
    /// Calls through this client.
    pub fn new(client: Client, progress: Arc<Progress>) -> Self {
        Self { client, progress }
    }

    /// Makes a call until the server has answered it, one way or the other. `call` gets the request
    /// id, the same each time, so that the change is made once however often it is asked for.
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

/// Whether the same call may be answered later: the server is away, starting, stopping or busy, or others
/// came first too often.
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
