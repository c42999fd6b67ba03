//! G2, G4 and G9 against times that make no sense: heartbeats of nothing, of less and of a year, and clocks
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

/// The next message, which has to be a heartbeat, and one that makes sense.
async fn beats(watch: &mut Watch) {
    let told = watch.next().await.unwrap();
    let Some(Signal::Heartbeat(beat)) = told.signal else {
        panic!("{}: it was to be a heartbeat: {told:?}", watch.what);
    };
    let lag = Duration::try_from(beat.lag.unwrap_or_default());
    assert!(
        lag.is_ok(),
        "{}: a lag is not negative: {beat:?}",
        watch.what
    );
}

/// All watches of every version, and one of what the clock lets match.
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
    /// They are moved to the nearest that there is.
    async fn a_heartbeat_of_nothing_of_less_and_of_a_year_is_one_of_a_second_or_a_minute(shop: Shop with Setup::held()) {
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

    async fn figures_take_the_same_heartbeats(shop: Shop) {
        for asked in [0, -1, -31_536_000, 31_536_000] {
            let request = WatchCartFiguresRequest {
                heartbeat_interval: Some(seconds(asked)),
                ..Default::default()
            };
            let figures = shop.carts().watch_cart_figures(request).await;
            let mut figures = figures.expect("a stream").into_inner();
            let first = tokio::time::timeout(crate::harness::PATIENCE, figures.message()).await;
            assert!(first.expect("figures come").unwrap().is_some(), "{asked}");
            if asked <= 0 {
                // Nothing changes: it is the heartbeat of a second.
                let again = tokio::time::timeout(crate::harness::PATIENCE, figures.message()).await;
                assert!(again.expect("figures come again").unwrap().is_some(), "{asked}");
            }
        }
    }

    /// That versions grow is asserted by the watches.
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
                let told = watch.changes.iter().map(|change| change.version);
                assert!(told.eq(before + 1..=last), "{}: {:?}", watch.what, watch.changes);
            }
            // No time has gone by but what did: each speaks up when its own time comes.
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

    /// What has entered because time went by stays when the clock is set back, until it changes; what has
    /// left comes back by a change. Then it is judged by the time that holds.
    async fn what_matches_by_the_clock_is_told_in_order_when_the_clock_is_set(shop: Shop with Setup::held()) {
        let subject = Subject::make(&shop, &Carts).await;
        let options = WatchOptions {
            delivery_mode: DeliveryMode::Every.into(),
            ..Default::default()
        };
        let idle = "update_time < now - 30m";
        let opened = subject.watch_filtered(&Connection::of(&shop), Way::Filter, idle, options).await;
        let mut watch = opened.unwrap();
        watch.snapshot().await;

        // Nothing wakes the stream but its heartbeat: no time has gone by.
        shop.clock.set_forward(HOUR);
        shop.clock.advance(Duration::from_secs(15));
        watch.until_told(ChangeKind::Upserted, 1).await;

        shop.clock.set_back(2 * HOUR);
        shop.clock.advance(Duration::from_secs(15));
        beats(&mut watch).await;
        let (second, _) = subject.write(&shop).await;
        watch.until_told(ChangeKind::LeftFilter, second).await;

        shop.clock.set_forward(3 * HOUR);
        shop.clock.advance(Duration::from_secs(15));
        watch.until_told(ChangeKind::Upserted, second).await;
        let (third, _) = subject.write(&shop).await;
        watch.until_told(ChangeKind::LeftFilter, third).await;
    }
}
