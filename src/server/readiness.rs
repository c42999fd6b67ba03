//! The health of the server, and of each service as long as its database answers.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::limits::{CLOCK_OFF_MAX, CLOCK_OFF_WARNED};
use crate::proto::POOL;
use crate::store::Store;

/// The health of the server's services.
#[derive(Clone)]
pub struct Health(pub HealthReporter);

/// How often the database is checked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Updates the health of each service until `stop`. After that none serves.
pub async fn watch_readiness(health: Health, store: Store, stop: CancellationToken) {
    // Watchers get no status of an unknown service before the first check.
    health.set(ServingStatus::NotServing).await;
    let mut known = false;
    let mut clock = ClockWatch::default();
    loop {
        let looked = tokio::time::timeout(TIMEOUT, store.condition()).await;
        let ready = match looked {
            Ok(Ok(condition)) => clock.is_right(condition.clock_ahead) && condition.writable,
            Ok(Err(_)) | Err(_) => false,
        };
        if known != ready {
            known = ready;
            health
                .set(if ready {
                    ServingStatus::Serving
                } else {
                    ServingStatus::NotServing
                })
                .await;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
    health.set(ServingStatus::NotServing).await;
    health
        .0
        .set_service_status("", ServingStatus::NotServing)
        .await;
}

/// Logs once when this machine's clock begins to differ from the database's, and once when it agrees again.
#[derive(Default)]
struct ClockWatch {
    warns: bool,
}

impl ClockWatch {
    /// Whether the clock is accurate enough to serve.
    fn is_right(&mut self, ahead: i64) -> bool {
        let off = Duration::from_micros(ahead.unsigned_abs());
        let warns = off > CLOCK_OFF_WARNED;
        let seconds = ahead as f64 / 1e6;
        if warns && !self.warns {
            tracing::warn!(
                ahead_seconds = seconds,
                "this machine's clock differs from the database's, which counts; put it right (NTP): \
                 beyond 10 seconds the services are NOT_SERVING"
            );
        } else if self.warns && !warns {
            tracing::info!(
                ahead_seconds = seconds,
                "this machine's clock is right again"
            );
        }
        self.warns = warns;
        off <= CLOCK_OFF_MAX
    }
}

impl Health {
    async fn set(&self, status: ServingStatus) {
        for service in POOL.services() {
            self.0.set_service_status(service.full_name(), status).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_differ_by_ten_seconds_either_way() {
        let mut clock = ClockWatch::default();

        assert!(clock.is_right(0));
        assert!(clock.is_right(-10_000_000) && clock.warns);
        assert!(!clock.is_right(10_000_001));
        assert!(clock.is_right(900_000) && !clock.warns);
    }
}
