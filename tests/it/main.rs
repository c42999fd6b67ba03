//! Tests through the wire, against a real server, on both engines.

mod harness;
mod throwaway_postgres;
