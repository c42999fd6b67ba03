//! The error type of the program, and its conversion to a gRPC status.
//!
//! A refusal is a code, a reason of the contract, a text, and metadata that saves the caller a read. Internal
//! errors log their source and send nothing of it to the client.

mod details;

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use tonic::{Code, Status};

use crate::limits;
use crate::proto::pb::ErrorReason;
use crate::telemetry::{self, CallId};

/// The result of every fallible function of the program.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The `domain` of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "clientela.v1";

/// How long a caller is asked to wait before it retries after UNAVAILABLE.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// A refusal or a failure.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    reason: ErrorReason,
    text: Cow<'static, str>,
    metadata: Vec<(&'static str, String)>,
    violations: Vec<Violation>,
    retry: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// One field that breaks its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path from the request, for example `customer.addresses[2].city`.
    pub field: String,
    /// A code for programs, for example `TOO_LONG`.
    pub reason: &'static str,
    /// The fault, for people.
    pub text: String,
}

impl Violation {
    /// A violation of the rule `reason` by `field`.
    pub fn new(field: impl Into<String>, reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason,
            text: text.into(),
        }
    }
}

impl Error {
    /// A refusal with a code and a reason of the contract.
    pub fn new(code: Code, reason: ErrorReason, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            reason,
            text: text.into(),
            metadata: Vec::new(),
            violations: Vec::new(),
            retry: false,
            source: None,
        }))
    }

    /// Creates the error for fields that break their rules. The first [`limits::VIOLATIONS_MAX`] are named.
    pub fn invalid(mut violations: Vec<Violation>) -> Self {
        let text = match violations.as_slice() {
            [one] => format!("{}: {}", one.field, one.text),
            [first, ..] => {
                let many = violations.len();
                format!(
                    "{many} fields are invalid; first: {}: {}",
                    first.field, first.text
                )
            }
            [] => "a field is invalid".to_owned(),
        };
        violations.truncate(limits::VIOLATIONS_MAX);
        let mut error = Self::new(Code::InvalidArgument, ErrorReason::InvalidField, text);
        error.0.violations = violations;
        error
    }

    /// Creates the error for one field that breaks its rule.
    pub fn invalid_field(
        field: impl Into<String>,
        reason: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self::invalid(vec![Violation::new(field, reason, text)])
    }

    /// The name does not exist in this shop. `kind` is the resource's type, for example `customer`.
    pub fn not_found(kind: &'static str) -> Self {
        Self::new(
            Code::NotFound,
            ErrorReason::NotFound,
            format!("no such {kind}"),
        )
        .with("type", kind)
    }

    /// The etag of the request is not the current one.
    pub fn etag_mismatch(current: &str) -> Self {
        Self::new(
            Code::Aborted,
            ErrorReason::EtagMismatch,
            "the resource has changed since it was read; read it again and retry with the current etag",
        )
        .with("current_etag", current)
    }

    /// A defect. Its source is logged; the client sees only the id of the call.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::new(Code::Internal, ErrorReason::Internal, "internal error");
        error.0.source = Some(source.into());
        error
    }

    /// Stored data that cannot be read back.
    pub fn corrupt(table: &'static str, id: &str, source: impl fmt::Display) -> Self {
        let source = source.to_string();
        let why = telemetry::redacted(&source);
        Self::internal(format!("row {id} of {table} cannot be read: {why}"))
    }

    /// The answer would be larger than clients accept.
    pub fn answer_too_large() -> Self {
        let limit = limits::RESPONSE_BYTES_MAX;
        let text = format!("the answer would be larger than {limit} bytes; ask for less at once");
        Self::new(Code::ResourceExhausted, ErrorReason::AnswerTooLarge, text)
            .with("limit", limit.to_string())
    }

    /// A temporary failure: the client is asked to retry.
    pub fn unavailable(reason: ErrorReason, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unavailable, reason, text).retryable()
    }

    /// A limit that is exceeded: the client is asked to retry later.
    pub fn exhausted(reason: ErrorReason, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::ResourceExhausted, reason, text).retryable()
    }

    /// Adds metadata that saves the caller a read.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.metadata.push((key, value.into()));
        self
    }

    /// Attaches RetryInfo.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retry = true;
        self
    }

    /// Whether the same work may succeed when it is simply repeated.
    pub fn is_retryable(&self) -> bool {
        self.0.retry
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The reason of the contract.
    pub fn reason(&self) -> ErrorReason {
        self.0.reason
    }

    /// The cause of the error, for the log.
    pub fn cause(&self) -> String {
        self.0.source.as_deref().map(described).unwrap_or_default()
    }

    /// The value of a metadata key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.0
            .metadata
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, v)| v.as_str())
    }
}

/// The cause of an error as a text without personal data. The log shows it unchanged, and no further cause.
///
/// The text of any other cause is reduced by [`telemetry::redacted`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Redacted(pub String);

/// An error for the log: with all its causes, and without personal data.
fn described(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut text = String::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        if let Some(Redacted(redacted)) = error.downcast_ref() {
            text.push_str(redacted);
            break;
        }
        text.push_str(&telemetry::redacted(&error.to_string()));
        next = error.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.reason, self.0.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let Inner {
            code,
            reason,
            text,
            metadata,
            violations,
            retry,
            source,
        } = *error.0;
        let mut metadata: BTreeMap<String, String> = metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        if reason == ErrorReason::Internal {
            let id = CallId::current();
            let cause = source.as_deref().map(described).unwrap_or_default();
            tracing::error!(request = %id, cause, "internal error");
            metadata.insert("request".to_owned(), id.to_string());
        } else if let Some(source) = source {
            let (reason, id) = (reason.as_str_name(), CallId::current());
            let cause = described(&*source);
            tracing::warn!(request = %id, reason, cause, "refused by a fault");
        }
        let info = details::ErrorInfo {
            reason: reason.as_str_name().to_owned(),
            domain: DOMAIN.to_owned(),
            metadata,
        };
        let retry_delay = retry.then_some(RETRY_DELAY);
        let details = details::bytes(code, &text, &info, violations, retry_delay);
        Status::with_details(code, text.into_owned(), details)
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;

    const KEYS: [&str; 6] = [
        "state",
        "open_cart",
        "field",
        "merged_into",
        "limit",
        "cart",
    ];

    /// A refusal that has all kinds of details.
    fn refusal(keys: impl IntoIterator<Item = &'static str>) -> Status {
        let violation = Violation::new("cart.note", "TOO_LONG", "is too long");
        let error = Error::invalid(vec![violation]).retryable();
        let told = |error: Error, key| error.with(key, format!("value of {key}"));
        keys.into_iter().fold(error, told).into()
    }

    #[test]
    fn the_same_refusal_is_the_same_bytes_however_often_it_is_put_together() {
        let first = refusal(KEYS);

        for _ in 0..8 {
            assert_eq!(refusal(KEYS).details(), first.details());
            let backwards = refusal(KEYS.into_iter().rev());
            assert_eq!(backwards.details(), first.details());
        }
    }

    #[test]
    fn a_client_reads_all_details_of_a_refusal() {
        let details = refusal(KEYS).get_error_details();

        let info = details.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("INVALID_FIELD", DOMAIN)
        );
        assert_eq!(info.metadata.len(), KEYS.len());
        assert_eq!(info.metadata["open_cart"], "value of open_cart");
        let violation = &details.bad_request().unwrap().field_violations[0];
        let told = (violation.field.as_str(), violation.reason.as_str());
        assert_eq!(told, ("cart.note", "TOO_LONG"));
        assert_eq!(violation.description, "is too long");
        let retry = details.retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(RETRY_DELAY));
    }

    #[test]
    fn a_refusal_names_no_more_fields_than_fit_into_an_answer() {
        let violations = (0..1_000)
            .map(|at| Violation::new(format!("names[{at}]"), "DUPLICATE", "is there twice"))
            .collect();

        let status = Status::from(Error::invalid(violations));

        let named = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(named.len(), limits::VIOLATIONS_MAX);
        assert_eq!(
            status.message(),
            "1000 fields are invalid; first: names[0]: is there twice"
        );
    }

    #[test]
    fn a_redacted_cause_is_logged_as_it_is_and_any_other_without_what_it_quotes() {
        let text = "an unterminated `… (code 1), table carts";

        let redacted = Error::internal(Redacted(text.to_owned()));
        let other = Error::internal(text);

        assert_eq!(redacted.cause(), text);
        assert_ne!(other.cause(), text);
        assert!(
            !Error::internal("no such thing as 'ada'")
                .cause()
                .contains("ada")
        );
    }
}
