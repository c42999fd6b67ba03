//! The parameters of a stream, checked.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::limits;
use crate::proto::pb::{DeliveryMode, WatchOptions};

pub struct Options {
    pub resume_token: String,
    pub skip_snapshot: bool,
    pub heartbeat: Duration,
    pub delivery: DeliveryMode,
    pub min_update_interval: Duration,
    pub reset: bool,
}

impl Options {
    /// Reads the options of a request.
    ///
    /// # Errors
    /// INVALID_FIELD.
    pub fn read(options: WatchOptions) -> Result<Self> {
        let delivery = match options.delivery_mode() {
            DeliveryMode::Every => DeliveryMode::Every,
            DeliveryMode::Unspecified | DeliveryMode::Latest => DeliveryMode::Latest,
        };
        if options.skip_snapshot && !options.resume_token.is_empty() {
            return Err(Error::invalid_field(
                "options.skip_snapshot",
                "CONTRADICTION",
                "must not be set together with resume_token",
            ));
        }
        let heartbeat = heartbeat(options.heartbeat_interval);
        let min_update_interval = match options.min_update_interval {
            None => Duration::ZERO,
            Some(interval) => Duration::try_from(interval).map_err(|_| {
                let text = "must not be negative";
                Error::invalid_field("options.min_update_interval", "OUT_OF_RANGE", text)
            })?,
        };
        if min_update_interval > limits::UPDATE_INTERVAL_MAX {
            return Err(Error::invalid_field(
                "options.min_update_interval",
                "OUT_OF_RANGE",
                "must be at most 60 seconds",
            ));
        }
        if delivery == DeliveryMode::Every && !min_update_interval.is_zero() {
            return Err(Error::invalid_field(
                "options.min_update_interval",
                "CONTRADICTION",
                "must not be set with DELIVERY_MODE_EVERY",
            ));
        }
        Ok(Self {
            resume_token: options.resume_token,
            skip_snapshot: options.skip_snapshot,
            heartbeat,
            delivery,
            min_update_interval,
            reset: options.reset_on_expired_token,
        })
    }
}

/// The heartbeat interval of a stream of any kind. A requested interval outside of the limits, or below zero,
/// is moved to the nearest.
#[must_use]
pub fn heartbeat(asked: Option<prost_types::Duration>) -> Duration {
    let Some(asked) = asked else {
        return limits::HEARTBEAT_DEFAULT;
    };
    Duration::try_from(asked)
        .unwrap_or_default()
        .clamp(limits::HEARTBEAT_MIN, limits::HEARTBEAT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos: 0 })
    }

    #[test]
    fn a_heartbeat_interval_outside_is_moved_to_the_nearest() {
        for (asked, taken) in [(-5, 1), (0, 1), (1, 1), (30, 30), (60, 60), (61, 60)] {
            let options = Options::read(WatchOptions {
                heartbeat_interval: seconds(asked),
                ..WatchOptions::default()
            });
            let heartbeat = options.map(|options| options.heartbeat);
            assert_eq!(heartbeat.ok(), Some(Duration::from_secs(taken)), "{asked}");
        }
    }

    #[test]
    fn an_update_interval_outside_is_refused() {
        for (asked, taken) in [(-1, false), (0, true), (60, true), (61, false)] {
            let options = Options::read(WatchOptions {
                min_update_interval: seconds(asked),
                ..WatchOptions::default()
            });
            assert_eq!(options.is_ok(), taken, "{asked}");
        }
    }
}
