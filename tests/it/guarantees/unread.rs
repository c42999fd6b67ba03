//! A client that is there and does not read: its streams are given up by the server, which needs no word
//! of the client's for that, and their places are free again.

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

/// The answer to a method of the cart service as bytes, of which no more come than is asked for.
async fn raw(shop: &Shop, method: &str, request: &impl prost::Message) -> RecvStream {
    let raw = Raw::connect(shop.address, 8).await;
    let method = format!("/clientela.v1.CartService/{method}");
    raw.open(&shop.admin_key, &method, request).await
}

on_both_engines! {
    /// And who comes back is told from which token to go on, and loses nothing by that.
    async fn a_stream_that_is_never_read_is_given_up(shop: Shop with Setup::held()) {
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
                assert!(Instant::now() < deadline, "streams that nobody reads go on");
                last = subject.write(&shop).await.0;
                living.until(last).await;
                shop.clock.advance(limits::WATCH_STALLED_MAX / 10);
            }

            for (mut watch, way) in unread {
                let status = watch.end().await;
                assert_refused(&status, Code::ResourceExhausted, ErrorReason::SlowConsumer);
                let info = status.get_details_error_info().unwrap();
                let places = Places::of(shop.store(), "default");
                let told = places.place(&info.metadata["resume_token"]);
                assert_eq!(told, places.place(&watch.token), "{}", watch.what);
                let resumed = subject.watch(&Connection::of(&shop), way, every(&watch.token)).await;
                let mut resumed = resumed.unwrap();
                resumed.until(last).await;
                // What is known may come again.
                let told: BTreeSet<i64> = [watch.changes, resumed.changes].concat().iter()
                    .map(|change| change.version)
                    .filter(|version| *version > before)
                    .collect();
                assert!(told.iter().copied().eq(before + 1..=last), "{}: {told:?}", watch.what);
            }
            drop(living);
            eventually("the end of all", async || (shop.streams() == 0).then_some(())).await;
        }
    }

    /// The stream is read all the time, and never to the end of a message.
    async fn a_stream_that_is_read_a_byte_a_second_is_given_up(shop: Shop with Setup::held()) {
        let subjects = Subject::of_each_kind(&shop).await;
        let mut body = raw(&shop, "WatchCarts", &WatchCartsRequest::default()).await;
        let (mut read, mut released, mut seconds) = (0, 0, 0);
        let deadline = Instant::now() + PATIENCE;
        while shop.streams() > 0 {
            assert!(Instant::now() < deadline, "a stream that is hardly read goes on");
            subjects[0].write(&shop).await;
            if let Some(Some(bytes)) = body.data().now_or_never() {
                read += bytes.expect("the connection lives").len();
            }
            // What has come is taken a byte at a time: so much room there is for more.
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

    /// Figures are a stream beside the feed, with the same rule.
    async fn a_stream_of_figures_that_is_never_read_is_given_up(shop: Shop with Setup::held()) {
        let subjects = Subject::of_each_kind(&shop).await;
        let body = raw(&shop, "WatchCartFigures", &WatchCartFiguresRequest::default()).await;
        // The other is that by which the server keeps the figures while somebody watches them.
        eventually("both streams", async || (shop.streams() == 2).then_some(())).await;

        let deadline = Instant::now() + PATIENCE;
        let mut looks = 0;
        while shop.streams() > 0 {
            assert!(Instant::now() < deadline, "figures that nobody reads go on");
            subjects[0].write(&shop).await;
            shop.clock.advance(limits::WATCH_STALLED_MAX / 10);
            looks += 1;
        }

        assert!(looks >= 10, "not before its time: {looks}");
        // The client has been there all the time.
        drop(body);
    }

    /// Whatever the streams of a key are of, together they are so many.
    async fn one_stream_more_than_a_key_may_have_is_refused(shop: Shop) {
        let subjects = Subject::of_each_kind(&shop).await;
        let sorts: Vec<_> = subjects.iter()
            .flat_map(|subject| subject.kind.ways().iter().map(move |way| (subject, *way)))
            .collect();
        let mut open = Vec::new();
        let mut connection = Connection::of(&shop);
        for number in 0..limits::WATCH_STREAMS_PER_KEY_MAX {
            // A connection takes fewer than a key may have.
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
        assert!(others.is_ok(), "another key has its own");
        drop(open.pop());
        eventually("the place of the stream that went", async || {
            subject.watch(&Connection::of(&shop), way, WatchOptions::default()).await.ok()
        })
        .await;
    }
}
