//! A client that keeps writing through faults, and records the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clientela::proto::pb::{self, AddItemRequest};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::harness::{PATIENCE, Shop, eventually, reason};
use crate::watch::{item, visitor};

/// Lines added to one cart before the next is filled.
const LINES: usize = 50;

/// Adds one line after another, each with a request id, and repeats it until it is acknowledged.
pub struct Writer {
    acknowledged: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: JoinHandle<BTreeSet<(String, String)>>,
}

/// The answers that a writer received.
pub struct Written {
    /// The number of acknowledged lines.
    pub lines: usize,
    /// The codes and reasons of the refusals that asked for a retry.
    pub refusals: BTreeSet<(String, String)>,
}

impl Writer {
    pub fn start(shop: &Shop) -> Self {
        let (acknowledged, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let task = tokio::spawn(write(shop.carts(), Arc::clone(&acknowledged), stop.clone()));
        Self {
            acknowledged,
            stop,
            task,
        }
    }

    /// Waits until `more` further lines are acknowledged.
    pub async fn acknowledges(&self, more: usize) {
        let goal = self.acknowledged.load(Ordering::SeqCst) + more;
        eventually("acknowledged writes", || async {
            (self.acknowledged.load(Ordering::SeqCst) >= goal).then_some(())
        })
        .await;
    }

    /// Ends after the line in progress.
    pub async fn stop(self) -> Written {
        self.stop.cancel();
        let refusals = self.task.await.expect("the writer does not panic");
        let lines = self.acknowledged.load(Ordering::SeqCst);
        Written { lines, refusals }
    }
}

async fn write(
    mut client: pb::cart_service_client::CartServiceClient<crate::harness::Transport>,
    acknowledged: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> BTreeSet<(String, String)> {
    let mut refusals = BTreeSet::new();
    for line in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let request = AddItemRequest {
            target: Some(visitor(&format!("the writer {}", line / LINES))),
            item: Some(item(&product(line), 1)),
            request_id: format!("line {line}"),
            ..Default::default()
        };
        let deadline = Instant::now() + PATIENCE;
        while let Err(status) = client.add_item(request.clone()).await {
            let passes = [
                Code::Unavailable,
                Code::ResourceExhausted,
                Code::DeadlineExceeded,
            ];
            assert!(passes.contains(&status.code()), "{status:?}");
            assert!(
                Instant::now() < deadline,
                "line {line} is refused: {status:?}"
            );
            refusals.insert((format!("{:?}", status.code()), reason(&status)));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    refusals
}

fn product(line: usize) -> String {
    format!("p{line}")
}

impl Written {
    /// Asserts that every acknowledged line exists once, and no other.
    #[track_caller]
    pub fn assert_complete(&self, carts: &BTreeMap<String, pb::Cart>) {
        let items = carts.values().flat_map(|cart| &cart.items);
        let there: BTreeMap<&str, i32> = items
            .map(|item| (item.product.as_str(), item.quantity))
            .collect();
        for line in 0..self.lines {
            let quantity = there.get(product(line).as_str());
            assert_eq!(quantity, Some(&1), "line {line} of {}", self.lines);
        }
        assert_eq!(there.len(), self.lines);
    }
}
