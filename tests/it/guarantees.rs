//! Tests the guarantees of the feed (`docs/WATCH.md`) for every kind of watch and on both engines.
//!
//! The tests of `watch/` fold single streams under many writers (G1, G2, G5, G6, G12). The tests here check
//! the same guarantees for each kind.

mod ending;
mod history;
mod latest;
mod memory;
mod reserved;
mod revision;
mod rings;
mod starved;
mod time;
mod tokens;
mod unread;
mod vanished;
mod watched;
mod wide;
