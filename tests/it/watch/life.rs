//! G9, G12: a stream that has nothing to say says so, and one that has to go says where to resume.

use std::time::Duration;

use clientela::feed::FeedSettings;
use clientela::proto::pb::{ErrorReason, WatchOptions};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{add, every, visitor, with};
use crate::harness::{CartWatch, Engine, Seen, Setup, Shop, assert_refused};
use crate::on_both_engines;

on_both_engines! {
    /// G9. The interval is the shortest that may be asked for, and the message must have come within
    /// one and a half of it by the stream's own clock; here only its coming is waited for.
    async fn a_silent_stream_sends_heartbeats_with_a_token(shop: Shop) {
        let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let options = WatchOptions { heartbeat_interval, ..Default::default() };
        let mut watch = CartWatch::open(&mut shop.carts(), with(options)).await.unwrap();
        watch.snapshot().await;

        assert_eq!(watch.next().await.unwrap(), Seen::Heartbeat);
        assert!(!watch.token.is_empty());
    }

    /// G9: what does not concern a stream moves its token on all the same.
    async fn a_heartbeat_moves_the_token_past_what_was_filtered_out(shop: Shop) {
        let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let mut request = with(WatchOptions { heartbeat_interval, ..Default::default() });
        request.filter = "item_count > 100".into();
        let mut watch = CartWatch::open(&mut shop.carts(), request).await.unwrap();
        watch.snapshot().await;
        let before = watch.token.clone();

        add(&mut shop.carts(), &visitor("of no interest"), "a").await;

        watch.until("the token to move", |watch| watch.token != before).await;
        assert!(watch.changes.is_empty());
    }

    /// G12.
    async fn a_stopped_server_tells_its_streams_where_to_resume(shop: Shop) {
        let mut shop = shop;
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        add(&mut shop.carts(), &visitor("before the end"), "a").await;
        watch.until("the change", |watch| watch.changes.len() == 1).await;

        let (_, drained) = tokio::join!(shop.stop(), async {
            assert_eq!(watch.next().await.unwrap(), Seen::Draining);
            watch.next().await.unwrap_err()
        });

        assert_refused(&drained, Code::Unavailable, ErrorReason::Draining);
        let info = drained.get_details_error_info().unwrap();
        assert_eq!(info.metadata["resume_token"], watch.token);
        shop.start_again(Setup::default()).await;
        let mut resumed = watch.resume(&mut shop.carts(), every()).await.unwrap();
        add(&mut shop.carts(), &visitor("after the end"), "a").await;
        resumed.until("the change", |watch| watch.changes.len() == 1).await;
    }
}

/// G12: neither a stream that nobody reads nor an idle connection keeps the server from ending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_reader_and_an_idle_connection_do_not_hold_up_the_end() {
    let setup = Setup {
        drain_timeout: Duration::from_millis(500),
        ..Default::default()
    };
    let mut shop = Shop::start_with(Engine::Sqlite, setup).await;
    let idle = tokio::net::TcpStream::connect(shop.address).await.unwrap();
    let watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    for number in 0..200 {
        add(
            &mut shop.carts(),
            &visitor(&format!("number {number}")),
            "a",
        )
        .await;
    }

    shop.stop().await;

    drop((idle, watch));
}

/// Streams do not live for ever, so that they spread over servers that are new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_stream_is_asked_to_connect_again() {
    let feed = FeedSettings {
        stream_age: Duration::from_millis(300),
        ..Default::default()
    };
    let shop = Shop::start_with(
        Engine::Sqlite,
        Setup {
            feed,
            ..Default::default()
        },
    )
    .await;
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;

    assert_eq!(watch.next().await.unwrap(), Seen::Draining);
    let ended = watch.next().await.unwrap_err();

    assert_refused(&ended, Code::Unavailable, ErrorReason::Draining);
}
