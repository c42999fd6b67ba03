//! A watch of any sort of resource, folded into the names that it has told and not taken back.

use std::collections::BTreeSet;

use clientela::proto::pb::{ChangeKind, DeliveryMode, WatchOptions};
use futures::StreamExt as _;

use crate::harness::{Connection, PATIENCE};
use crate::specimens::{Change, Rpcs as _, Signal, Specimen, Stream, Told, Way};

/// How these tests watch: every version, and with a look at the clock each second at the latest, as a
/// clock that is held does not say when it is moved.
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

/// A stream and what it has told.
pub(super) struct Follower {
    filter: String,
    stream: Stream,
    pub(super) known: BTreeSet<String>,
    in_snapshot: bool,
}

impl Follower {
    /// A watch behind its snapshot.
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

    /// Reads on until a change of this one was told.
    pub(super) async fn until_told(&mut self, name: &str) {
        while !self.next().await.iter().any(|told| told == name) {}
    }

    /// Reads on until exactly these are known.
    pub(super) async fn until(&mut self, expected: &BTreeSet<String>) {
        while self.known != *expected {
            let what = || {
                format!(
                    "{:?} to become {expected:?} for\n{}",
                    self.known, self.filter
                )
            };
            let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            let next = next.unwrap_or_else(|_| panic!("waited for {}", what()));
            self.fold(
                next.expect("a watch has no end")
                    .expect("the watch goes on"),
            );
        }
    }

    /// The names that the next message tells of.
    async fn next(&mut self) -> Vec<String> {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let next = next.unwrap_or_else(|_| panic!("nothing came for\n{}", self.filter));
        self.fold(
            next.expect("a watch has no end")
                .expect("the watch goes on"),
        )
    }

    fn fold(&mut self, told: Told) -> Vec<String> {
        let mut names = Vec::new();
        for Change { name, kind, .. } in told.changes {
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
        if told.signal == Some(Signal::End) {
            self.in_snapshot = false;
        }
        names
    }
}
