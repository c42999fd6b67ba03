//! What calls carry and how they are repeated, and what a watch makes of streams that are cut,
//! repeated, reset, refused and silent: against a server that does what it was told to.
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
