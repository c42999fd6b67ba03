//! Tests through the wire, against a real server, on both engines.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
mod carts;
mod contract;
mod harness;
mod throwaway_postgres;
mod watch;
