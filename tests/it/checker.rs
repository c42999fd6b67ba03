//! Tests the checker of the runs that kill servers (`tests/checker`) with servers in this process. It must
//! accept the stream of a healthy feed, and name the guarantee that an injected fault breaks.

mod injected;
mod late_commit;
mod recording;
mod watcher;
