//! A watch of carts as a careful client keeps it: folded into a state, with the guarantees asserted at
//! every message.

use std::collections::BTreeMap;

use clientela::proto::pb::{
    self, CartChange, ChangeKind, WatchCartsRequest, WatchCartsResponse, WatchOptions,
    watch_carts_response::Signal,
};
use tonic::{Status, Streaming};

use super::{PATIENCE, Transport};
use clientela::proto::pb::cart_service_client::CartServiceClient;

/// A stream of cart changes and what it has told so far.
pub struct CartWatch {
    stream: Streaming<WatchCartsResponse>,
    /// The carts as told.
    pub carts: BTreeMap<String, pb::Cart>,
    /// The version last told of each cart on this stream.
    versions: BTreeMap<String, i64>,
    /// The last resume token.
    pub token: String,
    /// Every change in its order, snapshots left out.
    pub changes: Vec<CartChange>,
    /// How long heartbeats said that the stream is held back, in their order.
    pub lags: Vec<prost_types::Duration>,
    in_snapshot: bool,
    every: bool,
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
        let stream = client.watch_carts(request).await?.into_inner();
        Ok(Self::of(stream, every))
    }

    /// Goes on with a stream that was opened otherwise.
    pub fn of(stream: Streaming<WatchCartsResponse>, every: bool) -> Self {
        Self {
            stream,
            carts: BTreeMap::new(),
            versions: BTreeMap::new(),
            token: String::new(),
            changes: Vec::new(),
            lags: Vec::new(),
            in_snapshot: false,
            every,
        }
    }

    /// Goes on after this watch's last token, with what it knows.
    pub async fn resume(
        self,
        client: &mut CartServiceClient<Transport>,
        mut request: WatchCartsRequest,
    ) -> Result<Self, Status> {
        let options = request.options.get_or_insert_with(WatchOptions::default);
        options.resume_token.clone_from(&self.token);
        options.skip_snapshot = false;
        let mut next = Self::open(client, request).await?;
        next.carts = self.carts;
        next.token = self.token;
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
        while !enough(self) {
            if let Err(status) = self.next().await {
                panic!("{what} did not come: {status:?}");
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
            self.versions.clear();
            self.in_snapshot = true;
            assert!(message.changes.is_empty());
            return Seen::SnapshotBegin(begin.cause());
        }
        for change in &message.changes {
            self.apply(change);
        }
        if !self.in_snapshot || !message.resume_token.is_empty() {
            assert!(
                !message.resume_token.is_empty(),
                "every message has a token"
            );
            self.token.clone_from(&message.resume_token);
        }
        match message.signal {
            Some(Signal::SnapshotEnd(end)) => {
                self.in_snapshot = false;
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
        let known = self.versions.get(&change.name).copied();
        assert!(
            known.is_none_or(|known| known < change.version),
            "versions grow on a stream: {} after {known:?}: {change:?}",
            change.version,
        );
        if self.every
            && !self.in_snapshot
            && let Some(known) = known
        {
            assert_eq!(
                change.version,
                known + 1,
                "no version is skipped: {change:?}"
            );
        }
        self.versions.insert(change.name.clone(), change.version);
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
}
