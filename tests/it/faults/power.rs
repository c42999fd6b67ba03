//! What was acknowledged survives a power cut, also when a flush had failed before.

use clientela::store::DATABASE_FILE;

use super::comes_back;
use super::disk::{add_line, list};
use super::failing_disk::{FailingDisk, Fault};
use super::process::{Serve, Server};

/// The lines that a server finds on what a power cut left.
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
async fn what_was_acknowledged_is_on_the_disk() {
    let disk = FailingDisk::start(&["--log", "off"]);
    let carts = disk.server.carts().await;
    for line in 0..5 {
        add_line(&carts, line).await.unwrap();
    }

    let lines = lines_after_power_cut(&disk).await;

    assert_eq!(lines, ["p0", "p1", "p2", "p3", "p4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_after_a_failed_flush_is_on_the_disk() {
    let disk = FailingDisk::start(&["--log", "off"]);
    let carts = disk.server.carts().await;
    add_line(&carts, 0).await.unwrap();
    disk.fail(Fault::Flush);
    add_line(&carts, 1).await.unwrap_err();
    disk.heal();

    comes_back("the write", || add_line(&carts, 2)).await;
    comes_back("the write", || add_line(&carts, 3)).await;

    let lines = lines_after_power_cut(&disk).await;
    for line in ["p0", "p2", "p3"] {
        assert!(
            lines.contains(&line.to_owned()),
            "{line} is lost: {lines:?}"
        );
    }
}

/// The process ends in between: the next one finds in the system's cache what never reached the disk, and
/// must not build on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_by_the_process_after_one_whose_flush_failed_is_on_the_disk() {
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
