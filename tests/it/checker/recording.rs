//! Writers that record their calls as those of `tests/checker` do, and the verdict of its checker on the
//! records of writers and watchers.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clientela::proto::pb::{
    self, AddItemRequest, CartOwner, CartTarget, OrderCartRequest, ReopenCartRequest, cart::State,
    cart_owner::Owner, cart_service_client::CartServiceClient, cart_target::Target,
};
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Shop, Transport};
use crate::watch::{item, listed};

/// A recording in progress; cheap to clone.
#[derive(Clone)]
pub struct Recording(Arc<Inner>);

struct Inner {
    folder: TempDir,
    began: Instant,
    requests: AtomicU64,
}

/// The result of the checker: the violations of each guarantee.
#[derive(Debug)]
pub struct Verdict {
    violations: BTreeMap<String, u64>,
    printed: String,
}

impl Verdict {
    /// Asserts that the checker found no violation.
    pub fn assert_accepted(&self) {
        let found = self.violations.values().sum::<u64>();
        assert_eq!(found, 0, "{}", self.printed);
        assert!(!self.violations.is_empty(), "{}", self.printed);
    }

    /// Asserts that the checker found a violation of this guarantee.
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

    pub fn now(&self) -> f64 {
        self.0.began.elapsed().as_secs_f64()
    }

    pub fn note(&self, file: &str, record: &Value) {
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

    /// Reopens an ordered cart.
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

    /// Records that the store was restored to an earlier state.
    pub fn restored(&self) {
        self.note("allowed", &json!(["Allowed", false, self.now()]));
    }

    /// Records the final state of the shop and runs the checker on all records.
    pub async fn check(self, shop: &Shop) -> Verdict {
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

/// Returns a request that adds a piece of a product to the cart in a slot. Its text is long enough that an
/// unread stream is soon full.
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

pub fn digest(cart: &pb::Cart) -> String {
    let mut hasher = DefaultHasher::new();
    cart.encode_to_vec().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

pub fn state(cart: &pb::Cart) -> &'static str {
    match cart.state() {
        State::Open => "open",
        State::Ordered => "ordered",
        _ => "unknown",
    }
}
