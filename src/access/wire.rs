//! Messages as they lie on the wire: what a request carries is checked before an area decodes it, and
//! what a role may not see is taken out of an answer, without building a message of either.
//!
//! The walk allocates only to say what is wrong. Everything it knows of a message comes from
//! [`crate::access::tables`].

mod attributes;
mod check;
mod digest;
mod read;
mod value;
mod view;

pub use check::{check, malformed};
pub use digest::{canonical, request_id};
pub use view::view;

/// The bytes are not the message that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

#[cfg(test)]
mod tests;
