//! Folds a watch of any kind of resource into the names that match.

use std::collections::BTreeSet;

use clientela::proto::pb::{ChangeKind, DeliveryMode, WatchOptions};
use futures::StreamExt as _;

use crate::harness::{Connection, PATIENCE};
use crate::specimens::{Change, Received, Rpcs as _, Signal, Specimen, Stream, Way};

/// Every version is sent. The stream checks the clock at each heartbeat, because moving a held clock
/// wakes no stream.
fn options() -> WatchOptions {
    WatchOptions {
        delivery_mode: DeliveryMode::Every.into(),
        heartbeat_interval: Some(prost_types::Duration {
            seconds: 1,
            nanos: 0,
        }),
        ..Default::default()
    }
}

/// A stream, and the names that match according to it.
pub(super) struct Follower {
    filter: String,
    stream: Stream,
    pub(super) known: BTreeSet<String>,
    in_snapshot: bool,
}

impl Follower {
    /// Opens a watch and reads its snapshot.
    pub(super) async fn open<S: Specimen>(
        specimen: &S,
        connection: &Connection,
        filter: String,
    ) -> Self {
        let stream = specimen
            .watch(connection, Way::Filter, &filter, options())
            .await;
        let stream = stream.unwrap_or_else(|refused| panic!("{filter}: {refused:?}"));
        let mut follower = Self {
            filter,
            stream,
            known: BTreeSet::new(),
            in_snapshot: true,
        };
        while follower.in_snapshot {
            follower.next().await;
        }
        follower
    }

    /// Reads until a change of this resource arrives.
    pub(super) async fn until_received(&mut self, name: &str) {
        while !self.next().await.iter().any(|received| received == name) {}
    }

    /// Reads until exactly these names match.
    pub(super) async fn until(&mut self, expected: &BTreeSet<String>) {
        while self.known != *expected {
            let what = || {
                format!(
                    "{:?} instead of {expected:?} for\n{}",
                    self.known, self.filter
                )
            };
            let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            let next = next.unwrap_or_else(|_| panic!("still {}", what()));
            self.fold(
                next.expect("the watch stays open")
                    .expect("the watch does not fail"),
            );
        }
    }

    /// Reads the next message and returns the names of its changes.
    async fn next(&mut self) -> Vec<String> {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let next = next.unwrap_or_else(|_| panic!("no message arrives for\n{}", self.filter));
        self.fold(
            next.expect("the watch stays open")
                .expect("the watch does not fail"),
        )
    }

    fn fold(&mut self, received: Received) -> Vec<String> {
        let mut names = Vec::new();
        for Change { name, kind, .. } in received.changes {
            match kind {
                ChangeKind::Upserted => {
                    self.known.insert(name.clone());
                }
                ChangeKind::Deleted | ChangeKind::LeftFilter => {
                    self.known.remove(&name);
                }
                ChangeKind::Unspecified => panic!("a change has a kind"),
            }
            names.push(name);
        }
        if received.signal == Some(Signal::End) {
            self.in_snapshot = false;
        }
        names
    }
}
