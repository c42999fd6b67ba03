//! A watch of carts as a careful client keeps it. It folds the stream into a state and asserts the guarantees
//! at every message.

use std::collections::BTreeMap;

use clientela::proto::pb::{
    self, CartChange, ChangeKind, WatchCartsRequest, WatchCartsResponse, WatchOptions,
    watch_carts_response::Signal,
};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::{PATIENCE, Transport};
use clientela::proto::pb::cart_service_client::CartServiceClient;

/// A stream of cart changes and the state received so far.
pub struct CartWatch {
    stream: Streaming<WatchCartsResponse>,
    rules: Rules,
    /// The carts as received.
    pub carts: BTreeMap<String, pb::Cart>,
    /// The last state received of each cart on this stream.
    received: BTreeMap<String, Received>,
    /// The versions of the carts that were known from earlier streams.
    known: BTreeMap<String, i64>,
    /// The last resume token.
    pub token: String,
    /// Every change in order, without snapshots.
    pub changes: Vec<CartChange>,
    /// The delays of the stream that heartbeats reported, in order.
    pub lags: Vec<prost_types::Duration>,
    in_snapshot: bool,
}

/// The additional guarantees that are asserted of a stream.
#[derive(Clone, Copy, Default)]
struct Rules {
    /// Whether every version is sent. A filter may leave some out.
    every: bool,
    /// Whether the clock may let a cart enter or leave without a new version.
    by_clock: bool,
}

struct Received {
    version: i64,
    present: bool,
}

/// The state that a client knows at a token, from which it can resume.
#[derive(Clone)]
pub struct Point {
    /// The token.
    pub token: String,
    /// The carts.
    pub carts: BTreeMap<String, pb::Cart>,
    known: BTreeMap<String, i64>,
}

/// The kind of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Changes(Vec<CartChange>),
    SnapshotBegin(pb::snapshot_begin::Cause),
    SnapshotEnd(i64),
    Heartbeat,
    Draining,
}

impl CartWatch {
    /// Opens a watch.
    pub async fn open(
        client: &mut CartServiceClient<Transport>,
        request: WatchCartsRequest,
    ) -> Result<Self, Status> {
        let options = request.options.clone().unwrap_or_default();
        let every = options.delivery_mode() == pb::DeliveryMode::Every;
        let rules = Rules {
            every: every && request.filter.is_empty(),
            by_clock: request.filter.contains("now"),
        };
        let stream = client.watch_carts(request).await?.into_inner();
        Ok(Self {
            rules,
            ..Self::of(stream)
        })
    }

    /// Wraps a stream that was opened elsewhere.
    pub fn of(stream: Streaming<WatchCartsResponse>) -> Self {
        Self {
            stream,
            rules: Rules::default(),
            carts: BTreeMap::new(),
            received: BTreeMap::new(),
            known: BTreeMap::new(),
            token: String::new(),
            changes: Vec::new(),
            lags: Vec::new(),
            in_snapshot: false,
        }
    }

    /// Asserts that no version is skipped, for a stream of every version.
    pub fn strict(mut self) -> Self {
        self.rules.every = true;
        self
    }

    /// Does not assert that no version is skipped, for a test that expects skipped versions.
    pub fn lenient(mut self) -> Self {
        self.rules.every = false;
        self
    }

    /// Returns the state at the last token.
    pub fn point(&self) -> Point {
        let mut known = self.known.clone();
        let received = self.received.iter();
        known.extend(received.map(|(name, received)| (name.clone(), received.version)));
        Point {
            token: self.token.clone(),
            carts: self.carts.clone(),
            known,
        }
    }

    /// Resumes after this watch's last token, with its state.
    pub async fn resume(
        self,
        client: &mut CartServiceClient<Transport>,
        request: WatchCartsRequest,
    ) -> Result<Self, Status> {
        Self::resume_at(self.point(), client, request).await
    }

    /// Resumes after a token, with the state at that token.
    pub async fn resume_at(
        point: Point,
        client: &mut CartServiceClient<Transport>,
        mut request: WatchCartsRequest,
    ) -> Result<Self, Status> {
        let options = request.options.get_or_insert_with(WatchOptions::default);
        options.resume_token.clone_from(&point.token);
        options.skip_snapshot = false;
        let mut next = Self::open(client, request).await?;
        next.carts = point.carts;
        next.known = point.known;
        next.token = point.token;
        Ok(next)
    }

    /// Reads the next message.
    pub async fn next(&mut self) -> Result<Seen, Status> {
        let message = tokio::time::timeout(PATIENCE, self.stream.message())
            .await
            .expect("a message comes")?
            .expect("a watch ends only with an error");
        Ok(self.fold(message))
    }

    /// Reads until `enough` of the state has come.
    pub async fn until(&mut self, what: &str, mut enough: impl FnMut(&Self) -> bool) {
        // Heartbeats never stop.
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            match self.next().await {
                Ok(_) => assert!(Instant::now() < deadline, "{what} did not come"),
                Err(status) => panic!("{what} did not come: {status:?}"),
            }
        }
    }

    /// Reads until the snapshot is complete and returns how many carts it had.
    pub async fn snapshot(&mut self) -> i64 {
        loop {
            match self.next().await {
                Ok(Seen::SnapshotEnd(count)) => return count,
                Ok(_) => {}
                Err(status) => panic!("the snapshot did not end: {status:?}"),
            }
        }
    }

    fn fold(&mut self, message: WatchCartsResponse) -> Seen {
        if let Some(Signal::SnapshotBegin(begin)) = &message.signal {
            self.carts.clear();
            self.received.clear();
            self.known.clear();
            self.token.clear();
            self.in_snapshot = true;
            assert!(message.changes.is_empty());
            return Seen::SnapshotBegin(begin.cause());
        }
        for change in &message.changes {
            self.apply(change);
        }
        let end = matches!(message.signal, Some(Signal::SnapshotEnd(_)));
        if !self.in_snapshot || end || !message.resume_token.is_empty() {
            assert!(
                !message.resume_token.is_empty(),
                "every message has a token"
            );
            self.token.clone_from(&message.resume_token);
        }
        match message.signal {
            Some(Signal::SnapshotEnd(end)) => {
                self.in_snapshot = false;
                assert_eq!(
                    usize::try_from(end.count).unwrap(),
                    self.carts.len(),
                    "the end of a snapshot counts the carts of the reader"
                );
                Seen::SnapshotEnd(end.count)
            }
            Some(Signal::Heartbeat(beat)) => {
                self.lags.extend(beat.lag);
                Seen::Heartbeat
            }
            Some(Signal::Draining(_)) => Seen::Draining,
            Some(Signal::SnapshotBegin(_)) | None => Seen::Changes(message.changes),
        }
    }

    fn apply(&mut self, change: &CartChange) {
        let present = change.kind() == ChangeKind::Upserted;
        match (
            self.received.get(&change.name),
            self.known.get(&change.name),
        ) {
            (Some(received), _) => self.assert_follows(received, change, present),
            // After a resume a known version may come again, and none may be missing.
            (None, Some(known)) if self.rules.every => assert!(
                change.version <= known + 1,
                "no version is skipped by a resume: {known}, then {change:?}"
            ),
            _ => {}
        }
        let version = change.version;
        let received = Received { version, present };
        self.received.insert(change.name.clone(), received);
        match change.kind() {
            ChangeKind::Upserted => {
                let cart = change.cart.clone().expect("an upserted cart is sent whole");
                assert_eq!((&cart.name, cart.version), (&change.name, change.version));
                self.carts.insert(change.name.clone(), cart);
            }
            ChangeKind::Deleted | ChangeKind::LeftFilter => {
                assert!(change.cart.is_none(), "an ended cart has no body");
                self.carts.remove(&change.name);
            }
            ChangeKind::Unspecified => panic!("a change has a kind: {change:?}"),
        }
        if !self.in_snapshot {
            self.changes.push(change.clone());
        }
    }

    fn assert_follows(&self, received: &Received, change: &CartChange, present: bool) {
        let by_clock = self.rules.by_clock && received.present != present;
        assert!(
            received.version < change.version || (by_clock && received.version == change.version),
            "versions grow on a stream: {}, then {change:?}",
            received.version
        );
        if self.rules.every && !self.in_snapshot {
            assert_eq!(
                change.version,
                received.version + 1,
                "no version is skipped: {change:?}"
            );
        }
    }
}
