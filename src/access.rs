//! Who may call what: the one place that decides it, from the contract's own options.
//!
//! A call passes the layer once. Key and roles are decided before anything of the request is read; then
//! the bytes are walked against the descriptor, and only then does an area see them. Handlers find who
//! calls in [`Caller`](crate::caller::Caller) and never look at headers.

pub mod api_keys;
pub mod keys;
mod layer;
mod sql;
mod turns;
pub mod wire;

pub use keys::Keys;
pub use layer::AccessLayer;
