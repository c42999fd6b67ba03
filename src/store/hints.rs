//! Hints between replicas on one PostgreSQL: the change log has grown, read it now.
//!
//! The database or NATS passes them on, never inside a write. A hint has no content. A lost hint costs
//! latency but no change, because the feed also polls. A repeated or forged one costs a read of the log.

#[cfg(feature = "nats")]
mod nats;
mod notify;

use std::fmt;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::config::{Hints, StoreConfig};
use super::target::Session;
use super::wake::Wake;
use crate::ids;

/// The least time between two hints. The first after a pause leaves at once.
const SPACING: Duration = Duration::from_millis(5);
/// The pause between two attempts to connect to the server that passes hints on.
const RETRY: Duration = Duration::from_millis(500);

/// Sends hints for the commits of this process, and wakes it for those of others, until stopped.
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
        #[cfg(feature = "nats")]
        Hints::Nats(urls) => {
            let subject = format!("clientela.{store_id}.wake");
            let passing = nats::pass(urls.clone(), subject, own, wake.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(passing));
        }
        // There are no URLs without the feature.
        #[cfg(not(feature = "nats"))]
        Hints::Nats(_) => {}
    }
}

/// Logs an outage once, and its end once.
struct Outage {
    of: &'static str,
    logged: bool,
}

impl Outage {
    fn new(of: &'static str) -> Self {
        Self { of, logged: false }
    }

    fn lasts(&mut self, error: &dyn fmt::Display) {
        if !self.logged {
            tracing::warn!(
                by = self.of,
                %error,
                "replicas cannot notify each other of changes; each polls meanwhile"
            );
        }
        self.logged = true;
    }

    fn ends(&mut self) {
        if self.logged {
            tracing::info!(by = self.of, "replicas notify each other of changes again");
        }
        self.logged = false;
    }
}
