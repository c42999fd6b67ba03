//! G3 and G4, for a reader that does not keep up: with LATEST versions may be left out, but never the last,
//! and they are counted; with EVERY none is.

use clientela::proto::pb::{DeliveryMode, WatchOptions};

use super::watched::{Connection, Subject, Watch};
use crate::harness::Shop;
use crate::on_both_engines;

/// More than an inbox keeps, so that the reader has to be given the rest from the log.
const WRITES: i64 = 300;
/// What a reader takes unread: a message or two.
const WINDOW: u32 = 1024;

fn options(delivery: DeliveryMode, resume_token: &str) -> WatchOptions {
    WatchOptions {
        delivery_mode: delivery.into(),
        resume_token: resume_token.to_owned(),
        ..Default::default()
    }
}

/// Watches of every sort that are behind their snapshot, and are not read after it.
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

/// The present version, and the one after many writes.
async fn written(shop: &Shop, subject: &Subject) -> (i64, i64) {
    let before = subject.read(&Connection::of(shop)).await.unwrap();
    let mut last = before;
    for _ in 0..WRITES {
        last = subject.write(shop).await.0;
    }
    assert_eq!(last, before + WRITES, "each write is a version");
    (before, last)
}

/// How many versions a stream has told of, those that it counts only among them.
fn counted(watch: &Watch) -> i64 {
    let changes = watch.changes.iter();
    changes.map(|change| 1 + i64::from(change.conflated)).sum()
}

on_both_engines! {
    /// G3.
    async fn a_reader_of_the_latest_that_stalls_gets_the_last_and_the_number_of_the_rest(shop: Shop) {
        for subject in Subject::of_each_kind(&shop).await {
            let mut watches = stalled(&shop, &subject, DeliveryMode::Latest).await;

            let (before, last) = written(&shop, &subject).await;

            for watch in &mut watches {
                watch.until(last).await;
                assert_eq!(counted(watch), last - before, "{}", watch.what);
                let told = watch.changes.len();
                assert!(told < 100, "{}: it was to be behind, and was told {told}", watch.what);
            }
        }
    }

    /// G3, across a resume: from the last token that was read.
    async fn a_reader_of_the_latest_that_stalls_and_resumes_gets_the_last(shop: Shop) {
        for subject in Subject::of_each_kind(&shop).await {
            let watches = stalled(&shop, &subject, DeliveryMode::Latest).await;

            let (before, last) = written(&shop, &subject).await;

            for (watch, way) in watches.into_iter().zip(subject.kind.ways()) {
                let resumed = options(DeliveryMode::Latest, &watch.token);
                drop(watch);
                let resumed = subject.watch(&Connection::of(&shop), *way, resumed).await;
                let mut resumed = resumed.unwrap();
                resumed.until(last).await;
                // What was known at the token may come again.
                let told = counted(&resumed);
                assert!((last - before..=last).contains(&told), "{}: {told}", resumed.what);
            }
        }
    }

    /// G4.
    async fn a_reader_of_every_version_that_stalls_gets_each_of_them(shop: Shop) {
        for subject in Subject::of_each_kind(&shop).await {
            let mut watches = stalled(&shop, &subject, DeliveryMode::Every).await;

            let (before, last) = written(&shop, &subject).await;

            for watch in &mut watches {
                watch.until(last).await;
                let told = watch.changes.iter().map(|change| (change.version, change.conflated));
                let each = (before + 1..=last).map(|version| (version, 0));
                assert!(told.eq(each), "{}: {:?}", watch.what, watch.changes);
            }
        }
    }
}
