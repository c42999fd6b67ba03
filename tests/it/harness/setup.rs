//! How a shop's server is set up, where a test wants it otherwise than usual.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::feed::{FaultInjection, FeedSettings};
use clientela::jobs::{FeedLimits, JobsSettings};
use clientela::limits;
use clientela::server::ServerSettings;
use clientela::store::{Hints, StoreConfig};

use super::store;

/// What a test may want different from the ordinary.
#[derive(Clone)]
pub struct Setup {
    pub clock: Clock,
    pub feed: FeedSettings,
    /// A fault in the feed.
    pub fault: FaultInjection,
    pub feed_limits: FeedLimits,
    pub jobs: JobsSettings,
    pub key_poll_interval: Duration,
    /// None: as the age of streams has it.
    pub connection_age: Option<Duration>,
    /// How often a silent connection is asked whether it lives, and how long it has to answer.
    pub keepalive: (Duration, Duration),
    pub drain_timeout: Duration,
    pub hints: Hints,
    pub closing_timeout: Duration,
    pub open_reflection: bool,
    /// Changes how the listener behaves.
    pub server: fn(&mut ServerSettings),
    /// Changes how the store is opened.
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
            // A call that is put on a connection as it is told to go is lost to tonic's client.
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
    /// As usual, with a fault in the feed, or none.
    pub fn faulty(fault: FaultInjection) -> Self {
        Self {
            fault,
            ..Self::default()
        }
    }

    /// As usual, with a clock that stands still until it is moved. However far it is moved, streams do not
    /// end for their age.
    pub fn held() -> Self {
        Self::held_at(store::START)
    }

    /// As [`held`](Self::held), at another time.
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

    /// As usual, but no statement runs that no call asked for: nobody looks for work, changes or revoked keys by
    /// themselves.
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

    /// As usual, but nobody does the work that is asked for.
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
