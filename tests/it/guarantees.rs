//! What the feed promises (`docs/WATCH.md`), at every sort of watch alike and on both engines.
//!
//! What is about the contents of one stream under many writers (G1, G2, G5, G6, G12) is in `watch/`, with
//! watches that are folded; what is here asks the same of each sort.

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
