//! Operations: jobs as callers see them.
//!
//! An operation is the row of a job and nothing else. Callers see those of their shop; what concerns
//! the whole store is seen by operators only.

mod read;
mod rpc;
mod watch;

pub use read::check;

use crate::area::{Area, bounded};
use crate::feed;
use crate::jobs::JobState;
use crate::proto::server::operation_service_server::OperationServiceServer;
use rpc::Service;

/// The operations as a part of the program.
#[must_use]
pub fn area() -> Area {
    Area::default().service(|parts, routes| {
        let service = Service::new(parts.store.clone(), parts.feed.clone());
        routes.add_service(bounded!(OperationServiceServer, service))
    })
}

/// Operations in the change log.
const KIND: feed::Kind = feed::Kind::new(9);

/// The first part of an operation's name.
pub const COLLECTION: &str = "operations";

/// The full name of an operation.
#[must_use]
pub fn name(id: &str) -> String {
    format!("{COLLECTION}/{id}")
}

/// The id in an operation's name.
fn id_of(name: &str) -> Option<&str> {
    name.strip_prefix("operations/")
        .filter(|id| !id.is_empty() && !id.contains('/'))
}

/// The value of an enum without its prefix, as filters name it.
fn short(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// A state's name in metadata, as `DONE`.
fn state_text(state: JobState) -> &'static str {
    short(state.message().as_str_name(), "STATE_")
}

/// A kind's name, as `PURGE`.
#[cfg(test)]
fn kind_text(kind: crate::jobs::JobKind) -> &'static str {
    short(kind.message().as_str_name(), "KIND_")
}
