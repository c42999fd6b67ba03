//! Health and reflection: services outside of the contract, with limits like those within it.

mod requests;

use tonic::{Code, Status};

use super::{refusal::undetailed, wire};
use crate::{
    connection::Connection,
    error::{Error, Result},
    feed, limits,
    quota::{self, Full, Quota},
};

pub use requests::{Outcome, Requests};

/// The prefixes of the services' paths.
pub const HEALTH: &str = "/grpc.health.v1.Health/";
pub const REFLECTION: &str = "/grpc.reflection.";
/// The one streaming RPC of health. All RPCs of reflection stream.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Whether the RPC streams its answer.
pub fn streams(path: &str) -> bool {
    path == WATCH || path.starts_with(REFLECTION)
}

/// The open streams of each connection, by its number.
pub type Streams = Quota<u64>;
/// The right to one stream. Dropping it gives the right back.
pub type Permit = quota::Permit<u64>;

/// Takes the right to one more stream on the connection.
///
/// # Errors
/// TOO_MANY_STREAMS.
pub fn take(streams: &Streams, connection: &Connection) -> Result<Permit> {
    let all = limits::SIDE_STREAMS_MAX;
    let of_one = limits::SIDE_STREAMS_PER_CONNECTION_MAX;
    let taken = streams.take(connection.number(), all, of_one);
    taken.map_err(|full| match full {
        Full::All => {
            let text = "the server has reached its limit of health and reflection streams";
            feed::too_many(all, text)
        }
        Full::OfKey => {
            let text = "the connection has reached its limit of health and reflection streams";
            feed::too_many(of_one, text)
        }
    })
}

/// Converts a refusal of such a service to one with a reason of the contract.
pub fn detailed(status: &Status) -> Error {
    match status.code() {
        Code::NotFound => Error::not_found("service"),
        // Both services answer so to messages that they cannot read, and to nothing else.
        Code::InvalidArgument | Code::Internal | Code::OutOfRange => wire::malformed(),
        _ => undetailed(status),
    }
}
