//! G14: the server holds little memory for each unread stream, and not the changes that it missed. It
//! also does not hold the resources that the clock will make match a filter. The server is a process of
//! its own, so that its memory can be measured.

use clientela::proto::pb::{
    self, AddItemRequest, DeliveryMode, Role, WatchOptions,
    admin_service_client::AdminServiceClient,
};

use super::watched::{Connection, Subject, Way};
use crate::faults::process::{Serve, Server};
use crate::harness::postgres;
use crate::specimens::{Carts, Specimen as _};
use crate::watch::{item, visitor};

/// Unread streams. Each quarter has a key of its own.
const STREAMS: usize = 2_000;
const STREAMS_PER_KEY: usize = 500;
const STREAMS_PER_CONNECTION: usize = 250;
/// The number of writes to the watched cart, and of its lines.
const WRITES: usize = 200;
const LINES: usize = 40;
/// The smallest size of a version of that cart on the wire.
const CART_BYTES: usize = 10 * 1024;
/// The limit of the growth: for each stream two messages, each of at most 256 KiB and a cart. The missed
/// changes are several times larger.
const GROWTH_MAX: usize = STREAMS * 2 * 300 * 1024;
const _: () = assert!(STREAMS * WRITES * CART_BYTES > 3 * GROWTH_MAX);

/// Large carts that will match later, and the streams that will send them.
const WAITING: usize = 40;
const WAITING_BYTES: usize = 180 * 1024;
const WAITERS: usize = 20;
/// The limit of the growth for all of them. A copy of the carts for each stream would be larger.
const WAITERS_GROWTH_MAX: usize = 100 * 1024 * 1024;
const _: () = assert!(WAITING * WAITING_BYTES * WAITERS > WAITERS_GROWTH_MAX * 5 / 4);

const OWNER: &str = "the owner of the watched cart";

/// Returns the resident memory of a process in bytes.
fn resident(process: u32) -> usize {
    let status =
        std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: usize = number.expect("a size").parse().expect("a number");
    kibibytes * 1024
}

/// Creates a key that may watch.
async fn key(server: &Server) -> String {
    let channel = server.connect().await;
    let mut admin = AdminServiceClient::with_interceptor(channel, server.keyed());
    let api_key = pb::ApiKey {
        roles: vec![Role::Support.into()],
        ..Default::default()
    };
    let request = pb::CreateApiKeyRequest {
        api_key: Some(api_key),
        ..Default::default()
    };
    let made = admin.create_api_key(request).await.expect("a key");
    made.into_inner().secret
}

/// Adds a line to the watched cart.
async fn add(server: &Server, line: usize) -> pb::Cart {
    let request = AddItemRequest {
        target: Some(visitor(OWNER)),
        item: Some(pb::ItemInput {
            display_name: "x".repeat(250),
            ..item(&format!("p{line}"), 1)
        }),
        ..Default::default()
    };
    let mut carts = server.carts().await;
    carts
        .add_item(request)
        .await
        .expect("the line is added")
        .into_inner()
}

async fn two_thousand_streams_that_nobody_reads(serve: Serve) {
    let server = Server::start(serve);
    let mut name = String::new();
    for line in 0..LINES {
        name = add(&server, line).await.name;
    }
    let subject = Subject::cart(&name, OWNER);
    let before = resident(server.id());
    let mut unread = Vec::new();
    let mut secret = String::new();
    let mut connection = None;
    for number in 0..STREAMS {
        if number % STREAMS_PER_KEY == 0 {
            secret = key(&server).await;
        }
        if number % STREAMS_PER_CONNECTION == 0 {
            connection = Some(Connection::narrow(server.address(), &secret, 1024).await);
        }
        let delivery = [DeliveryMode::Latest, DeliveryMode::Every][number % 2];
        let options = WatchOptions {
            delivery_mode: delivery.into(),
            skip_snapshot: true,
            ..Default::default()
        };
        let ways = Carts.ways();
        let way = ways[number / 2 % ways.len()];
        let connection = connection
            .as_ref()
            .expect("the first stream opened a connection");
        unread.push(
            subject
                .watch(connection, way, options)
                .await
                .expect("a stream"),
        );
    }

    let mut most = 0;
    for write in 0..WRITES {
        let cart = add(&server, write % LINES).await;
        let bytes = prost::Message::encoded_len(&cart);
        assert!(bytes > CART_BYTES, "the cart is too small: {bytes}");
        most = most.max(resident(server.id()));
    }

    let growth = most.saturating_sub(before);
    assert!(growth < GROWTH_MAX, "the server grew by {growth} bytes");
    assert_eq!(unread.len(), STREAMS);
}

/// Creates a cart near the limit of its size.
async fn make_large(server: &Server, number: usize) -> pb::Cart {
    let note = prost_types::Value::from("x".repeat(WAITING_BYTES / 100));
    let attributes = prost_types::Struct {
        fields: [("note".to_owned(), note)].into(),
    };
    let adds = (0..100).map(|line| pb::CartEdit {
        edit: Some(pb::cart_edit::Edit::Add(pb::ItemInput {
            attributes: Some(attributes.clone()),
            ..item(&format!("p{line}"), 1)
        })),
    });
    let request = pb::EditCartRequest {
        target: Some(visitor(&format!("large {number}"))),
        edits: adds.collect(),
        ..Default::default()
    };
    let mut carts = server.carts().await;
    carts.edit_cart(request).await.expect("edits").into_inner()
}

async fn streams_of_large_carts_that_wait_for_their_time(serve: Serve) {
    let server = Server::start(serve);
    for number in 0..WAITING {
        let cart = make_large(&server, number).await;
        let bytes = prost::Message::encoded_len(&cart);
        assert!(bytes > WAITING_BYTES, "the cart is too small: {bytes}");
    }
    let cart = add(&server, 0).await;
    let subject = Subject::cart(&cart.name, OWNER);
    let secret = key(&server).await;
    let connection = Connection::narrow(server.address(), &secret, 64 * 1024).await;
    // The first read of all carts is not measured.
    let filter = "update_time < now - 30m";
    let mut first = subject
        .watch_filtered(&connection, Way::Filter, filter, WatchOptions::default())
        .await
        .expect("a stream");
    first.snapshot().await;
    let before = resident(server.id());
    let mut waiting = Vec::new();
    for _ in 0..WAITERS {
        let options = WatchOptions::default();
        let watch = subject.watch_filtered(&connection, Way::Filter, filter, options);
        let mut watch = watch.await.expect("a stream");
        watch.snapshot().await;
        waiting.push(watch);
    }

    let growth = resident(server.id()).saturating_sub(before);
    assert!(
        growth < WAITERS_GROWTH_MAX,
        "the server grew by {growth} bytes"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carts_that_match_later_take_little_memory_on_sqlite() {
    streams_of_large_carts_that_wait_for_their_time(Serve::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carts_that_match_later_take_little_memory_on_postgres() {
    let database = postgres::database().await;
    let serve = Serve::default().with(&["--database-url", &database.url]);
    streams_of_large_carts_that_wait_for_their_time(serve).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_streams_take_little_memory_on_sqlite() {
    two_thousand_streams_that_nobody_reads(Serve::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_streams_take_little_memory_on_postgres() {
    let database = postgres::database().await;
    let serve = Serve::default().with(&["--database-url", &database.url]);
    two_thousand_streams_that_nobody_reads(serve).await;
}
