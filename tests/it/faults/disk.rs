//! Tests a disk that is full or fails. Every affected write is refused, reads continue, and writes recover by
//! themselves, each applied once.

use clientela::proto::pb::{self, AddItemRequest, ErrorReason, ListCartsRequest};
use futures::future::join_all;
use tonic::{Code, Status};

use super::failing_disk::{FailingDisk, Fault};
use super::{assert_passing, recovers};
use crate::harness::Transport;
use crate::watch::{item, visitor};
use clientela::proto::pb::cart_service_client::CartServiceClient;

type Carts = CartServiceClient<Transport>;

/// Concurrent writes, which share transactions.
const TOGETHER: usize = 30;

pub async fn add_line(carts: &Carts, line: usize) -> Result<pb::Cart, Status> {
    let request = AddItemRequest {
        target: Some(visitor("of the failing disk")),
        item: Some(item(&format!("p{line}"), 1)),
        request_id: format!("line {line}"),
        ..Default::default()
    };
    Ok(carts.clone().add_item(request).await?.into_inner())
}

pub async fn list(carts: &Carts) -> Result<Vec<pb::Cart>, Status> {
    let request = ListCartsRequest::default();
    Ok(carts.clone().list_carts(request).await?.into_inner().carts)
}

/// Asserts that a write refused during the fault is applied once after it.
async fn fails_and_recovers(fault: Fault, code: Code, reason: ErrorReason) {
    let disk = FailingDisk::start(&["--log", "off"]);
    let carts = disk.server.carts().await;
    add_line(&carts, 0).await.expect("the disk works");

    disk.fail(fault);
    for _ in 0..2 {
        let refused = join_all((1..=TOGETHER).map(|line| add_line(&carts, line))).await;
        for outcome in refused {
            assert_passing(&outcome.expect_err("the disk fails"), code, reason);
        }
        let there = list(&carts).await.expect("reads continue");
        assert_eq!(there[0].item_count, 1);
    }
    disk.heal();

    for line in 1..=TOGETHER {
        recovers("the write", || add_line(&carts, line)).await;
    }
    let there = list(&carts).await.expect("reads continue");
    assert_eq!(there[0].item_count, 1 + TOGETHER as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_every_write_and_recovers() {
    fails_and_recovers(
        Fault::Full,
        Code::ResourceExhausted,
        ErrorReason::StorageFull,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_cannot_write_refuses_every_write_and_recovers() {
    let reason = ErrorReason::DatabaseUnavailable;
    fails_and_recovers(Fault::Write, Code::Unavailable, reason).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_cannot_flush_refuses_every_write_and_recovers() {
    let reason = ErrorReason::DatabaseUnavailable;
    fails_and_recovers(Fault::Flush, Code::Unavailable, reason).await;
}

/// The server is killed with a log that is not checkpointed, and starts again on a full disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_on_a_full_disk_serves_reads() {
    let mut disk = FailingDisk::start(&["--log", "off"]);
    add_line(&disk.server.carts().await, 0).await.unwrap();
    disk.server.kill();
    disk.fail(Fault::Full);

    disk.server.start_again();

    let carts = disk.server.carts().await;
    assert_eq!(
        list(&carts).await.expect("reads are served")[0].item_count,
        1
    );
    let refused = add_line(&carts, 1).await.expect_err("the disk is full");
    assert_passing(&refused, Code::ResourceExhausted, ErrorReason::StorageFull);
    disk.heal();
    recovers("the write", || add_line(&carts, 1)).await;
    assert_eq!(list(&carts).await.unwrap()[0].item_count, 2);
}
