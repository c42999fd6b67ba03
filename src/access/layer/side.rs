//! Health and reflection: services that are not of the contract, with limits like those that are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tonic::{Code, Status};

use super::{undetailed, wire};
use crate::{
    error::{Error, Result},
    limits,
    proto::pb::ErrorReason,
    server::Connection,
};

/// The services' paths begin so.
pub const HEALTH: &str = "/grpc.health.v1.Health/";
pub const REFLECTION: &str = "/grpc.reflection.";
/// The one RPC of health that streams. All of reflection does.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Whether the RPC streams its answer.
pub fn streams(path: &str) -> bool {
    path == WATCH || path.starts_with(REFLECTION)
}

/// Counts the open streams; cheap to clone.
#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    total: usize,
    by_connection: HashMap<u64, usize>,
}

/// The right to one stream; given back when dropped.
pub struct Permit {
    streams: Streams,
    connection: u64,
}

impl Streams {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the right to one more stream on the connection.
    ///
    /// # Errors
    /// TOO_MANY_STREAMS.
    pub fn take(&self, connection: &Connection) -> Result<Permit> {
        let connection = connection.number();
        let mut counts = self.counts();
        let of_connection = counts.by_connection.get(&connection).copied().unwrap_or(0);
        if of_connection >= limits::SIDE_STREAMS_PER_CONNECTION_MAX {
            return Err(too_many(
                limits::SIDE_STREAMS_PER_CONNECTION_MAX,
                "the connection has as many streams of health and reflection as it may",
            ));
        }
        if counts.total >= limits::SIDE_STREAMS_MAX {
            return Err(too_many(
                limits::SIDE_STREAMS_MAX,
                "the server has as many streams of health and reflection as it may",
            ));
        }
        counts.total += 1;
        counts.by_connection.insert(connection, of_connection + 1);
        Ok(Permit {
            streams: self.clone(),
            connection,
        })
    }
}

fn too_many(limit: usize, text: &'static str) -> Error {
    Error::exhausted(ErrorReason::TooManyStreams, text).with("limit", limit.to_string())
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.streams.counts();
        counts.total -= 1;
        if let Some(of_connection) = counts.by_connection.get_mut(&self.connection) {
            *of_connection -= 1;
            if *of_connection == 0 {
                counts.by_connection.remove(&self.connection);
            }
        }
    }
}

/// The refusal of such a service with a reason of the contract.
pub fn detailed(status: &Status) -> Error {
    match status.code() {
        Code::NotFound => Error::not_found("service"),
        // Both services answer so to messages that they cannot read, and to nothing else.
        Code::InvalidArgument | Code::Internal | Code::OutOfRange => wire::malformed(),
        _ => undetailed(status),
    }
}
