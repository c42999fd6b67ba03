//! Tests a real server over the network, on both engines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod calls;
mod carts;
mod checker;
mod cli;
mod connections;
mod contract;
mod customers;
mod documents;
mod faults;
mod filters;
mod fleet;
mod groups;
mod guarantees;
mod harness;
mod jobs;
mod large_answers;
mod listener;
mod lists;
mod monitor;
mod operations;
mod plans;
mod request_ids;
mod room;
mod saved_filters;
mod side_services;
mod specimens;
mod throwaway_postgres;
mod unread_answers;
mod watch;
