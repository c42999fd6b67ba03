//! Tests through the wire, against a real server, on both engines.

mod contract;
mod documents;
mod harness;
mod jobs;
mod listener;
mod throwaway_postgres;
mod watch;
