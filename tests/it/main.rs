//! Tests through the wire, against a real server, on both engines.

mod carts;
mod contract;
mod harness;
mod throwaway_postgres;
mod watch;
