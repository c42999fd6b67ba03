//! The parameters of a stream, checked.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::limits;
use crate::proto::pb::{DeliveryMode, WatchOptions};

/// What a stream was asked to do.
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
        let heartbeat = match options.heartbeat_interval {
            None => limits::HEARTBEAT_DEFAULT,
            Some(interval) => duration(interval, "options.heartbeat_interval")?
                .clamp(limits::HEARTBEAT_MIN, limits::HEARTBEAT_MAX),
        };
        let min_update_interval = match options.min_update_interval {
            None => Duration::ZERO,
            Some(interval) => duration(interval, "options.min_update_interval")?,
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

fn duration(duration: prost_types::Duration, field: &'static str) -> Result<Duration> {
    Duration::try_from(duration)
        .map_err(|_| Error::invalid_field(field, "OUT_OF_RANGE", "must not be negative"))
}
