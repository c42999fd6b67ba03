//! Access control: the one place that decides which key may call which RPC, from the contract's own options.
//!
//! A call passes the layer once. It decides on the key and its roles before it reads anything of the request.
//! Then it checks the bytes against the descriptor, and only then does an area see them. Handlers find the
//! caller in [`Caller`](crate::caller::Caller) and never look at headers.

pub mod api_keys;
pub mod keys;
mod layer;
mod sql;
mod turns;
pub mod wire;

pub use keys::Keys;
pub use layer::AccessLayer;
