//! The checker of the runs that kill servers (`tests/checker`), held against servers in this process: it
//! must find nothing in what a healthy feed tells, and name the promise that a planted fault breaks.

mod injected;
mod late_commit;
mod recording;
mod watcher;
