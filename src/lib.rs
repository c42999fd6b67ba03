//! Clientela keeps a shop's customers, groups and live carts, and serves them over gRPC.
//!
//! Map: `docs/ARCHITECTURE.md`.

pub mod error;
pub mod feed;
pub mod filter;
pub mod proto;
