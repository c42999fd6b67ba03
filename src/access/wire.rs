//! Messages as they lie on the wire: what a request carries is checked before an area decodes it, and
//! what a role may not see is taken out of an answer, without building a message of either.
//!
//! The walk allocates only to say what is wrong. Everything it knows of a message comes from
//! [`crate::contract`].

mod attributes;
mod check;
mod digest;
mod value;
mod view;

pub use check::{check, malformed};
pub use digest::{canonical, request_id};
pub use view::view;

pub use crate::contract::records::Malformed;

#[cfg(test)]
mod tests;
