//! The checker of the runs that kill servers (`tests/checker`), held against servers in this process: it
//! must find nothing in what a healthy feed tells, and name the promise that a planted fault breaks.

mod late_commit;
mod plants;
mod recording;
mod watcher;

use clientela::feed::{FeedSettings, Plant};

use crate::harness::Setup;

/// A server whose feed has a fault, or none.
fn with(plant: Plant) -> Setup {
    let setup = Setup::default();
    let feed = FeedSettings {
        plant,
        ..setup.feed
    };
    Setup { feed, ..setup }
}
