//! Hints between replicas on one PostgreSQL: "the change log has grown, look now".
//!
//! They go by the database itself or by NATS, and never inside of a write. A hint carries nothing:
//! one that is lost costs latency and no change, as the feed also looks by itself now and then, and
//! one that is repeated or made up costs a look.

mod nats;
mod notify;

use std::fmt;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::config::{Hints, StoreConfig};
use super::target::Session;
use super::wake::Wake;
use crate::ids;

/// At most one hint in this time; the first after a pause leaves at once.
const SPACING: Duration = Duration::from_millis(5);
/// Between two attempts to reach who passes hints on.
const RETRY: Duration = Duration::from_millis(500);

/// Sends a hint for the commits of this process and wakes it for those of others, until stopped.
pub(super) fn start(
    hints: &Hints,
    database: Session,
    store_id: &str,
    config: &StoreConfig,
    wake: &Wake,
    stop: &CancellationToken,
) {
    let own = ids::new_id();
    match hints {
        Hints::Off => {}
        Hints::Notify => {
            notify::start(database, store_id, own, config, wake, stop);
        }
        Hints::Nats(urls) => {
            let subject = format!("clientela.{store_id}.wake");
            let passing = nats::pass(urls.clone(), subject, own, wake.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(passing));
        }
    }
}

/// Tells the log of an outage once, and once of its end.
struct Outage {
    of: &'static str,
    told: bool,
}

impl Outage {
    fn new(of: &'static str) -> Self {
        Self { of, told: false }
    }

    fn lasts(&mut self, error: &dyn fmt::Display) {
        if !self.told {
            tracing::warn!(
                by = self.of,
                %error,
                "replicas cannot tell each other of changes; each looks by itself meanwhile"
            );
        }
        self.told = true;
    }

    fn ends(&mut self) {
        if self.told {
            tracing::info!(by = self.of, "replicas tell each other of changes again");
        }
        self.told = false;
    }
}
