//! Saved filters: filters of lists and watches that staff keep for later use.
//!
//! The area is above all others whose lists are filtered, because it checks a filter against their tables.
//! Invariant: the filter and the order of a saved filter were valid for the list of its resource when they
//! were written.

mod model;
mod rpc;
mod rules;

pub use rules::TABLE;

use crate::area::{Area, bounded};
use crate::feed;
use crate::proto::server::saved_filter_service_server::SavedFilterServiceServer;
use rpc::Service;

/// The saved filters as a part of the program.
#[must_use]
pub fn area() -> Area {
    Area::default().service(|parts, routes| {
        let service = Service::new(parts.store.clone(), parts.feed.clone());
        routes.add_service(bounded!(SavedFilterServiceServer, service))
    })
}

/// The kind of saved filters in the change log.
pub const KIND: feed::Kind = feed::Kind::new(11);

/// The first segment of a saved filter's name.
const COLLECTION: &str = "savedFilters";
