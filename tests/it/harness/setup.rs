//! The setup of a shop's server, for tests that need a special one.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::feed::{FaultInjection, FeedSettings};
use clientela::jobs::{FeedLimits, JobsSettings};
use clientela::limits;
use clientela::server::ServerSettings;
use clientela::store::{Hints, StoreConfig};

use super::store;

/// The settings of a server that a test may change.
#[derive(Clone)]
pub struct Setup {
    pub clock: Clock,
    pub feed: FeedSettings,
    /// A fault injected into the feed.
    pub fault: FaultInjection,
    pub feed_limits: FeedLimits,
    pub jobs: JobsSettings,
    pub key_poll_interval: Duration,
    /// None: derived from the age of streams.
    pub connection_age: Option<Duration>,
    /// The interval of keepalive pings on a silent connection, and the limit for their answers.
    pub keepalive: (Duration, Duration),
    pub drain_timeout: Duration,
    pub hints: Hints,
    pub closing_timeout: Duration,
    pub open_reflection: bool,
    /// Changes the settings of the listener.
    pub server: fn(&mut ServerSettings),
    /// Changes the settings of the store.
    pub store: fn(&mut StoreConfig),
}

impl Default for Setup {
    fn default() -> Self {
        let feed = FeedSettings {
            poll_interval: Duration::from_millis(100),
            ..Default::default()
        };
        Self {
            clock: Clock::system(),
            feed,
            fault: FaultInjection::None,
            feed_limits: FeedLimits::default(),
            jobs: JobsSettings {
                poll_interval: Duration::from_millis(50),
                schedule_interval_max: Duration::from_millis(100),
                ..JobsSettings::default()
            },
            key_poll_interval: Duration::from_millis(100),
            // tonic's client loses a call that starts on a closing connection.
            connection_age: Some(Duration::from_secs(24 * 60 * 60)),
            keepalive: (limits::KEEPALIVE_INTERVAL, limits::KEEPALIVE_TIMEOUT),
            drain_timeout: Duration::from_secs(10),
            hints: Hints::Notify,
            closing_timeout: Duration::from_secs(30),
            open_reflection: false,
            server: |_| {},
            store: |_| {},
        }
    }
}

impl Setup {
    /// The default, with a fault in the feed or none.
    pub fn faulty(fault: FaultInjection) -> Self {
        Self {
            fault,
            ..Self::default()
        }
    }

    /// The default, with a clock that stands still until the test moves it. Streams never reach their maximal
    /// age, however far the clock moves.
    pub fn held() -> Self {
        Self::held_at(store::START)
    }

    /// Like [`held`](Self::held), from another time.
    pub fn held_at(micros: i64) -> Self {
        let usual = Self::default();
        Self {
            clock: Clock::held_at(micros),
            feed: FeedSettings {
                stream_age: Duration::from_secs(100 * 365 * 24 * 60 * 60),
                ..usual.feed.clone()
            },
            ..usual
        }
    }

    /// The default, but only calls run statements: nothing polls for jobs, changes or revoked keys.
    pub fn quiet() -> Self {
        const NEVER: Duration = Duration::from_secs(60 * 60);
        let idle = Self::idle();
        Self {
            feed: FeedSettings {
                poll_interval: NEVER,
                ..idle.feed.clone()
            },
            jobs: JobsSettings {
                poll_interval: NEVER,
                schedule_interval_max: NEVER,
                ..idle.jobs.clone()
            },
            key_poll_interval: NEVER,
            ..idle
        }
    }

    /// The default, but no worker does the requested jobs.
    pub fn idle() -> Self {
        let usual = Self::default();
        Self {
            jobs: JobsSettings {
                workers: 0,
                ..usual.jobs.clone()
            },
            ..usual
        }
    }
}
