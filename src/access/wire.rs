//! Works on encoded messages: checks a request before an area decodes it, and removes the fields of an answer
//! that a role may not see, without decoding either.
//!
//! The walk allocates only for violations. Its knowledge of messages comes from [`crate::contract`].

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
