//! Errors: why a call failed, as values that a program can decide by.

use std::{collections::HashMap, fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::v1::ErrorReason;

/// A call that failed. Decide by `code` and `reason`, not by the text.
#[derive(Debug, Clone)]
pub struct Error {
    /// The gRPC code.
    pub code: Code,
    /// The reason of the contract. Unspecified if the server did not answer, or if its contract is newer.
    pub reason: ErrorReason,
    /// The message of the server, in English.
    pub message: String,
    /// Values that belong to the reason, for example `current_etag`.
    pub metadata: HashMap<String, String>,
    /// All fields of the request that break a rule.
    pub violations: Vec<Violation>,
    /// How long to wait before the next attempt, if the server says so.
    pub retry_after: Option<Duration>,
}

/// One field of a request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, for example `customer.email`.
    pub field: String,
    /// The rule, for example `TOO_LONG`.
    pub reason: String,
    /// What is wrong, in English.
    pub description: String,
}

impl Error {
    /// An error that is found before a call.
    pub(crate) fn usage(message: &str) -> Self {
        Status::invalid_argument(message).into()
    }

    /// The error of a client without a key, with the code and the reason that the server would give.
    pub(crate) fn without_key() -> Self {
        let message = "there is no API key: set one, or the environment variable CLIENTELA_API_KEY";
        Self {
            reason: ErrorReason::KeyMissing,
            ..Status::unauthenticated(message).into()
        }
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

/// The reason, or the code if there is none, and every violation, or the message if there are none.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            ErrorReason::Unspecified => write!(f, "{:?}: ", self.code)?,
            reason => write!(f, "{}: ", reason.as_str_name())?,
        }
        if self.violations.is_empty() {
            return f.write_str(&self.message);
        }
        for (number, violation) in self.violations.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{}: {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
