//! Tests of calls and their repetition, and of watches with streams that are cut, repeated, reset, refused
//! and silent, against a scripted server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
mod connecting;
mod fake;
mod figures;
mod kinds;
mod messages;
mod pages;
#[cfg(feature = "tls")]
mod tls;
mod watches;
