//! The refusals of the access layer, and the answers that carry them.

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tonic::{Code, Status};

use super::request;
use crate::{contract::PACKAGE, error::Error, proto::pb::ErrorReason};

/// The answer of a refused call. If the client's encoding is not supported, a header names the supported one.
pub(super) fn refusal(error: Error) -> Response<Body> {
    let names_encodings = error.metadata(request::ACCEPTED_KEY).is_some();
    let mut response = Status::from(error).into_http();
    if names_encodings {
        let identity = HeaderValue::from_static(request::IDENTITY);
        response.headers_mut().insert(request::ACCEPTED, identity);
    }
    response
}

/// Answers a request that is not gRPC with plain HTTP. gRPC uses POST and its own content type.
pub(super) fn not_grpc(request: &Request<Body>) -> Option<Response<Body>> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let rest = content_type
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .map(|rest| rest.strip_prefix(b"+proto").unwrap_or(rest));
    let status = if request.method() != http::Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b";")) {
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    } else {
        return None;
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Some(response)
}

pub(super) fn deadline_passed() -> Error {
    let text = "the deadline passed";
    Error::new(Code::DeadlineExceeded, ErrorReason::DeadlinePassed, text)
}

pub(super) fn key_missing() -> Error {
    let text = "authorization: Bearer with a live API key is required";
    Error::new(Code::Unauthenticated, ErrorReason::KeyMissing, text)
}

pub(super) fn unimplemented() -> Error {
    let text = format!("the server has no such RPC of {PACKAGE}");
    Error::new(Code::Unimplemented, ErrorReason::Unimplemented, text)
}

/// Whether a status is an error without a reason of the contract.
pub(super) fn is_undetailed(status: &Status) -> bool {
    status.code() != Code::Ok && status.details().is_empty()
}

/// The error for a status that no area made: an RPC that is not served, or a fault below the areas.
pub(super) fn undetailed(status: &Status) -> Error {
    match status.code() {
        Code::Unimplemented => unimplemented(),
        code => Error::internal(format!("{code:?} without a reason: {}", status.message())),
    }
}
