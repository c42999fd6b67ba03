//! Tests the shutdown: calls in progress are finished, later calls are refused, and nothing delays the end
//! without limit.

use std::error::Error as _;
use std::time::Duration;

use clientela::proto::pb::cart_service_client::CartServiceClient;
use clientela::proto::pb::{self, AddItemRequest, ErrorReason};
use clientela::store::DATABASE_FILE;
use sqlx::{Connection as _, SqliteConnection};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::database_silent::database_behind_a_proxy;
use super::disk::{add_line, list};
use super::process::{Serve, Server};
use crate::harness::{CartWatch, PATIENCE, Seen, Setup, Shop, assert_refused, eventually};
use crate::watch::{every, item, visitor};

fn serve(drain_timeout: &str) -> Serve {
    Serve::default().with(&["--log", "info", "--drain-timeout", drain_timeout])
}

/// Opens a connection that keeps every write of the embedded store waiting.
async fn lock_writes(server: &Server) -> SqliteConnection {
    let file = server.data_dir().join(DATABASE_FILE);
    let mut other = SqliteConnection::connect(file.to_str().unwrap())
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_progress_are_answered_and_later_ones_refused() {
    let mut server = Server::start(serve("60"));
    let carts = server.carts().await;
    let mut watch = CartWatch::open(&mut carts.clone(), every()).await.unwrap();
    watch.snapshot().await;
    let other = lock_writes(&server).await;
    let under_way = tokio::spawn({
        let carts = carts.clone();
        async move { add_line(&carts, 1).await }
    });
    // A read sent after the write on its connection is answered, so the write has arrived as well.
    list(&carts).await.unwrap();

    server.ask_to_stop();

    assert_eq!(watch.next().await.unwrap(), Seen::Draining);
    let drained = watch.next().await.unwrap_err();
    assert_refused(&drained, Code::Unavailable, ErrorReason::Draining);
    eventually("the refusal of later calls", || async {
        let late = list(&carts).await.err()?;
        // If the old connection did not take a call any more, tonic says that it was never sent.
        assert!(late.source().is_some(), "refused by the server: {late:?}");
        (late.code() == Code::Unavailable).then_some(())
    })
    .await;
    assert!(!under_way.is_finished());
    drop(other);
    let cart = under_way.await.unwrap().expect("it was in progress");
    assert_eq!(cart.item_count, 1);
    assert!(server.ended().await.success());

    server.start_again();
    let carts = list(&server.carts().await).await.unwrap();
    assert_eq!(carts, [cart]);
}

/// Fills carts until a watch of all of them exceeds the receive window of a reader.
async fn fill(server: &Server) {
    let mut carts = server.carts().await;
    for number in 0..10 {
        let items = (0..100).map(|line| pb::ItemInput {
            display_name: "x".repeat(200),
            ..item(&format!("p{line}"), 1)
        });
        let request = pb::CreateCartRequest {
            owner: match visitor(&format!("number {number}")).target {
                Some(pb::cart_target::Target::Owner(owner)) => Some(owner),
                _ => None,
            },
            items: items.collect(),
            ..Default::default()
        };
        carts.create_cart(request).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_reader_does_not_delay_the_end() {
    let mut server = Server::start(serve("1"));
    fill(&server).await;
    let url = format!("http://{}", server.address());
    let narrow = tonic::transport::Endpoint::from_shared(url).unwrap();
    let narrow = narrow.initial_stream_window_size(64 * 1024);
    let narrow = narrow.connect().await.unwrap();
    let mut carts = CartServiceClient::with_interceptor(narrow, server.keyed());
    let stalled = carts.watch_carts(every()).await.unwrap();
    let idle = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();

    server.ask_to_stop();

    assert!(
        server.ended().await.success(),
        "the exit code of a clean shutdown"
    );
    drop((stalled, idle));
}

/// A watch of the health of a server reports its end, and does not delay it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_the_health_reports_the_end_and_does_not_delay_it() {
    let mut server = Server::start(serve("60"));
    let mut health = HealthClient::new(server.connect().await);
    let service = "clientela.v1.CartService".to_owned();
    let watch = health.watch(HealthCheckRequest { service }).await.unwrap();
    let mut watch = watch.into_inner();
    let mut next = async || -> Result<Option<ServingStatus>, Status> {
        let message = tokio::time::timeout(PATIENCE, watch.message());
        let message = message.await.expect("the watch sends a message")?;
        Ok(message.map(|message| message.status()))
    };
    while next().await.unwrap() != Some(ServingStatus::Serving) {}

    server.ask_to_stop();

    while let Ok(Some(status)) = next().await {
        assert_ne!(status, ServingStatus::Serving);
    }
    assert!(server.ended().await.success());
    let cut = "connections were still open at the drain limit and are cut";
    assert!(!server.log().contains(cut), "{}", server.log());
}

/// A write waits for a silent database. The shutdown cancels it with everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_database_does_not_delay_the_end() {
    let (_cluster, proxy, url) = database_behind_a_proxy().await;
    let setup = Setup {
        drain_timeout: Duration::from_millis(100),
        closing_timeout: Duration::from_millis(100),
        // Only the shutdown can cancel the write.
        store: |store| {
            store.acquire_timeout = Duration::from_secs(3600);
            store.silence_limit = Duration::from_secs(3600);
        },
        ..Default::default()
    };
    let mut shop = Shop::start_on(url, setup).await;
    super::write(&shop).await.unwrap();
    proxy.silence();
    let request = AddItemRequest {
        target: Some(visitor("of a silent database")),
        item: Some(item("never", 1)),
        ..Default::default()
    };
    let mut request = tonic::Request::new(request);
    request.set_timeout(Duration::from_millis(200));
    let waited = shop.carts().add_item(request).await.unwrap_err();
    // Client and server both watch the deadline, and either may report it first.
    let given_up = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(given_up.contains(&waited.code()), "{waited:?}");

    // The test waits for the end of the server, and would time out before these limits.
    shop.stop().await;
}
