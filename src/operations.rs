//! Operations: jobs as callers see them.
//!
//! An operation is the row of a job. Callers see the operations of their shop; only operators see those of the whole
//! store.

mod read;
mod rpc;
mod watch;

pub use read::check;

use crate::area::{Area, bounded};
use crate::feed;
use crate::jobs::{JobKind, JobState};
use crate::proto::pb;
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

/// The name of a state in metadata, for example `DONE`.
fn state_text(state: pb::operation::State) -> &'static str {
    let name = state.as_str_name();
    name.strip_prefix("STATE_").unwrap_or(name)
}

/// Whether the operation has ended.
fn has_ended(operation: &pb::Operation) -> bool {
    JobState::of(operation.state.into()).is_some_and(JobState::has_ended)
}

/// Whether it can be cancelled: data stays consistent if it stops halfway.
fn is_cancellable(operation: &pb::Operation) -> bool {
    JobKind::of(operation.kind.into()).is_some_and(JobKind::is_cancellable)
}
