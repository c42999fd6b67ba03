//! A watch of any kind with the changes that it has sent. It asserts that versions grow.

use std::collections::BTreeMap;

use clientela::proto::pb::ChangeKind;
use futures::StreamExt as _;
use tonic::Status;

use crate::harness::PATIENCE;
use crate::specimens::{Change, Received, Signal, Stream};

/// A stream, and the changes that it has sent.
pub struct Watch {
    /// Names the watch in failures.
    pub what: String,
    subject: String,
    stream: Stream,
    /// The last resume token.
    pub token: String,
    /// Every change of the subject outside snapshots.
    pub changes: Vec<Change>,
    /// The last version of each resource.
    pub versions: BTreeMap<String, i64>,
    in_snapshot: bool,
    /// Whether the clock may move the subject into or out of the filter without a new version.
    by_clock: bool,
}

impl Watch {
    /// Wraps a new stream of the subject with this name.
    pub(super) fn of(what: String, subject: String, stream: Stream, by_clock: bool) -> Self {
        Self {
            what,
            subject,
            stream,
            token: String::new(),
            changes: Vec::new(),
            versions: BTreeMap::new(),
            in_snapshot: false,
            by_clock,
        }
    }

    /// Reads the next message and asserts that versions grow.
    pub async fn next(&mut self) -> Result<Received, Status> {
        let message = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let message = message.unwrap_or_else(|_| panic!("{}: no message arrives", self.what));
        let received = message.expect("a watch ends only with an error")?;
        if let Some(Signal::Begin(_)) = &received.signal {
            self.in_snapshot = true;
            self.versions.clear();
        }
        for change in &received.changes {
            let before = self.versions.insert(change.name.clone(), change.version);
            assert!(
                before.is_none_or(|before| before < change.version)
                    || (self.by_clock && before == Some(change.version)),
                "{}: versions must grow: {before:?}, then {change:?}",
                self.what
            );
            if change.name == self.subject && !self.in_snapshot {
                self.changes.push(change.clone());
            }
        }
        self.in_snapshot &= received.signal != Some(Signal::End);
        if !received.token.is_empty() {
            self.token.clone_from(&received.token);
        }
        Ok(received)
    }

    /// Reads to the end of the snapshot.
    pub async fn snapshot(&mut self) {
        loop {
            let received = self.next().await;
            let received = received.unwrap_or_else(|status| panic!("{}: {status:?}", self.what));
            if received.signal == Some(Signal::End) {
                return;
            }
        }
    }

    /// Reads until this version of the subject arrives.
    pub async fn until(&mut self, version: i64) {
        let subject = self.subject.clone();
        while self
            .versions
            .get(&subject)
            .is_none_or(|received| *received < version)
        {
            let received = self.next().await;
            received.unwrap_or_else(|status| panic!("{}: {status:?}", self.what));
        }
    }

    /// Reads until the last change of the subject has this kind and version.
    pub async fn until_received(&mut self, kind: ChangeKind, version: i64) {
        let received = |change: &Change| change.kind == kind && change.version == version;
        while !self.changes.last().is_some_and(received) {
            let next = self.next().await;
            next.unwrap_or_else(|status| panic!("{}: {status:?}", self.what));
        }
    }

    /// Reads to the end of the stream.
    pub async fn end(&mut self) -> Status {
        let end = async {
            loop {
                if let Err(status) = self.next().await {
                    return status;
                }
            }
        };
        let ended = tokio::time::timeout(PATIENCE, end).await;
        ended.unwrap_or_else(|_| panic!("{}: the stream does not end", self.what))
    }
}
