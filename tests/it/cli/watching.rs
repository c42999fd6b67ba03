//! Tests `clientela demo` and `clientela watch`, also while the server is killed.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clientela::proto::pb::{self, cart_owner::Owner, cart_service_client::CartServiceClient};
use serde_json::Value;
use tonic::{Code, transport::Endpoint};

use super::{PATIENCE, Server, on_both_engines};
use crate::harness::{Engine, Shop, eventually};

on_both_engines! {
    async fn a_watch_loses_and_repeats_nothing_when_the_server_is_killed(server: Server) {
        let mut server = server;
        let watch = Watch::start(&server);
        let key = server.key("admin");
        // From here on the watch prints every change. Earlier writes are in its snapshot, as one change.
        fill(server.address, key.clone(), CARTS, 1).await;
        watch.wait_for(1).await;
        let writers: Vec<_> = (0..CARTS)
            .map(|number| tokio::spawn(fill(server.address, key.clone(), number, ADDITIONS)))
            .collect();

        for kill in 1..=2 {
            watch.wait_for(1 + CARTS * ADDITIONS * kill / 4).await;
            server.kill();
            server.start_again();
        }

        for writer in writers {
            writer.await.expect("a writer ends when all of its additions are answered");
        }
        watch.wait_for(1 + CARTS * ADDITIONS).await;
        let changes = watch.end();
        let mut versions: HashMap<String, Vec<i64>> = HashMap::new();
        for change in &changes[1..] {
            let version = change["version"].as_str().and_then(|version| version.parse().ok());
            let name = change["name"].as_str().expect("every change has a name").to_owned();
            versions.entry(name).or_default().push(version.expect("every change has a version"));
        }
        assert_eq!(versions.len(), CARTS);
        for (name, versions) in versions {
            let expected: Vec<i64> = (1..=i64::try_from(ADDITIONS).unwrap()).collect();
            assert_eq!(versions, expected, "{name}");
        }
    }

    async fn figures_are_printed_on_change_also_after_the_server_was_killed(server: Server) {
        let mut server = server;
        let watch = Watch::of(&server, &["watch", "figures", "--json"]);
        watch.wait_until("no cart", |last| last["openCarts"].is_null()).await;
        let key = server.key("admin");

        fill(server.address, key.clone(), 1, 1).await;
        watch.wait_until("a cart", |last| last["openCarts"] == "1").await;
        server.kill();
        server.start_again();
        fill(server.address, key, 2, 1).await;

        watch.wait_until("two carts", |last| last["openCarts"] == "2").await;
        let shown = watch.end();
        for pair in shown.windows(2) {
            let timeless = |figures: &Value| {
                let mut figures = figures.clone();
                figures.as_object_mut().unwrap().remove("time");
                figures
            };
            assert_ne!(timeless(&pair[0]), timeless(&pair[1]), "only changes are shown");
        }
        let refused = server.command(&["watch", "figures", "--every"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
    }

    async fn the_demo_fills_the_shop_and_watchers_see_it(server: Server) {
        let watch = Watch::start(&server);

        let demo = ["demo", "--seconds", "3", "--shoppers", "5", "--rate", "30"];
        let summary = server.printed(&demo);

        assert!(summary.contains(" added, ") && summary.contains(" 0 calls repeated"), "{summary}");
        let last = summary.lines().last().expect("a summary");
        let changes: usize = last.split(' ').next().and_then(|word| word.parse().ok()).unwrap();
        assert!(changes >= 10, "{summary}");
        watch.wait_for(changes.min(10)).await;
        let customers = server.printed(&["customer", "list", "--json"]);
        assert_eq!(customers.lines().count(), 5, "{customers}");
        let shown = server.printed(&["customer", "show", "demo-1"]);
        assert!(shown.contains("ada.ashford.1@example.test") && shown.contains("address"), "{shown}");
        assert!(server.printed(&["group", "list"]).contains("Wholesale"));
        assert!(server.printed(&["cart", "list"]).contains("EUR"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_survives_a_killed_server() {
    let mut server = Server::start(Engine::Sqlite).await;
    let watch = Watch::start(&server);
    let demo = ["demo", "--seconds", "8", "--shoppers", "5", "--rate", "30"];
    let demo = server
        .command(&demo)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");

    watch.wait_for(5).await;
    server.kill();
    server.start_again();

    let output = demo.wait_with_output().expect("the demo ends");
    assert!(output.status.success());
    let summary = String::from_utf8_lossy(&output.stdout);
    // The number of calls that met the kill is random, but none may be lost to it.
    assert!(summary.contains(" 0 changes refused"), "{summary}");
}

/// Carts that are filled concurrently.
const CARTS: usize = 3;
/// Products put into each cart.
const ADDITIONS: usize = 40;

/// Puts products into a visitor's cart. Each addition is repeated until it is answered.
async fn fill(address: std::net::SocketAddr, key: String, number: usize, additions: usize) {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let mut carts = CartServiceClient::with_interceptor(channel, Shop::with_key(&key));
    let owner = Owner::Visitor(format!("a visitor's token {number}"));
    let target = pb::cart_target::Target::Owner(pb::CartOwner {
        owner: Some(owner),
        slot: String::new(),
    });
    for addition in 0..additions {
        let price = pb::ItemPrice {
            list_price: Some(pb::Money {
                currency_code: "EUR".into(),
                micros: 5_000_000,
            }),
            ..Default::default()
        };
        let request = pb::AddItemRequest {
            target: Some(pb::CartTarget {
                target: Some(target.clone()),
            }),
            item: Some(pb::ItemInput {
                product: "hat".into(),
                price: Some(price),
                quantity: 1,
                ..Default::default()
            }),
            request_id: format!("{number}-{addition}"),
            ..Default::default()
        };
        let until = Instant::now() + PATIENCE;
        loop {
            match carts.add_item(request.clone()).await {
                Ok(_) => break,
                Err(status) => {
                    let passes = !matches!(status.code(), Code::InvalidArgument | Code::Aborted);
                    assert!(passes && Instant::now() < until, "{status:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

/// A separate process of `clientela watch … --json`.
struct Watch {
    process: Child,
    changes: Arc<Mutex<Vec<Value>>>,
}

impl Watch {
    fn start(server: &Server) -> Self {
        Self::of(server, &["watch", "carts", "--json", "--every"])
    }

    fn of(server: &Server, arguments: &[&str]) -> Self {
        let mut command = server.command(arguments);
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let changes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&changes);
        std::thread::spawn(move || {
            for line in output.lines() {
                let change = serde_json::from_str(&line.unwrap()).expect("a line is JSON");
                seen.lock().unwrap().push(change);
            }
        });
        Self { process, changes }
    }

    async fn wait_for(&self, count: usize) {
        eventually(&format!("change {count}"), async || {
            (self.changes.lock().unwrap().len() >= count).then_some(())
        })
        .await;
    }

    async fn wait_until(&self, what: &str, shown: impl Fn(&Value) -> bool) {
        eventually(what, async || {
            let changes = self.changes.lock().unwrap();
            changes.last().is_some_and(&shown).then_some(())
        })
        .await;
    }

    /// Kills the watch and returns its output.
    fn end(mut self) -> Vec<Value> {
        self.process.kill().expect("the watch still runs");
        self.process.wait().expect("a killed process ends");
        std::mem::take(&mut self.changes.lock().unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
