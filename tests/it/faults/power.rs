//! Tests that acknowledged writes survive a power cut, also after a failed flush.

use clientela::store::DATABASE_FILE;

use super::disk::{add_line, list};
use super::failing_disk::{FailingDisk, Fault};
use super::process::{Serve, Server};
use super::recovers;

/// Returns the lines that a server finds after a power cut.
async fn lines_after_power_cut(disk: &FailingDisk) -> Vec<String> {
    let left = disk.after_power_cut();
    assert!(left.path().join(DATABASE_FILE).exists());
    let serve = Serve::default().with(&["--log", "warn"]);
    let server = Server::start_in(serve, left.path().to_owned());
    let carts = list(&server.carts().await).await.unwrap();
    let items = carts.into_iter().flat_map(|cart| cart.items);
    items.map(|item| item.product).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_are_on_the_disk() {
    let disk = FailingDisk::start(&["--log", "off"]);
    let carts = disk.server.carts().await;
    for line in 0..5 {
        add_line(&carts, line).await.unwrap();
    }

    let lines = lines_after_power_cut(&disk).await;

    assert_eq!(lines, ["p0", "p1", "p2", "p3", "p4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_acknowledged_after_a_failed_flush_are_on_the_disk() {
    let disk = FailingDisk::start(&["--log", "off"]);
    let carts = disk.server.carts().await;
    add_line(&carts, 0).await.unwrap();
    disk.fail(Fault::Flush);
    add_line(&carts, 1).await.unwrap_err();
    disk.heal();

    recovers("the write", || add_line(&carts, 2)).await;
    recovers("the write", || add_line(&carts, 3)).await;

    let lines = lines_after_power_cut(&disk).await;
    for line in ["p0", "p2", "p3"] {
        assert!(
            lines.contains(&line.to_owned()),
            "{line} is lost: {lines:?}"
        );
    }
}

/// The process ends in between. The next one finds data in the kernel's cache that never reached the disk,
/// and must not rely on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_acknowledged_by_the_next_process_after_a_failed_flush_are_on_the_disk() {
    let mut disk = FailingDisk::start(&["--log", "off"]);
    let carts = disk.server.carts().await;
    add_line(&carts, 0).await.unwrap();
    disk.fail(Fault::Flush);
    add_line(&carts, 1).await.unwrap_err();
    disk.server.kill();
    disk.heal();

    disk.server.start_again();
    let carts = disk.server.carts().await;
    add_line(&carts, 2).await.unwrap();
    add_line(&carts, 3).await.unwrap();

    let lines = lines_after_power_cut(&disk).await;
    for line in ["p0", "p2", "p3"] {
        assert!(
            lines.contains(&line.to_owned()),
            "{line} is lost: {lines:?}"
        );
    }
}
