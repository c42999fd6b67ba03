//! The clock of the program, which tests can control.
//!
//! Every time of the service is a count of microseconds since 1970 (UTC). Nothing else in the crate reads the
//! system's clock. No order is ever derived from these values.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// How far a machine's clock may differ from another's without correction, beside the uncertainty of
/// measuring, in microseconds.
const STRAY: i64 = 10_000;

/// A clock. Cheap to clone; all clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    held: Option<Arc<Held>>,
    machine: Arc<Machine>,
}

/// The clock of a machine, and its correction.
#[derive(Debug, Default)]
struct Machine {
    /// An error in microseconds that is added, for tests.
    wrong: i64,
    /// The offset in microseconds that corrects it to the time of another clock.
    correction: AtomicI64,
}

impl Machine {
    fn told(&self) -> i64 {
        system_micros() + self.wrong
    }
}

/// A time that stands still until it is moved.
#[derive(Debug)]
struct Held {
    time: watch::Sender<Time>,
    began: Instant,
}

/// The time of a held clock.
#[derive(Clone, Copy, Debug)]
struct Time {
    now: i64,
    /// The elapsed time. Setting the clock does not change it.
    gone_by: Duration,
}

impl Held {
    fn instant(&self, time: Time) -> Instant {
        self.began + time.gone_by
    }
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The clock of a machine with an error of `micros`, for tests.
    #[must_use]
    pub fn wrong_by(micros: i64) -> Self {
        let machine = Machine {
            wrong: micros,
            ..Machine::default()
        };
        Self {
            held: None,
            machine: Arc::new(machine),
        }
    }

    /// A clock that stands still at `micros` until it is moved.
    #[must_use]
    pub fn held_at(micros: i64) -> Self {
        Self {
            held: Some(Arc::new(Held {
                time: watch::Sender::new(Time {
                    now: micros,
                    gone_by: Duration::ZERO,
                }),
                began: Instant::now(),
            })),
            machine: Arc::default(),
        }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        match &self.held {
            Some(held) => held.time.borrow().now,
            None => self.machine.told() + self.machine.correction.load(Ordering::Relaxed),
        }
    }

    /// Follows another clock from now on. That clock shows `theirs`, give or take `doubt`. Returns by how
    /// many microseconds the machine's own clock is ahead of it. A held clock does not follow.
    pub fn follow(&self, theirs: i64, doubt: i64) -> i64 {
        if self.held.is_some() {
            return 0;
        }
        let correction = theirs - self.machine.told();
        let present = self.machine.correction.load(Ordering::Relaxed);
        // A difference that may be an error of measuring changes nothing, so that the time does not jitter.
        if (correction - present).abs() > doubt + STRAY {
            let correction = if correction.abs() > doubt + STRAY {
                correction
            } else {
                0
            };
            self.machine.correction.store(correction, Ordering::Relaxed);
        }
        -correction
    }

    /// The present moment, for measuring elapsed time. Unlike [`now`](Self::now) it never goes back when the
    /// machine's clock is corrected.
    #[must_use]
    pub fn instant(&self) -> Instant {
        match &self.held {
            Some(held) => held.instant(*held.time.borrow()),
            None => Instant::now(),
        }
    }

    /// Returns [`now`](Self::now) and [`instant`](Self::instant) of the same moment.
    #[must_use]
    pub fn reading(&self) -> (i64, Instant) {
        match &self.held {
            Some(held) => {
                let time = *held.time.borrow();
                (time.now, held.instant(time))
            }
            None => (self.now(), Instant::now()),
        }
    }

    /// Waits until [`instant`](Self::instant) has reached `moment`.
    pub async fn reach(&self, moment: Instant) {
        match &self.held {
            Some(held) => {
                let mut time = held.time.subscribe();
                // It fails only without a sender, and `self` holds that.
                let _ = time.wait_for(|time| held.instant(*time) >= moment).await;
            }
            None => tokio::time::sleep_until(moment).await,
        }
    }

    /// A timer on this clock. Must be called within a runtime.
    #[must_use]
    pub fn alarm(&self) -> Alarm {
        Alarm {
            clock: self.clone(),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    /// Moves a held clock forward. The machine's clock does not move.
    pub fn advance(&self, by: Duration) {
        if let Some(held) = &self.held {
            held.time.send_modify(|time| {
                time.now += micros(by);
                time.gone_by += by;
            });
        }
    }

    /// Sets a held clock forward, as a correction of the machine's clock would: no time elapses.
    pub fn set_forward(&self, by: Duration) {
        self.set_by(micros(by));
    }

    /// Sets a held clock back, as a correction of the machine's clock would: no time elapses.
    pub fn set_back(&self, by: Duration) {
        self.set_by(-micros(by));
    }

    fn set_by(&self, micros: i64) {
        if let Some(held) = &self.held {
            held.time.send_modify(|time| time.now += micros);
        }
    }
}

/// A reusable timer for a task that waits often and is mostly interrupted. Unlike [`Clock::reach`] it is not
/// registered anew for each wait.
#[derive(Debug)]
pub struct Alarm {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    /// Waits until the clock has reached `moment`.
    pub async fn reach(&mut self, moment: Instant) {
        if self.clock.held.is_some() {
            return self.clock.reach(moment).await;
        }
        loop {
            // Set back only once it has fired: most waits end before, and each would pay for it.
            if self.sleep.is_elapsed() || moment < self.sleep.deadline() {
                self.sleep.as_mut().reset(moment);
            }
            self.sleep.as_mut().await;
            if Instant::now() >= moment {
                return;
            }
        }
    }
}

/// A duration in microseconds; more than 292,000 years are cut.
#[must_use]
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock"
)]
fn system_micros() -> i64 {
    let now = std::time::SystemTime::now();
    match now.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_told() {
        let clock = Clock::held_at(1_000_000);
        let other = clock.clone();

        clock.advance(Duration::from_millis(5));

        assert_eq!(other.now(), 1_005_000);
    }

    #[test]
    fn a_clock_that_follows_another_tells_its_time() {
        let (right, wrong) = (Clock::system(), Clock::wrong_by(3_600_000_000));

        let ahead = wrong.clone().follow(right.now(), 1_000_000);

        assert!((ahead - 3_600_000_000).abs() < 1_000_000, "{ahead}");
        assert!((wrong.now() - right.now()).abs() < 1_000_000);
        let held = Clock::held_at(5);
        assert_eq!((held.follow(1_000_000_000, 0), held.now()), (0, 5));
    }

    #[tokio::test]
    async fn a_clock_that_is_set_lets_no_time_go_by() {
        let clock = Clock::held_at(1_000_000);
        let begun = clock.instant();

        clock.set_back(Duration::from_secs(3_600));
        clock.advance(Duration::from_secs(1));
        clock.set_forward(Duration::from_secs(3_600));

        assert_eq!(clock.now(), 2_000_000);
        assert_eq!(clock.instant() - begun, Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_task_that_waits_for_a_time_continues_when_a_held_clock_reaches_it() {
        let clock = Clock::held_at(1_000_000);
        let begun = clock.instant();
        let (early, late) = (
            begun + Duration::from_secs(9),
            begun + Duration::from_secs(11),
        );
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reach(early).await }
        });

        clock.advance(Duration::from_secs(10));

        waiting.await.unwrap();
        assert_eq!(clock.instant() - begun, Duration::from_secs(10));
        assert!(clock.reach(late).now_or_never().is_none());
    }
}
