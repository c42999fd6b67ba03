//! Clientela.
pub mod filter;
