//! Assertions about refusals.

use clientela::proto::pb::ErrorReason;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Asserts the code and the reason of a refusal, and that it reveals nothing internal.
#[track_caller]
pub fn assert_refused(status: &Status, code: Code, expected: ErrorReason) {
    assert_eq!(
        (status.code(), reason(status)),
        (code, expected.as_str_name().into()),
        "{status:?}"
    );
    let text = status.message().to_lowercase();
    for word in [
        "sqlx", "sqlite", "postgres", "select ", "insert ", "panicked",
    ] {
        assert!(!text.contains(word), "a refusal reveals internals: {text}");
    }
}

/// Returns the reason of a refusal.
#[track_caller]
pub fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.unwrap_or_else(|| panic!("every refusal has an ErrorInfo: {status:?}"))
        .reason
}

/// Returns the fields that a refusal names, each with its reason.
pub fn violations(status: &Status) -> Vec<(String, String)> {
    let details = status.get_details_bad_request();
    let violations = details
        .map(|details| details.field_violations)
        .unwrap_or_default();
    violations
        .into_iter()
        .map(|violation| (violation.field, violation.reason))
        .collect()
}
