//! Tests connected clients that do not read. The server closes their streams without their help, and the
//! streams no longer count.

use std::collections::BTreeSet;
use std::time::Duration;

use clientela::limits;
use clientela::proto::pb::{
    DeliveryMode, ErrorReason, WatchCartFiguresRequest, WatchCartsRequest, WatchOptions,
};
use futures::FutureExt as _;
use h2::RecvStream;
use tokio::time::Instant;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::watched::{Connection, Subject};
use crate::harness::raw::Raw;
use crate::harness::{PATIENCE, Places, Setup, Shop, assert_refused, eventually};
use crate::on_both_engines;

fn every(resume_token: &str) -> WatchOptions {
    WatchOptions {
        delivery_mode: DeliveryMode::Every.into(),
        resume_token: resume_token.to_owned(),
        ..Default::default()
    }
}

/// Returns the answer to a method of the cart service as bytes, which arrive only on request.
async fn raw(shop: &Shop, method: &str, request: &impl prost::Message) -> RecvStream {
    let raw = Raw::connect(shop.address, 8).await;
    let method = format!("/clientela.v1.CartService/{method}");
    raw.open(&shop.admin_key, &method, request).await
}

on_both_engines! {
    /// The reader gets a token to resume, and loses nothing.
    async fn an_unread_stream_is_closed(shop: Shop with Setup::held()) {
        for subject in Subject::of_each_kind(&shop).await {
            let narrow = Connection::narrow(shop.address, &shop.admin_key, 1024).await;
            let mut unread = Vec::new();
            for way in subject.kind.ways() {
                let mut watch = subject.watch(&narrow, *way, every("")).await.unwrap();
                watch.snapshot().await;
                unread.push((watch, *way));
            }
            let mut living = subject.watch(&Connection::of(&shop), unread[0].1, every("")).await.unwrap();
            living.snapshot().await;
            let before = subject.read(&Connection::of(&shop)).await.unwrap();
            assert_eq!(shop.streams(), 1 + unread.len());

            let mut last = before;
            let deadline = Instant::now() + PATIENCE;
            while shop.streams() > 1 {
                assert!(Instant::now() < deadline, "unread streams stay open");
                last = subject.write(&shop).await.0;
                living.until(last).await;
                shop.clock.advance(limits::WATCH_STALLED_MAX / 10);
            }

            for (mut watch, way) in unread {
                let status = watch.end().await;
                assert_refused(&status, Code::ResourceExhausted, ErrorReason::SlowConsumer);
                let info = status.get_details_error_info().unwrap();
                let places = Places::of(shop.store(), "default");
                let resumable = places.place(&info.metadata["resume_token"]);
                assert_eq!(resumable, places.place(&watch.token), "{}", watch.what);
                let resumed = subject.watch(&Connection::of(&shop), way, every(&watch.token)).await;
                let mut resumed = resumed.unwrap();
                resumed.until(last).await;
                // A known version may be sent again.
                let sent: BTreeSet<i64> = [watch.changes, resumed.changes].concat().iter()
                    .map(|change| change.version)
                    .filter(|version| *version > before)
                    .collect();
                assert!(sent.iter().copied().eq(before + 1..=last), "{}: {sent:?}", watch.what);
            }
            drop(living);
            eventually("the end of all", async || (shop.streams() == 0).then_some(())).await;
        }
    }

    /// The stream is read all the time, but never to the end of a message.
    async fn a_stream_read_at_a_byte_a_second_is_closed(shop: Shop with Setup::held()) {
        let subjects = Subject::of_each_kind(&shop).await;
        let mut body = raw(&shop, "WatchCarts", &WatchCartsRequest::default()).await;
        let (mut read, mut released, mut seconds) = (0, 0, 0);
        let deadline = Instant::now() + PATIENCE;
        while shop.streams() > 0 {
            assert!(Instant::now() < deadline, "a stream that is hardly read stays open");
            subjects[0].write(&shop).await;
            if let Some(Some(bytes)) = body.data().now_or_never() {
                read += bytes.expect("the connection is open").len();
            }
            // The window grows by one byte for each byte received.
            if released < read {
                released += 1;
                body.flow_control().release_capacity(1).unwrap();
            }
            seconds += 1;
            shop.clock.advance(Duration::from_secs(1));
        }

        assert!(read > 8, "it was read all the time: {read}");
        assert!(seconds > 30, "not before its time: {seconds}");
    }

    /// Figures are a stream outside the feed, with the same rule.
    async fn an_unread_stream_of_figures_is_closed(shop: Shop with Setup::held()) {
        let subjects = Subject::of_each_kind(&shop).await;
        let body = raw(&shop, "WatchCartFigures", &WatchCartFiguresRequest::default()).await;
        // The other stream is the server's own, which computes the figures while they are watched.
        eventually("both streams", async || (shop.streams() == 2).then_some(())).await;

        let deadline = Instant::now() + PATIENCE;
        let mut looks = 0;
        while shop.streams() > 0 {
            assert!(Instant::now() < deadline, "unread figures stay open");
            subjects[0].write(&shop).await;
            shop.clock.advance(limits::WATCH_STALLED_MAX / 10);
            looks += 1;
        }

        assert!(looks >= 10, "not before its time: {looks}");
        // The client was connected all the time.
        drop(body);
    }

    /// The limit counts the streams of a key of all kinds together.
    async fn one_stream_more_than_a_key_may_have_is_refused(shop: Shop) {
        let subjects = Subject::of_each_kind(&shop).await;
        let sorts: Vec<_> = subjects.iter()
            .flat_map(|subject| subject.kind.ways().iter().map(move |way| (subject, *way)))
            .collect();
        let mut open = Vec::new();
        let mut connection = Connection::of(&shop);
        for number in 0..limits::WATCH_STREAMS_PER_KEY_MAX {
            // A connection may have fewer streams than a key.
            if number % 200 == 0 {
                connection = Connection::narrow(shop.address, &shop.admin_key, 64 * 1024).await;
            }
            let (subject, way) = sorts[number % sorts.len()];
            open.push(subject.watch(&connection, way, WatchOptions::default()).await.unwrap());
        }

        for (subject, way) in &sorts {
            let refused = subject.watch(&Connection::of(&shop), *way, WatchOptions::default()).await;
            let refused = refused.err().unwrap();
            assert_refused(&refused, Code::ResourceExhausted, ErrorReason::TooManyStreams);
            let info = refused.get_details_error_info().unwrap();
            assert_eq!(info.metadata["limit"], "500");
        }

        let other = shop.key(&[clientela::proto::pb::Role::Support]).await;
        let (subject, way) = sorts[0];
        let others = subject.watch(&Connection::with_key(&shop, &other), way, WatchOptions::default()).await;
        assert!(others.is_ok(), "another key has its own limit");
        drop(open.pop());
        eventually("the place of the ended stream", async || {
            subject.watch(&Connection::of(&shop), way, WatchOptions::default()).await.ok()
        })
        .await;
    }
}
