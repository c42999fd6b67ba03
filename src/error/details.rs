//! The details of a refusal in their wire format.
//!
//! Invariant: the same refusal has the same bytes, whichever process sends it. The usual ErrorInfo message
//! keeps its metadata in a hash map, whose order differs in every process; this one sorts it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use prost_types::Any;
use tonic::Code;
use tonic_types::pb;

use super::Violation;

const TYPES: &str = "type.googleapis.com/google.rpc.";

/// `google.rpc.ErrorInfo`, with its metadata in order.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ErrorInfo {
    /// The reason of the contract.
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    /// The domain of the reason.
    #[prost(string, tag = "2")]
    pub(super) domain: String,
    /// Metadata that saves the caller a read.
    #[prost(btree_map = "string, string", tag = "3")]
    pub(super) metadata: BTreeMap<String, String>,
}

/// The encoded details of a `google.rpc.Status`.
pub(super) fn bytes(
    code: Code,
    text: &str,
    info: &ErrorInfo,
    violations: Vec<Violation>,
    retry_delay: Option<Duration>,
) -> Bytes {
    let mut details = Vec::new();
    if let Some(delay) = retry_delay {
        let retry = pb::RetryInfo {
            retry_delay: delay.try_into().ok(),
        };
        details.push(any("RetryInfo", retry.encode_to_vec()));
    }
    details.push(any("ErrorInfo", info.encode_to_vec()));
    if !violations.is_empty() {
        let violations = violations.into_iter().map(|violation| {
            let Violation {
                field,
                reason,
                text,
            } = violation;
            pb::bad_request::FieldViolation {
                field,
                description: text,
                reason: reason.to_owned(),
                ..pb::bad_request::FieldViolation::default()
            }
        });
        let request = pb::BadRequest {
            field_violations: violations.collect(),
        };
        details.push(any("BadRequest", request.encode_to_vec()));
    }
    let status = pb::Status {
        code: code as i32,
        message: text.to_owned(),
        details,
    };
    status.encode_to_vec().into()
}

fn any(message: &str, value: Vec<u8>) -> Any {
    Any {
        type_url: format!("{TYPES}{message}"),
        value,
    }
}
