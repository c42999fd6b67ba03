//! Clientela keeps a shop's customers, groups and live carts, and serves them over gRPC.
//!
//! Map: `docs/ARCHITECTURE.md`.

pub mod access;
pub mod clock;
pub mod error;
pub mod feed;
pub mod filter;
pub mod ids;
pub mod limits;
pub mod proto;
pub mod shops;
pub mod store;
