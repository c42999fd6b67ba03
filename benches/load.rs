//! The load: callers in a closed loop or at a rate, and the measured values.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The duration of calls before the measurement.
const WARM_UP: Duration = Duration::from_millis(300);

/// Shorter times are counted to the microsecond, longer ones to less than one percent.
const EXACT: u64 = 256;
const STEPS: u64 = 128;
const BUCKETS: u64 = EXACT + 24 * STEPS;

/// A histogram of times.
pub struct Histogram(Box<[AtomicU32]>);

impl Histogram {
    /// Returns an empty histogram.
    pub fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU32::new(0)).collect())
    }

    /// Removes all counts.
    pub fn clear(&self) {
        for count in &self.0 {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a time.
    pub fn record(&self, micros: u64) {
        let place = usize::try_from(bucket(micros)).unwrap_or(usize::MAX);
        self.0[place.min(self.0.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the mean and the standard deviation, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    pub fn mean_and_deviation(&self) -> (f64, f64) {
        let counts = || {
            let counts = (0_u32..).zip(&self.0);
            counts
                .map(|(place, count)| (upper_end(place), f64::from(count.load(Ordering::Relaxed))))
        };
        let all = self.count() as f64;
        let mean = counts().map(|(time, count)| time * count).sum::<f64>() / all;
        let squares = counts().map(|(time, count)| (time - mean).powi(2) * count);
        (mean, (squares.sum::<f64>() / all).sqrt())
    }

    /// Returns how many times were counted.
    pub fn count(&self) -> u64 {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        counts.map(u64::from).sum()
    }

    /// Returns the time in microseconds that this share of the calls did not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let wanted = self.count() as f64 * share;
        let mut seen = 0.0;
        for (place, count) in (0_u32..).zip(&self.0) {
            seen += f64::from(count.load(Ordering::Relaxed));
            if seen >= wanted {
                return upper_end(place);
            }
        }
        f64::NAN
    }
}

fn bucket(micros: u64) -> u64 {
    if micros < EXACT {
        return micros;
    }
    let power = u64::from(63 - micros.leading_zeros());
    let step = (micros >> (power - 7)) & (STEPS - 1);
    EXACT + (power - 8) * STEPS + step
}

fn upper_end(place: u32) -> f64 {
    let place = u64::from(place);
    if place < EXACT {
        #[expect(clippy::cast_precision_loss, reason = "below 256")]
        return place as f64;
    }
    let (power, step) = ((place - EXACT) / STEPS + 8, (place - EXACT) % STEPS);
    #[expect(clippy::cast_precision_loss, reason = "below 2^32")]
    let end = ((STEPS + step + 1) << (power - 7)) as f64;
    end
}

/// The result of a load.
pub struct Measured {
    /// Answered calls per second.
    pub per_second: f64,
    /// The durations of the calls.
    pub times: Arc<Histogram>,
    /// All answered calls, including those of the warm-up.
    pub calls: f64,
}

/// Keeps `in_flight` calls running for `seconds`, after a warm-up. `call` gets the number of its caller and
/// how many calls that caller made before.
pub async fn closed_loop<F, Fut>(in_flight: usize, seconds: f64, call: F) -> Measured
where
    F: Fn(usize, usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let begin = Instant::now() + WARM_UP;
    let end = begin + Duration::from_secs_f64(seconds);
    let times = Arc::new(Histogram::new());
    let call = Arc::new(call);
    let mut callers = JoinSet::new();
    for caller in 0..in_flight {
        let (call, times) = (Arc::clone(&call), Arc::clone(&times));
        callers.spawn(async move {
            for made in 0.. {
                let started = Instant::now();
                if started >= end {
                    return made;
                }
                call(caller, made).await;
                let ended = Instant::now();
                if ended >= begin && ended <= end {
                    times.record(micros(ended - started));
                }
            }
            unreachable!("a caller ends with the time")
        });
    }
    let calls: usize = callers.join_all().await.into_iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let (per_second, calls) = (times.count() as f64 / seconds, calls as f64);
    Measured {
        per_second,
        times,
        calls,
    }
}

/// Calls `rate` times a second for `seconds`, whether or not earlier calls are answered, and returns the rate
/// that was reached. `call` gets the number of the call.
pub async fn at_rate<F, Fut>(rate: f64, seconds: f64, call: F) -> f64
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    at_rate_until(rate, || Instant::now() >= until, call).await
}

/// Does the same until `ended`.
pub async fn at_rate_until<F, Fut>(rate: f64, ended: impl Fn() -> bool, call: F) -> f64
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    /// The calls in flight are limited: the rate shows a server that cannot keep up, not a growing backlog.
    const IN_FLIGHT_MAX: usize = 512;
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let started = Instant::now();
    let mut calls = JoinSet::new();
    let mut made = 0_u32;
    while !ended() {
        let due = started + Duration::from_secs_f64(f64::from(made) / rate);
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let place = Arc::clone(&room).acquire_owned().await;
        let call = call(made as usize);
        calls.spawn(async move {
            let _place = place;
            call.await;
        });
        while calls.try_join_next().is_some_and(|ended| ended.is_ok()) {}
        made += 1;
    }
    calls.join_all().await;
    f64::from(made) / started.elapsed().as_secs_f64()
}

/// Returns a duration in microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
