//! G2, G4 and G9 with extreme times: heartbeat intervals of zero, less than zero and a year, and clocks
//! that are set forward and back while streams are open.

use std::time::Duration;

use clientela::proto::pb::{ChangeKind, DeliveryMode, WatchCartFiguresRequest, WatchOptions};

use super::watched::{Connection, Signal, Subject, Watch, Way};
use crate::harness::{Setup, Shop};
use crate::on_both_engines;
use crate::specimens::Carts;

const HOUR: Duration = Duration::from_secs(3_600);

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// Reads the next message, which must be a heartbeat with a valid lag.
async fn beats(watch: &mut Watch) {
    let received = watch.next().await.unwrap();
    let Some(Signal::Heartbeat(beat)) = received.signal else {
        panic!("{}: not a heartbeat: {received:?}", watch.what);
    };
    let lag = Duration::try_from(beat.lag.unwrap_or_default());
    assert!(lag.is_ok(), "{}: the lag is negative: {beat:?}", watch.what);
}

/// Opens watches of every kind that send every version, and reads their snapshots.
async fn watches(shop: &Shop, subject: &Subject) -> Vec<Watch> {
    let connection = Connection::of(shop);
    let options = || WatchOptions {
        delivery_mode: DeliveryMode::Every.into(),
        ..Default::default()
    };
    let mut watches = Vec::new();
    for way in subject.kind.ways() {
        let watch = subject.watch(&connection, *way, options()).await;
        watches.push(watch.expect("a stream"));
    }
    for watch in &mut watches {
        watch.snapshot().await;
    }
    watches
}

on_both_engines! {
    /// The server moves an interval to the nearest limit.
    async fn an_interval_out_of_range_becomes_a_second_or_a_minute(shop: Shop with Setup::held()) {
        let connection = Connection::of(&shop);
        for subject in Subject::of_each_kind(&shop).await {
            for (asked, meant) in [(0, 1), (-1, 1), (-31_536_000, 1), (31_536_000, 60)] {
                let options = WatchOptions {
                    heartbeat_interval: Some(seconds(asked)),
                    ..Default::default()
                };
                for way in subject.kind.ways() {
                    let mut watch = subject.watch(&connection, *way, options.clone()).await.unwrap();
                    watch.snapshot().await;
                    shop.clock.advance(Duration::from_secs(meant));
                    beats(&mut watch).await;
                }
            }
        }
    }

    async fn figures_accept_the_same_intervals(shop: Shop) {
        for asked in [0, -1, -31_536_000, 31_536_000] {
            let request = WatchCartFiguresRequest {
                heartbeat_interval: Some(seconds(asked)),
                ..Default::default()
            };
            let figures = shop.carts().watch_cart_figures(request).await;
            let mut figures = figures.expect("a stream").into_inner();
            let first = tokio::time::timeout(crate::harness::PATIENCE, figures.message()).await;
            assert!(first.expect("figures arrive in time").unwrap().is_some(), "{asked}");
            if asked <= 0 {
                // Without a change, this message is the heartbeat after a second.
                let again = tokio::time::timeout(crate::harness::PATIENCE, figures.message()).await;
                assert!(again.expect("figures arrive again in time").unwrap().is_some(), "{asked}");
            }
        }
    }

    /// The watches assert that versions grow.
    async fn no_change_is_lost_or_out_of_order_when_the_clock_is_set(shop: Shop with Setup::held()) {
        let subjects = Subject::of_each_kind(&shop).await;
        for subject in &subjects {
            let before = subject.read(&Connection::of(&shop)).await.unwrap();
            let mut watches = watches(&shop, subject).await;
            let mut last = before;
            for round in 0..12 {
                match round % 4 {
                    0 => shop.clock.set_back(3 * HOUR),
                    1 => shop.clock.set_forward(5 * HOUR),
                    2 => shop.clock.advance(Duration::from_secs(1)),
                    _ => shop.clock.set_back(2 * HOUR),
                }
                last = subject.write(&shop).await.0;
            }

            for watch in &mut watches {
                watch.until(last).await;
                let received = watch.changes.iter().map(|change| change.version);
                assert!(received.eq(before + 1..=last), "{}: {:?}", watch.what, watch.changes);
            }
            // Setting the clock lets no time pass. Each stream sends a heartbeat after its own interval.
            for back in [true, false] {
                if back {
                    shop.clock.set_back(HOUR);
                } else {
                    shop.clock.set_forward(HOUR);
                }
                shop.clock.advance(Duration::from_secs(15));
                for watch in &mut watches {
                    beats(watch).await;
                }
            }
        }
    }

    /// A resource that matched as time passed keeps matching when the clock is set back, until its next
    /// change. That change is evaluated at the current time.
    async fn matches_by_the_clock_are_sent_in_order_when_the_clock_is_set(shop: Shop with Setup::held()) {
        let subject = Subject::make(&shop, &Carts).await;
        let options = WatchOptions {
            delivery_mode: DeliveryMode::Every.into(),
            ..Default::default()
        };
        let idle = "update_time < now - 30m";
        let opened = subject.watch_filtered(&Connection::of(&shop), Way::Filter, idle, options).await;
        let mut watch = opened.unwrap();
        watch.snapshot().await;

        // Setting the clock wakes no stream, so its heartbeat does.
        shop.clock.set_forward(HOUR);
        shop.clock.advance(Duration::from_secs(15));
        watch.until_received(ChangeKind::Upserted, 1).await;

        shop.clock.set_back(2 * HOUR);
        shop.clock.advance(Duration::from_secs(15));
        beats(&mut watch).await;
        let (second, _) = subject.write(&shop).await;
        watch.until_received(ChangeKind::LeftFilter, second).await;

        shop.clock.set_forward(3 * HOUR);
        shop.clock.advance(Duration::from_secs(15));
        watch.until_received(ChangeKind::Upserted, second).await;
        let (third, _) = subject.write(&shop).await;
        watch.until_received(ChangeKind::LeftFilter, third).await;
    }
}
