//! Tests through the wire, against a real server, on both engines.

mod contract;
mod groups;
mod harness;
mod jobs;
mod operations;
mod throwaway_postgres;
mod watch;
