//! The program itself: its start time and its size.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::bench::{Bench, repeat};
use crate::table::{Row, Target};

const PROGRAM: &str = env!("CARGO_BIN_EXE_clientela");

/// The delay between two attempts to get an answer.
const PAUSE: Duration = Duration::from_millis(1);

pub async fn start(bench: &Bench) -> Vec<Row> {
    let rounds = repeat(async || time_to_first_answer(bench).await).await;
    let row = Row::new(
        "Start to first answer, empty store, SQLite",
        "ms",
        rounds.product,
        Target::AtMost(300.0),
    )
    .note("from the start of the process to a health check that says SERVING");
    vec![row]
}

async fn time_to_first_answer(bench: &Bench) -> f64 {
    let address = free_address();
    let started = Instant::now();
    let mut process = Command::new(PROGRAM)
        .arg("serve")
        .arg("--data-dir")
        .arg(bench.folder())
        .args(["--listen", &address.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program was built");
    while !is_serving(address).await {
        let ended = process.try_wait().expect("it is a process of ours");
        assert!(ended.is_none(), "the program ended: {ended:?}");
        tokio::time::sleep(PAUSE).await;
    }
    let millis = started.elapsed().as_secs_f64() * 1e3;
    process.kill().expect("it is a process of ours");
    process.wait().expect("it is a process of ours");
    millis
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
}

async fn is_serving(address: SocketAddr) -> bool {
    let endpoint = Channel::from_shared(format!("http://{address}"));
    let endpoint = endpoint.expect("an address makes a URL");
    let Ok(channel) = endpoint.connect().await else {
        return false;
    };
    let check = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    check.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

pub async fn size() -> Vec<Row> {
    let bytes = std::fs::metadata(PROGRAM)
        .expect("the program was built")
        .len();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let mebibytes = bytes as f64 / 1024.0 / 1024.0;
    vec![Row::new(
        "Release binary",
        "MiB",
        vec![mebibytes],
        Target::AtMost(30.0),
    )]
}
