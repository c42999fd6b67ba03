//! G12: a stream that the server ends gives a token to resume.

use std::time::Duration;

use clientela::feed::FeedSettings;
use clientela::proto::pb::ErrorReason;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{add, every, visitor};
use crate::harness::{CartWatch, Engine, Places, Seen, Setup, Shop, assert_refused};
use crate::on_both_engines;

on_both_engines! {
    /// G12.
    async fn a_stopped_server_gives_its_streams_a_token_to_resume(shop: Shop) {
        let mut shop = shop;
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        add(&mut shop.carts(), &visitor("before the end"), "a").await;
        watch.until("the change", |watch| watch.changes.len() == 1).await;

        let places = Places::of(shop.store(), "default");
        let (_, drained) = tokio::join!(shop.stop(), async {
            assert_eq!(watch.next().await.unwrap(), Seen::Draining);
            watch.next().await.unwrap_err()
        });

        assert_refused(&drained, Code::Unavailable, ErrorReason::Draining);
        let info = drained.get_details_error_info().unwrap();
        let resumable = places.place(&info.metadata["resume_token"]);
        assert_eq!(resumable, places.place(&watch.token));
        shop.start_again(Setup::default()).await;
        let mut resumed = watch.resume(&mut shop.carts(), every()).await.unwrap();
        add(&mut shop.carts(), &visitor("after the end"), "a").await;
        resumed.until("the change", |watch| watch.changes.len() == 1).await;
    }
}

/// G12: neither a stream without a reader nor an idle connection keeps the server from ending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_reader_and_an_idle_connection_do_not_delay_the_end() {
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

/// Streams end at a maximal age, so that clients spread over new servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_stream_is_asked_to_reconnect() {
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

    // The snapshot of an empty shop may or may not have come by then.
    while watch.next().await.unwrap() != Seen::Draining {}
    let ended = watch.next().await.unwrap_err();

    assert_refused(&ended, Code::Unavailable, ErrorReason::Draining);
}
