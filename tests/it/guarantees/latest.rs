//! G3 and G4 for a stalled reader. With LATEST versions may be left out and are counted, but the last one is
//! always sent. With EVERY no version is left out.

use clientela::proto::pb::{DeliveryMode, WatchOptions};

use super::watched::{Connection, Subject, Watch};
use crate::harness::Shop;
use crate::on_both_engines;

/// More than an inbox holds, so the rest must come from the log.
const WRITES: i64 = 300;
/// The receive window of a stalled reader: a message or two.
const WINDOW: u32 = 1024;

fn options(delivery: DeliveryMode, resume_token: &str) -> WatchOptions {
    WatchOptions {
        delivery_mode: delivery.into(),
        resume_token: resume_token.to_owned(),
        ..Default::default()
    }
}

/// Opens watches of every kind, reads their snapshots, and then stops reading.
async fn stalled(shop: &Shop, subject: &Subject, delivery: DeliveryMode) -> Vec<Watch> {
    let connection = Connection::narrow(shop.address, &shop.admin_key, WINDOW).await;
    let mut watches = Vec::new();
    for way in subject.kind.ways() {
        let watch = subject
            .watch(&connection, *way, options(delivery, ""))
            .await;
        let mut watch = watch.expect("a stream");
        watch.snapshot().await;
        watches.push(watch);
    }
    watches
}

/// Writes many times and returns the versions before and after.
async fn written(shop: &Shop, subject: &Subject) -> (i64, i64) {
    let before = subject.read(&Connection::of(shop)).await.unwrap();
    let mut last = before;
    for _ in 0..WRITES {
        last = subject.write(shop).await.0;
    }
    assert_eq!(last, before + WRITES, "each write is a version");
    (before, last)
}

/// Returns how many versions a stream has sent, including those that it only counts.
fn counted(watch: &Watch) -> i64 {
    let changes = watch.changes.iter();
    changes.map(|change| 1 + i64::from(change.conflated)).sum()
}

on_both_engines! {
    /// G3.
    async fn a_stalled_reader_of_the_latest_gets_the_last_version_and_the_number_of_the_rest(shop: Shop) {
        for subject in Subject::of_each_kind(&shop).await {
            let mut watches = stalled(&shop, &subject, DeliveryMode::Latest).await;

            let (before, last) = written(&shop, &subject).await;

            for watch in &mut watches {
                watch.until(last).await;
                assert_eq!(counted(watch), last - before, "{}", watch.what);
                let sent = watch.changes.len();
                assert!(sent < 100, "{}: it had to be behind, and received {sent}", watch.what);
            }
        }
    }

    /// G3, across a resume with the last token that was read.
    async fn a_stalled_reader_of_the_latest_gets_the_last_version_after_a_resume(shop: Shop) {
        for subject in Subject::of_each_kind(&shop).await {
            let watches = stalled(&shop, &subject, DeliveryMode::Latest).await;

            let (before, last) = written(&shop, &subject).await;

            for (watch, way) in watches.into_iter().zip(subject.kind.ways()) {
                let resumed = options(DeliveryMode::Latest, &watch.token);
                drop(watch);
                let resumed = subject.watch(&Connection::of(&shop), *way, resumed).await;
                let mut resumed = resumed.unwrap();
                resumed.until(last).await;
                // Versions known at the token may be sent again.
                let sent = counted(&resumed);
                assert!((last - before..=last).contains(&sent), "{}: {sent}", resumed.what);
            }
        }
    }

    /// G4.
    async fn a_stalled_reader_of_every_version_gets_each_of_them(shop: Shop) {
        for subject in Subject::of_each_kind(&shop).await {
            let mut watches = stalled(&shop, &subject, DeliveryMode::Every).await;

            let (before, last) = written(&shop, &subject).await;

            for watch in &mut watches {
                watch.until(last).await;
                let sent = watch.changes.iter().map(|change| (change.version, change.conflated));
                let each = (before + 1..=last).map(|version| (version, 0));
                assert!(sent.eq(each), "{}: {:?}", watch.what, watch.changes);
            }
        }
    }
}
