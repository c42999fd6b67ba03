//! Refusals as values: what the server says of one in the details of a status, read once.

use std::{collections::HashMap, fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::v1::ErrorReason;

/// Why a call was refused, or could not be made.
#[derive(Debug, Clone)]
pub struct Error {
    /// The gRPC code.
    pub code: Code,
    /// What to switch on. Unspecified if the server did not say, as when there is none.
    pub reason: ErrorReason,
    /// For people.
    pub message: String,
    /// What saves a read: `current_etag`, `open_cart` and the like.
    pub metadata: HashMap<String, String>,
    /// The fields that break their rules, all of them.
    pub violations: Vec<Violation>,
    /// When to try again, if the server said so.
    pub retry_after: Option<Duration>,
}

/// One field that breaks its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its path, as `customer.email`.
    pub field: String,
    /// What is wrong, as `TOO_LONG`.
    pub reason: String,
    /// The same for people.
    pub description: String,
}

impl Error {
    /// What is wrong before anything is sent.
    pub(crate) fn usage(message: &str) -> Self {
        Status::invalid_argument(message).into()
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let violations = details
            .bad_request()
            .map(|request| &request.field_violations);
        Self {
            code: status.code(),
            reason: info
                .and_then(|info| ErrorReason::from_str_name(&info.reason))
                .unwrap_or_default(),
            message: status.message().to_owned(),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            violations: violations
                .into_iter()
                .flatten()
                .map(|violation| Violation {
                    field: violation.field.clone(),
                    reason: violation.reason.clone(),
                    description: violation.description.clone(),
                })
                .collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            ErrorReason::Unspecified => write!(f, "{} ({:?})", self.message, self.code),
            reason => write!(f, "{} ({})", self.message, reason.as_str_name()),
        }
    }
}

impl std::error::Error for Error {}
