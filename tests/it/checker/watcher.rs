//! A watcher that records its messages as those of `tests/checker` do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clientela::proto::pb::{
    self, CartChange, ChangeKind, WatchCartsRequest, WatchCartsResponse, WatchOptions,
    cart_service_client::CartServiceClient, watch_carts_response::Signal,
};
use serde_json::{Value, json};
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;

use super::recording::{Recording, digest, state};
use crate::harness::{PATIENCE, Transport};

/// The shortest interval that a server allows.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The selection of a watcher.
#[derive(Clone, Copy)]
pub enum Of<'n> {
    All,
    /// Open carts.
    Open,
    Names(&'n [String]),
}

/// A watcher of every version, over all its streams.
pub struct Watcher {
    recording: Recording,
    file: String,
    request: WatchCartsRequest,
    stream: Option<Streaming<WatchCartsResponse>>,
    token: String,
    /// The last version of each cart that was sent.
    pub sent: BTreeMap<String, i64>,
}

impl Watcher {
    /// Creates a watcher that has not begun.
    pub fn new(recording: &Recording, name: &str, of: Of<'_>) -> Self {
        let (state, filter, names) = match of {
            Of::All => ("", "", Vec::new()),
            Of::Open => ("open", "state = OPEN", Vec::new()),
            Of::Names(names) => ("", "", names.to_vec()),
        };
        let file = format!("watch-{name}");
        recording.note(
            &file,
            &json!(["Watcher", true, false, false, "carts", state, 0, "", names]),
        );
        Self {
            recording: recording.clone(),
            file,
            request: WatchCartsRequest {
                filter: filter.into(),
                names,
                ..crate::watch::every()
            },
            stream: None,
            token: String::new(),
            sent: BTreeMap::new(),
        }
    }

    /// Opens a stream with the last token.
    pub async fn open(&mut self, client: &mut CartServiceClient<Transport>) {
        let record = json!(["Open", self.recording.now(), self.token]);
        self.recording.note(&self.file, &record);
        let mut request = self.request.clone();
        let options = request.options.get_or_insert_with(WatchOptions::default);
        options.resume_token.clone_from(&self.token);
        options.heartbeat_interval = prost_types::Duration::try_from(HEARTBEAT).ok();
        self.stream = Some(client.watch_carts(request).await.unwrap().into_inner());
    }

    /// Reads a message and returns its signal, or how the stream ended.
    pub async fn next(&mut self) -> Result<Option<Signal>, Status> {
        let stream = self.stream.as_mut().expect("it was opened");
        let message = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .expect("a message comes");
        match message {
            Ok(message) => {
                let message = message.expect("a watch ends only with an error");
                self.take(&message);
                Ok(message.signal)
            }
            Err(status) => {
                self.close(&status);
                Err(status)
            }
        }
    }

    /// Reads until the snapshot is complete.
    pub async fn snapshot(&mut self) {
        while !matches!(self.next().await.unwrap(), Some(Signal::SnapshotEnd(_))) {}
    }

    /// Reads until this version of a cart or a later one was sent.
    pub async fn until(&mut self, cart: &pb::Cart) {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_sent(cart) {
            assert!(Instant::now() < deadline, "{} did not come", cart.name);
            self.next().await.unwrap();
        }
    }

    /// Returns whether this version of a cart or a later one was sent.
    pub fn has_sent(&self, cart: &pb::Cart) -> bool {
        self.sent.get(&cart.name).copied().unwrap_or_default() >= cart.version
    }

    /// Reads until no change comes between two heartbeats.
    pub async fn until_idle(&mut self) {
        let mut beats = 0;
        while beats < 2 {
            let beat = matches!(self.next().await.unwrap(), Some(Signal::Heartbeat(_)));
            beats = if beat { beats + 1 } else { 0 };
        }
    }

    /// Reads until the stream ends.
    pub async fn end(&mut self) {
        while self.next().await.is_ok() {}
    }

    fn take(&mut self, message: &WatchCartsResponse) {
        let (signal, cause, total) = match &message.signal {
            Some(Signal::SnapshotBegin(begin)) => {
                let cause = begin.cause().as_str_name();
                ("begin", cause.trim_start_matches("CAUSE_"), 0)
            }
            Some(Signal::SnapshotEnd(end)) => ("end", "", end.count),
            Some(Signal::Heartbeat(_)) => ("heartbeat", "", 0),
            Some(Signal::Draining(_)) => ("draining", "", 0),
            None => ("", "", 0),
        };
        for change in &message.changes {
            self.sent.insert(change.name.clone(), change.version);
        }
        let changes: Vec<Value> = message.changes.iter().map(change).collect();
        let token = &message.resume_token;
        let record = json!([
            "Message",
            self.recording.now(),
            token,
            signal,
            cause,
            total,
            changes
        ]);
        self.recording.note(&self.file, &record);
        if signal == "begin" || !token.is_empty() {
            self.token.clone_from(token);
        }
    }

    fn close(&mut self, status: &Status) {
        let code = match status.code() {
            tonic::Code::Unavailable => "UNAVAILABLE",
            tonic::Code::Aborted => "ABORTED",
            _ => "OTHER",
        };
        // A connection that breaks has no reason.
        let reason = status.get_details_error_info().map(|info| info.reason);
        let reason = reason.unwrap_or_default();
        let record = json!([
            "Close",
            self.recording.now(),
            code,
            reason,
            status.message()
        ]);
        self.recording.note(&self.file, &record);
        if code == "ABORTED" {
            self.token.clear();
        }
        self.stream = None;
    }
}

fn change(change: &CartChange) -> Value {
    let kind = match change.kind() {
        ChangeKind::Upserted => "upserted",
        ChangeKind::Deleted => "deleted",
        ChangeKind::LeftFilter => "left",
        ChangeKind::Unspecified => "unknown",
    };
    let (state, slot, pieces, digest) = match &change.cart {
        Some(cart) => (state(cart), &*cart.slot, cart.item_count, digest(cart)),
        None => ("", "", 0, String::new()),
    };
    json!([
        kind,
        change.name,
        change.version,
        change.conflated,
        state,
        slot,
        pieces,
        digest
    ])
}
