//! Tests connections: silent ones are closed, their number is limited, and a process without free handles
//! waits for some.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use clientela::limits;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::faults::process::{Serve, Server};
use crate::harness::raw::Raw;
use crate::harness::{PATIENCE, Setup, Shop, eventually};
use crate::on_both_engines;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame and the beginning of a HEADERS frame.
const HALF_A_REQUEST: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 64, 1, 4, 0, 0, 0, 1, 0x83];
/// An empty SETTINGS frame and a HEADERS frame that requests `/monitor.js`.
const GET_THE_PAGE: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x15\x01\x05\0\0\0\x01\x82\x86\x04\x0b/monitor.js\x01\x04shop";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Waits until the server closes a connection.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // A reset connection is closed as well.
    let _ = ended.expect("the server closes the connection");
}

/// Waits until the server resets a connection of which nothing is read. A FIN would wait behind the unread
/// bytes.
async fn reset(stream: &TcpStream) {
    let error = eventually("a reset", async || stream.take_error().unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Opens a connection that stays open after an answer.
async fn answered(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let get = b"GET /none HTTP/1.1\r\nhost: shop\r\n\r\n";
    stream.write_all(get).await.ok()?;
    let mut line = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut line)).await;
    read.expect("an answer or an end").ok()?;
    assert_eq!(&line, b"HTTP/1.1 404");
    Some(stream)
}

fn short_request_time() -> Setup {
    Setup {
        server: |server| server.first_request_timeout = Duration::from_millis(500),
        ..Setup::default()
    }
}

fn three_of_an_address() -> Setup {
    Setup {
        server: |server| server.connections.per_address = Some(3),
        ..Setup::default()
    }
}

fn three_in_all() -> Setup {
    Setup {
        server: |server| server.connections.total = 3,
        ..Setup::default()
    }
}

fn short_read_time() -> Setup {
    Setup {
        server: |server| server.stall_timeout = Duration::from_millis(500),
        ..Setup::default()
    }
}

/// A server that soon sends keepalive pings on silent connections.
fn frequent_pings() -> Setup {
    Setup {
        keepalive: (Duration::from_millis(200), Duration::from_secs(3)),
        ..Setup::default()
    }
}

/// The test's own connection is one of three.
async fn two_more_and_no_third(shop: &Shop) {
    // The call makes sure that the connection is counted.
    shop.key(&[clientela::proto::pb::Role::Monitor]).await;
    let first = answered(shop.address).await.expect("the second connection");
    let _second = answered(shop.address).await.expect("the third connection");
    assert!(
        answered(shop.address).await.is_none(),
        "there is one too many"
    );

    drop(first);

    eventually("a free place", || answered(shop.address)).await;
}

on_both_engines! {
    async fn a_connection_without_a_request_is_closed(shop: Shop with short_request_time()) {
        let busy = Raw::connect(shop.address, 65_535).await;
        drop(busy.call(HEALTH, &[], vec![0; 5]).await.unwrap());
        for beginning in [b"".as_slice(), b"PRI *", PREFACE, &[PREFACE, HALF_A_REQUEST].concat(), b"POST / "] {
            let mut silent = TcpStream::connect(shop.address).await.unwrap();
            silent.write_all(beginning).await.unwrap();
            closed(silent).await;
        }

        // A connection with a call may be silent for longer than all those waits together.
        drop(busy.call(HEALTH, &[], vec![0; 5]).await.unwrap());
    }

    /// HTTP/1.1 has no pings, so only the unread bytes show that the client does not read.
    async fn a_connection_that_reads_none_of_its_answers_is_closed(shop: Shop with short_read_time()) {
        let get = b"GET /monitor.js HTTP/1.1\r\nhost: shop\r\n\r\n";
        let mut deaf = TcpStream::connect(shop.address).await.unwrap();
        // More bytes than the socket buffers of both ends hold.
        deaf.write_all(&get.repeat(64)).await.unwrap();

        reset(&deaf).await;
    }

    /// The kernel buffers the answer, so no write waits. Only the unanswered pings close the connection.
    async fn a_connection_that_answers_no_ping_is_closed(shop: Shop with frequent_pings()) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let mut mute = socket.connect(shop.address).await.unwrap();

        mute.write_all(&[PREFACE, GET_THE_PAGE].concat()).await.unwrap();

        reset(&mute).await;
    }

    async fn an_address_has_a_limit_of_connections(shop: Shop with three_of_an_address()) {
        two_more_and_no_third(&shop).await;
    }

    async fn a_process_has_a_limit_of_connections(shop: Shop with three_in_all()) {
        two_more_and_no_third(&shop).await;
    }
}

#[test]
fn a_silent_connection_has_ten_seconds() {
    let usual = clientela::server::ServerSettings::default();

    assert_eq!(usual.first_request_timeout, Duration::from_secs(10));
    assert_eq!(usual.connections.total, limits::CONNECTIONS_MAX);
}

/// The server logs once that handles are missing, and continues when there are some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_handles_waits_for_some() {
    let server = Server::start(Serve::default().with(&["--log", "warn"]));
    drop(answered(server.address()).await.expect("an answer"));
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id()))
        .unwrap()
        .count();
    let process = Pid::from_raw(i32::try_from(server.id()).unwrap());
    let few = Some(u64::try_from(open).unwrap() + 4);
    let limit = Rlimit {
        current: few,
        maximum: few,
    };
    prlimit(process, Resource::Nofile, limit).unwrap();

    let mut waiting = Vec::new();
    for _ in 0..40 {
        waiting.push(TcpStream::connect(server.address()).await.unwrap());
    }
    eventually("a warning", async || {
        server.log().contains("cannot be accepted").then_some(())
    })
    .await;
    assert_eq!(
        server.log().matches("cannot be accepted").count(),
        1,
        "{}",
        server.log()
    );

    drop(waiting);
    answered(server.address())
        .await
        .expect("an answer, once there are handles again");
}
