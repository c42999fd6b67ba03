//! Tests the walk on single requests. The tests through the wire check the limit of every field.

use prost::Message as _;
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt as _};

use super::*;
use crate::{
    caller::Roles,
    contract::{MessageId, Method, TABLES},
    limits,
    proto::pb,
};

mod forms;
mod views;
mod wide;

fn method(name: &str) -> &'static Method {
    let suffix = format!("/{name}");
    let mut found = TABLES
        .methods()
        .filter(|method| method.path.ends_with(&suffix));
    found.next().unwrap()
}

fn refusal(method: &Method, bytes: &[u8], roles: Roles) -> Status {
    Status::from(check(method, bytes, roles).unwrap_err())
}

fn violations(status: &Status) -> Vec<FieldViolation> {
    assert_eq!(status.code(), Code::InvalidArgument);
    status.get_details_bad_request().unwrap().field_violations
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// The field and the reason of each violation.
fn broken(method: &Method, message: &impl prost::Message) -> Vec<(String, String)> {
    match check(method, &message.encode_to_vec(), Roles::ALL) {
        Ok(()) => Vec::new(),
        Err(error) => violations(&Status::from(error))
            .into_iter()
            .map(|violation| (violation.field, violation.reason))
            .collect(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(field, reason): &(&str, &str)| ((*field).to_owned(), (*reason).to_owned());
    pairs.iter().map(owned).collect()
}
