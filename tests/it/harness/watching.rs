//! A watch of carts as a careful client keeps it: folded into a state, with the guarantees asserted at
//! every message.

use std::collections::BTreeMap;

use clientela::proto::pb::{
    self, CartChange, ChangeKind, WatchCartsRequest, WatchCartsResponse, WatchOptions,
    watch_carts_response::Signal,
};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::{PATIENCE, Transport};
use clientela::proto::pb::cart_service_client::CartServiceClient;

/// A stream of cart changes and what it has told so far.
pub struct CartWatch {
    stream: Streaming<WatchCartsResponse>,
    rules: Rules,
    /// The carts as told.
    pub carts: BTreeMap<String, pb::Cart>,
    /// The last that was told of each cart on this stream.
    told: BTreeMap<String, Told>,
    /// The version known of each cart from the streams before.
    known: BTreeMap<String, i64>,
    /// The last resume token.
    pub token: String,
    /// Every change in its order, snapshots left out.
    pub changes: Vec<CartChange>,
    /// How long heartbeats said that the stream is held back, in their order.
    pub lags: Vec<prost_types::Duration>,
    in_snapshot: bool,
}

/// What is asserted of a stream beside what holds for each.
#[derive(Clone, Copy, Default)]
struct Rules {
    /// Whether every version is told. Not where a filter leaves some out.
    every: bool,
    /// Whether the clock may let a cart enter or leave with the version it has.
    by_clock: bool,
}

struct Told {
    version: i64,
    present: bool,
}

/// What a client knows at a token, to go on from.
#[derive(Clone)]
pub struct Point {
    /// The token.
    pub token: String,
    /// The carts.
    pub carts: BTreeMap<String, pb::Cart>,
    known: BTreeMap<String, i64>,
}

/// What a message was about.
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

    /// Goes on with a stream that was opened otherwise.
    pub fn of(stream: Streaming<WatchCartsResponse>) -> Self {
        Self {
            stream,
            rules: Rules::default(),
            carts: BTreeMap::new(),
            told: BTreeMap::new(),
            known: BTreeMap::new(),
            token: String::new(),
            changes: Vec::new(),
            lags: Vec::new(),
            in_snapshot: false,
        }
    }

    /// Asserts that no version is skipped, as of a stream of every version.
    pub fn strict(mut self) -> Self {
        self.rules.every = true;
        self
    }

    /// Does not assert that no version is skipped, for a test that wants to see some skipped.
    pub fn lenient(mut self) -> Self {
        self.rules.every = false;
        self
    }

    /// What is known at the last token.
    pub fn point(&self) -> Point {
        let mut known = self.known.clone();
        let told = self.told.iter();
        known.extend(told.map(|(name, told)| (name.clone(), told.version)));
        Point {
            token: self.token.clone(),
            carts: self.carts.clone(),
            known,
        }
    }

    /// Goes on after this watch's last token, with what it knows.
    pub async fn resume(
        self,
        client: &mut CartServiceClient<Transport>,
        request: WatchCartsRequest,
    ) -> Result<Self, Status> {
        Self::resume_at(self.point(), client, request).await
    }

    /// Goes on after a token, with what was known there.
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

    /// The next message.
    pub async fn next(&mut self) -> Result<Seen, Status> {
        let message = tokio::time::timeout(PATIENCE, self.stream.message())
            .await
            .expect("a message comes")?
            .expect("a watch never ends well");
        Ok(self.fold(message))
    }

    /// Reads on until `enough` of what is known.
    pub async fn until(&mut self, what: &str, mut enough: impl FnMut(&Self) -> bool) {
        // Heartbeats come for ever.
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            match self.next().await {
                Ok(_) => assert!(Instant::now() < deadline, "{what} did not come"),
                Err(status) => panic!("{what} did not come: {status:?}"),
            }
        }
    }

    /// Reads on until the snapshot is whole; how many carts it held.
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
            self.told.clear();
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
                    "the end of a snapshot counts what the reader holds"
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
        match (self.told.get(&change.name), self.known.get(&change.name)) {
            (Some(told), _) => self.assert_follows(told, change, present),
            // Across a resume what is known may come again, and nothing may be left out.
            (None, Some(known)) if self.rules.every => assert!(
                change.version <= known + 1,
                "no version is skipped by a resume: {known}, then {change:?}"
            ),
            _ => {}
        }
        let version = change.version;
        let told = Told { version, present };
        self.told.insert(change.name.clone(), told);
        match change.kind() {
            ChangeKind::Upserted => {
                let cart = change.cart.clone().expect("an upserted cart is sent whole");
                assert_eq!((&cart.name, cart.version), (&change.name, change.version));
                self.carts.insert(change.name.clone(), cart);
            }
            ChangeKind::Deleted | ChangeKind::LeftFilter => {
                assert!(change.cart.is_none(), "what is gone has no body");
                self.carts.remove(&change.name);
            }
            ChangeKind::Unspecified => panic!("a change has a kind: {change:?}"),
        }
        if !self.in_snapshot {
            self.changes.push(change.clone());
        }
    }

    fn assert_follows(&self, told: &Told, change: &CartChange, present: bool) {
        let by_clock = self.rules.by_clock && told.present != present;
        assert!(
            told.version < change.version || (by_clock && told.version == change.version),
            "versions grow on a stream: {}, then {change:?}",
            told.version
        );
        if self.rules.every && !self.in_snapshot {
            assert_eq!(
                change.version,
                told.version + 1,
                "no version is skipped: {change:?}"
            );
        }
    }
}
