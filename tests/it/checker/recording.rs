//! Writers and watchers that note what they do as those of `tests/checker` do, and the verdict of its
//! checker on that.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clientela::proto::pb::{
    self, AddItemRequest, CartChange, CartOwner, CartTarget, ChangeKind, OrderCartRequest,
    ReopenCartRequest, WatchCartsRequest, WatchCartsResponse, WatchOptions, cart::State,
    cart_owner::Owner, cart_service_client::CartServiceClient, cart_target::Target,
    watch_carts_response::Signal,
};
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;

use crate::harness::{PATIENCE, Shop, Transport};
use crate::watch::{item, listed};

/// As often as a server allows.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A recording under way; cheap to clone.
#[derive(Clone)]
pub struct Recording(Arc<Inner>);

struct Inner {
    folder: TempDir,
    began: Instant,
    requests: AtomicU64,
}

/// What the checker found: how many violations of each promise.
#[derive(Debug)]
pub struct Verdict {
    violations: BTreeMap<String, u64>,
    printed: String,
}

impl Verdict {
    /// Asserts that nothing was found.
    pub fn assert_accepted(&self) {
        let found = self.violations.values().sum::<u64>();
        assert_eq!(found, 0, "{}", self.printed);
        assert!(!self.violations.is_empty(), "{}", self.printed);
    }

    /// Asserts that the breach of a promise was found.
    pub fn assert_refused(&self, promise: &str) {
        let found = self.violations.get(promise).copied().unwrap_or_default();
        assert!(found > 0, "{promise}: {}", self.printed);
    }
}

impl Recording {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            folder: tempfile::tempdir().expect("a temporary folder"),
            began: Instant::now(),
            requests: AtomicU64::new(0),
        }))
    }

    fn now(&self) -> f64 {
        self.0.began.elapsed().as_secs_f64()
    }

    fn note(&self, file: &str, record: &Value) {
        let path = self.0.folder.path().join(file);
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let line = format!("{record}\n");
        let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("a line can be added");
    }

    fn invoke(&self, rpc: &str, slot: &str, effect: &Value) -> (String, f64) {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let (request, sent) = (format!("request-{number}"), self.now());
        let record = json!(["Invoke", sent, request, rpc, slot, [effect], false]);
        self.note("ledger-0", &record);
        (request, sent)
    }

    fn answered(&self, request: &str, sent: f64, cart: &pb::Cart) {
        let (name, version) = (&cart.name, cart.version);
        let now = self.now();
        let record = json!([
            "Return",
            now,
            request,
            "ok",
            "OK",
            sent,
            name,
            version,
            digest(cart)
        ]);
        self.note("ledger-0", &record);
    }

    /// Adds a piece of a product to the cart in a slot.
    pub async fn add(
        &self,
        client: &mut CartServiceClient<Transport>,
        slot: &str,
        product: &str,
    ) -> pb::Cart {
        let (request_id, sent) = self.invoke("AddItem", slot, &json!(["add", product, 1]));
        let request = AddItemRequest {
            request_id: request_id.clone(),
            ..addition(slot, product)
        };
        let cart = client.add_item(request).await.unwrap().into_inner();
        self.answered(&request_id, sent, &cart);
        cart
    }

    /// Orders the cart in a slot.
    pub async fn order(&self, client: &mut CartServiceClient<Transport>, slot: &str) -> pb::Cart {
        let reference = format!("order of {slot}");
        let (request_id, sent) = self.invoke("OrderCart", slot, &json!(["order", reference]));
        let request = OrderCartRequest {
            target: Some(target(slot)),
            order_reference: reference,
            request_id: request_id.clone(),
            ..Default::default()
        };
        let cart = client.order_cart(request).await.unwrap().into_inner();
        self.answered(&request_id, sent, &cart);
        cart
    }

    /// Opens an ordered cart again.
    pub async fn reopen(
        &self,
        client: &mut CartServiceClient<Transport>,
        cart: &pb::Cart,
    ) -> pb::Cart {
        let (request_id, sent) = self.invoke("ReopenCart", &cart.slot, &json!(["reopen"]));
        let request = ReopenCartRequest {
            name: cart.name.clone(),
            request_id: request_id.clone(),
            ..Default::default()
        };
        let cart = client.reopen_cart(request).await.unwrap().into_inner();
        self.answered(&request_id, sent, &cart);
        cart
    }

    /// Notes that the store was put back to what it was before.
    pub fn restored(&self) {
        self.note("allowed", &json!(["Allowed", false, self.now()]));
    }

    /// Notes what the shop holds in the end, and has all of it judged.
    pub async fn judge(self, shop: &Shop) -> Verdict {
        for cart in listed(shop).await {
            let lines: BTreeMap<&str, i32> = cart
                .items
                .iter()
                .map(|line| (line.product.as_str(), line.quantity))
                .collect();
            let record = json!([
                "Cart",
                cart.name,
                cart.slot,
                state(&cart),
                cart.order_reference,
                cart.version,
                cart.item_count,
                lines,
                digest(&cart)
            ]);
            self.note("final", &record);
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installed = root.join(".tools/venv/bin/python3");
        let python = if installed.exists() {
            installed.as_os_str()
        } else {
            "python3".as_ref()
        };
        let ended = Command::new(python)
            .arg("-B")
            .arg(root.join("tests/checker/checker.py"))
            .arg(self.0.folder.path())
            .output()
            .expect("there is a Python");
        let mut printed = String::from_utf8_lossy(&ended.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&ended.stderr));
        let counts = fs::read(self.0.folder.path().join("counts"));
        let counts: Value = serde_json::from_slice(&counts.unwrap_or_else(|_| panic!("{printed}")))
            .expect("the checker writes JSON");
        let violations = serde_json::from_value(counts["violations"].clone());
        Verdict {
            violations: violations.expect("numbers by promise"),
            printed,
        }
    }
}

/// A piece of a product for the cart in a slot. It brings enough text that a stream that is not read is
/// full soon.
pub fn addition(slot: &str, product: &str) -> AddItemRequest {
    let text = prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue("x".repeat(1_500))),
    };
    let mut item = item(product, 1);
    item.attributes = Some(prost_types::Struct {
        fields: [("text".to_owned(), text)].into(),
    });
    AddItemRequest {
        target: Some(target(slot)),
        item: Some(item),
        ..Default::default()
    }
}

fn target(slot: &str) -> CartTarget {
    let owner = CartOwner {
        owner: Some(Owner::Visitor(format!("a visitor of the checker, {slot}"))),
        slot: slot.to_owned(),
    };
    CartTarget {
        target: Some(Target::Owner(owner)),
    }
}

fn digest(cart: &pb::Cart) -> String {
    let mut hasher = DefaultHasher::new();
    cart.encode_to_vec().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn state(cart: &pb::Cart) -> &'static str {
    match cart.state() {
        State::Open => "open",
        State::Ordered => "ordered",
        _ => "unknown",
    }
}

/// What a watcher is of.
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
    /// The last version told of each cart.
    pub told: BTreeMap<String, i64>,
}

impl Watcher {
    /// A watcher that has not begun.
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
            told: BTreeMap::new(),
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

    /// Reads a message; what it signals, or how the stream ended.
    pub async fn next(&mut self) -> Result<Option<Signal>, Status> {
        let stream = self.stream.as_mut().expect("it was opened");
        let message = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .expect("a message comes");
        match message {
            Ok(message) => {
                let message = message.expect("a watch never ends well");
                self.take(&message);
                Ok(message.signal)
            }
            Err(status) => {
                self.close(&status);
                Err(status)
            }
        }
    }

    /// Reads on until the snapshot is whole.
    pub async fn snapshot(&mut self) {
        while !matches!(self.next().await.unwrap(), Some(Signal::SnapshotEnd(_))) {}
    }

    /// Reads on until a version of a cart was told, or a later one.
    pub async fn until(&mut self, cart: &pb::Cart) {
        let deadline = Instant::now() + PATIENCE;
        while self.told.get(&cart.name).copied().unwrap_or_default() < cart.version {
            assert!(Instant::now() < deadline, "{} did not come", cart.name);
            self.next().await.unwrap();
        }
    }

    /// Reads on until nothing was told between two heartbeats.
    pub async fn until_idle(&mut self) {
        let mut beats = 0;
        while beats < 2 {
            let beat = matches!(self.next().await.unwrap(), Some(Signal::Heartbeat(_)));
            beats = if beat { beats + 1 } else { 0 };
        }
    }

    /// Reads on until the stream ends.
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
            self.told.insert(change.name.clone(), change.version);
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
        // A connection that ends has none.
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
