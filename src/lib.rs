//! Clientela keeps a shop's customers, groups and live carts, and serves them over gRPC.
//!
//! Map: `docs/ARCHITECTURE.md`.

pub mod access;
pub mod app;
pub mod area;
pub mod attributes;
pub mod caller;
pub mod carts;
pub mod cli;
pub mod clock;
pub mod collation;
pub mod config;
pub mod connection;
pub mod contract;
pub mod customers;
pub mod epochs;
pub mod error;
pub mod feed;
pub mod filter;
pub mod format;
pub mod groups;
pub mod ids;
#[cfg(test)]
mod import_order;
pub mod jobs;
pub mod limits;
pub mod mask;
pub mod monitor;
pub mod numbers;
pub mod operations;
pub mod passwords;
pub mod proto;
pub mod quota;
pub mod resource;
pub mod revision;
pub mod saved_filters;
pub mod server;
pub mod shops;
pub mod store;
pub mod telemetry;
