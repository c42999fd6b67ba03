//! The cost of a kill for watchers: the time until all are back and have the changes made since.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prost::Message;
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::bench::{Bench, repeat};
use crate::child::{Child, Product, Serving};
use crate::shop::{self, Clients, Keyed, Shop, Transport};
use crate::table::{Row, Target, median};
use crate::watchers::{self, STREAMS_A_CONNECTION, Watched};

const WATCHERS: usize = 1_000;
const CARTS: usize = 64;
/// Streams that a client opens concurrently.
const OPENING: usize = 32;
/// The delay before a client tries again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long carts are changed before the kill.
const BEFORE: Duration = Duration::from_millis(500);
const WRITERS: usize = 8;

/// The fields of `WatchCartsResponse` that a client needs to resume.
#[derive(Clone, PartialEq, Message)]
struct Seen {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<Change>,
    #[prost(string, tag = "2")]
    resume_token: String,
    #[prost(message, optional, tag = "4")]
    snapshot_end: Option<()>,
}

#[derive(Clone, PartialEq, Message)]
struct Change {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(int64, tag = "3")]
    version: i64,
}

/// A client that watches all carts, over any number of streams.
struct Watcher {
    resume_token: String,
    versions: HashMap<String, i64>,
    /// The version after which it has seen everything.
    last: Arc<Last>,
}

/// The last change.
struct Last {
    cart: String,
    version: i64,
    /// The number of watchers that have seen it.
    seen: AtomicUsize,
    /// The number of watchers that have their snapshot.
    ready: AtomicUsize,
}

impl Watcher {
    fn take(&mut self, message: Seen) {
        for change in message.changes {
            let before = self.versions.insert(change.name, change.version);
            assert!(
                before.is_none_or(|before| change.version <= before + 1),
                "no version is skipped"
            );
        }
        if !message.resume_token.is_empty() {
            self.resume_token = message.resume_token;
        }
        if message.snapshot_end.is_some() {
            self.last.ready.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_done(&self) -> bool {
        let version = self.versions.get(&self.last.cart);
        version.is_some_and(|version| *version >= self.last.version)
    }

    /// Reads until the stream breaks or everything is seen.
    async fn read(mut self, mut stream: Streaming<Seen>) -> Self {
        while !self.is_done() {
            match stream.message().await {
                Ok(Some(message)) => self.take(message),
                _ => return self,
            }
        }
        self.last.seen.fetch_add(1, Ordering::Relaxed);
        self
    }
}

/// A client program: watchers over one connection, which is opened again when it breaks.
async fn client(url: String, key: Keyed, mut watchers: Vec<Watcher>) {
    while !watchers.is_empty() {
        let endpoint = Channel::from_shared(url.clone()).expect("an address makes a URL");
        let Ok(channel) = endpoint.connect().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let transport = Transport::new(channel, key.clone());
        let opening = futures::stream::iter(watchers).map(|watcher| {
            let (transport, token) = (transport.clone(), watcher.resume_token.clone());
            async move {
                let opened = watchers::open(transport, Watched::Everything, token).await;
                (watcher, opened.ok())
            }
        });
        let mut opened = opening.buffer_unordered(OPENING);
        let mut reading = JoinSet::new();
        watchers = Vec::new();
        while let Some((watcher, stream)) = opened.next().await {
            match stream {
                Some(stream) => drop(reading.spawn(watcher.read(stream))),
                None => watchers.push(watcher),
            }
        }
        while let Some(watcher) = reading.join_next().await {
            let watcher = watcher.expect("a watcher does not panic");
            if !watcher.is_done() {
                watchers.push(watcher);
            }
        }
        if !watchers.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The seconds until all watchers were back.
struct Back {
    since_kill: f64,
    since_start: f64,
}

/// A shop whose server is killed repeatedly.
struct Victim {
    product: Product,
    clients: Clients,
    child: Child,
    keys: Vec<String>,
    carts: Arc<[String]>,
}

impl Victim {
    async fn new(bench: &Bench) -> Self {
        let shop = Shop::start(shop::embedded(bench)).await;
        let carts = shop.carts(CARTS, 1).await;
        let keys = shop.keys(WATCHERS.div_ceil(STREAMS_A_CONNECTION)).await;
        Self {
            product: Product {
                address: Some(shop.child.address),
                ..shop.product
            },
            clients: shop.clients,
            child: shop.child,
            keys,
            carts,
        }
    }

    async fn kill(self) -> (Self, Back) {
        let (marked, written) = (&self.carts[0], &self.carts[1..]);
        let marked_version = self.clients.add_item(0, marked, 0).await.version;
        let last = Arc::new(Last {
            cart: marked.clone(),
            version: marked_version + 1,
            seen: AtomicUsize::new(0),
            ready: AtomicUsize::new(0),
        });
        let mut programs = JoinSet::new();
        for (at, key) in self.keys.iter().enumerate() {
            let watchers = (at * STREAMS_A_CONNECTION..WATCHERS)
                .take(STREAMS_A_CONNECTION)
                .map(|_| Watcher {
                    resume_token: String::new(),
                    versions: HashMap::new(),
                    last: Arc::clone(&last),
                });
            let url = format!("http://{}", self.child.address);
            programs.spawn(client(url, Keyed::new(key), watchers.collect()));
        }
        until(|| last.ready.load(Ordering::Relaxed) == WATCHERS).await;

        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (clients, carts) = (self.clients.clone(), written.to_vec());
            writers.spawn(async move {
                for number in 0.. {
                    let cart = &carts[(writer + number * WRITERS) % carts.len()];
                    if clients.try_add_item(writer, cart, 0).await.is_err() {
                        return;
                    }
                }
            });
        }
        tokio::time::sleep(BEFORE).await;
        let killed = Instant::now();
        self.child.kill();
        let started = Instant::now();
        let child = Child::start(&Serving::Product(self.product.clone()));
        writers.join_all().await;
        let mark = async {
            while self.clients.try_add_item(0, marked, 0).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        mark.await;
        until(|| last.seen.load(Ordering::Relaxed) == WATCHERS).await;
        let back = Back {
            since_kill: killed.elapsed().as_secs_f64(),
            since_start: started.elapsed().as_secs_f64(),
        };
        programs.join_all().await;
        (Self { child, ..self }, back)
    }
}

/// Waits for a condition. The figure's time limit ends the wait otherwise.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub async fn all_are_back(bench: &Bench) -> Vec<Row> {
    let mut victim = Some(Victim::new(bench).await);
    let mut since_start = Vec::new();
    let rounds = repeat(async || {
        let alive = victim.take().expect("it is put back");
        let (alive, back) = alive.kill().await;
        victim = Some(alive);
        since_start.push(back.since_start);
        back.since_kill
    })
    .await;
    let row = Row::new(
        "After a kill, until all of 1,000 watchers are back and caught up, SQLite",
        "s",
        rounds.product,
        Target::AtMost(2.0),
    )
    .note(format!(
        "watchers of everything in {} programs, each with its token; from the kill, in the midst of \
         changes, until all have a change made after it and none skipped a version; from the start \
         of the new process {:.2} s in the median round",
        WATCHERS.div_ceil(STREAMS_A_CONNECTION),
        median(&since_start)
    ));
    vec![row]
}
