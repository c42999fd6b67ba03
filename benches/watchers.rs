//! Readers of watch streams that use little processor time, so that the server is measured. Of a message they
//! decode only the changes and their commit times.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clientela::clock::Clock;
use clientela::proto::pb;
use futures::StreamExt as _;
use prost::Message;
use prost_types::Timestamp;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::child::Child;
use crate::load::Histogram;
use crate::shop::{Keyed, Transport};

/// The streams of one connection, which has its own key: servers allow a few hundred for each.
pub const STREAMS_A_CONNECTION: usize = 125;
/// Streams that are opened concurrently.
const OPENING: usize = 32;

/// The selection of a stream.
#[derive(Clone)]
pub enum Watched {
    /// All carts.
    Everything,
    /// The carts that match a filter.
    Matching(String),
    /// One cart, by name.
    Cart(String),
}

/// The fields of `WatchCartsResponse` that are read.
#[derive(Clone, PartialEq, Message)]
struct Seen {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<SeenChange>,
    #[prost(message, optional, tag = "4")]
    snapshot_end: Option<()>,
}

#[derive(Clone, PartialEq, Message)]
struct SeenChange {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(int64, tag = "3")]
    version: i64,
    #[prost(message, optional, tag = "5")]
    commit_time: Option<Timestamp>,
}

/// The times at which the writers of changes had their answers.
#[derive(Clone, Default)]
pub struct Commits(Arc<Mutex<HashMap<u64, Instant>>>);

impl Commits {
    /// Records that the writer of this version of a cart has its answer.
    pub fn answered(&self, cart: &str, version: i64) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.insert(key(cart, version), Instant::now());
    }

    /// Returns how many microseconds ago that was, or 0 if there is no answer yet.
    fn age(&self, cart: &str, version: i64) -> u64 {
        let answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = answered.get(&key(cart, version)).copied();
        at.map_or(0, |at| {
            u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX)
        })
    }
}

fn key(cart: &str, version: i64) -> u64 {
    let mut hash = DefaultHasher::new();
    (cart, version).hash(&mut hash);
    hash.finish()
}

/// Open streams and what they have received.
pub struct Watchers {
    readers: JoinSet<()>,
    received: Arc<Received>,
    /// The number of streams.
    pub count: usize,
}

struct Received {
    changes: AtomicU64,
    counting: AtomicBool,
    delays: Histogram,
    stamped: Histogram,
    commits: Option<Commits>,
}

impl Watchers {
    /// Opens streams and waits until each has its snapshot. `keys` has one key for each connection. Delays
    /// are counted from `commits`, or without them from the time in the change.
    pub async fn open(
        child: &Child,
        keys: &[String],
        watched: Vec<Watched>,
        commits: Option<Commits>,
    ) -> Self {
        let count = watched.len();
        let mut connections = Vec::new();
        for key in keys.iter().take(count.div_ceil(STREAMS_A_CONNECTION)) {
            connections.push(Transport::new(child.connect().await, Keyed::new(key)));
        }
        assert!(
            connections.len() * STREAMS_A_CONNECTION >= count,
            "too few keys"
        );
        let received = Arc::new(Received {
            changes: AtomicU64::new(0),
            counting: AtomicBool::new(false),
            delays: Histogram::new(),
            stamped: Histogram::new(),
            commits,
        });
        let opening =
            futures::stream::iter(watched.into_iter().enumerate()).map(|(at, watched)| {
                let transport = connections[at / STREAMS_A_CONNECTION].clone();
                async move {
                    let stream = open(transport, watched, String::new()).await;
                    let mut stream: Streaming<Seen> = stream.expect("a stream");
                    loop {
                        let seen = stream.message().await.expect("the stream continues");
                        if seen.is_some_and(|seen| seen.snapshot_end.is_some()) {
                            return stream;
                        }
                    }
                }
            });
        let streams: Vec<_> = opening.buffer_unordered(OPENING).collect().await;
        let mut readers = JoinSet::new();
        for stream in streams {
            readers.spawn(read(stream, Arc::clone(&received)));
        }
        Self {
            readers,
            received,
            count,
        }
    }

    /// Returns how many changes all streams together have received.
    pub fn received(&self) -> u64 {
        self.received.changes.load(Ordering::Relaxed)
    }

    /// Starts counting delays, and removes earlier ones.
    pub fn count_delays(&self) {
        self.received.delays.clear();
        self.received.stamped.clear();
        self.received.counting.store(true, Ordering::Relaxed);
    }

    /// Returns the counted delays from commit to reader.
    pub fn delays(&self) -> &Histogram {
        &self.received.delays
    }

    /// Returns the delays from the time in the changes, which is taken within their transactions.
    pub fn stamped(&self) -> &Histogram {
        &self.received.stamped
    }

    /// Waits until all streams together have received `changes` changes.
    pub async fn wait_for(&self, changes: u64) {
        while self.received() < changes {
            assert!(!self.readers.is_empty(), "the streams stay open");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// Opens a watch of every version, after a token if there is one.
pub async fn open<M>(
    transport: Transport,
    watched: Watched,
    resume_token: String,
) -> Result<Streaming<M>, Status>
where
    M: Message + Default + 'static,
{
    let options = Some(pb::WatchOptions {
        delivery_mode: pb::DeliveryMode::Every as i32,
        resume_token,
        ..Default::default()
    });
    match watched {
        Watched::Everything | Watched::Matching(_) => {
            let filter = match watched {
                Watched::Matching(filter) => filter,
                _ => String::new(),
            };
            let request = pb::WatchCartsRequest {
                filter,
                options,
                ..Default::default()
            };
            stream(transport, "/clientela.v1.CartService/WatchCarts", request).await
        }
        Watched::Cart(name) => {
            let request = pb::WatchCartRequest {
                target: Some(pb::CartTarget {
                    target: Some(pb::cart_target::Target::Cart(name)),
                }),
                options,
            };
            stream(transport, "/clientela.v1.CartService/WatchCart", request).await
        }
    }
}

async fn stream<Q, M>(
    transport: Transport,
    path: &'static str,
    request: Q,
) -> Result<Streaming<M>, Status>
where
    Q: Message + 'static,
    M: Message + Default + 'static,
{
    let mut grpc = Grpc::new(transport);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let (path, codec) = (
        PathAndQuery::from_static(path),
        ProstCodec::<Q, M>::default(),
    );
    let opened = grpc
        .server_streaming(tonic::Request::new(request), path, codec)
        .await;
    opened.map(tonic::Response::into_inner)
}

/// Opens a watch of all carts whose messages are never read, over a separate connection.
pub async fn stall(child: &Child, key: Keyed) -> impl Sized {
    /// The window is so small that not even the snapshot fits, so the server has to hold later changes.
    const WINDOW: u32 = 4 * 1024;
    let endpoint = Channel::from_shared(format!("http://{}", child.address));
    let channel = endpoint
        .expect("an address makes a URL")
        .initial_stream_window_size(WINDOW)
        .connect()
        .await
        .expect("the server takes connections");
    let transport = Transport::new(channel, key);
    let opened = open::<Seen>(transport, Watched::Everything, String::new()).await;
    opened.expect("a stream")
}

async fn read(mut stream: Streaming<Seen>, received: Arc<Received>) {
    let clock = Clock::system();
    loop {
        let seen = match stream.message().await {
            Ok(Some(seen)) => seen,
            // A slow reader is disconnected, which must not count as a good figure.
            ended => panic!("a stream ended: {ended:?}"),
        };
        if received.counting.load(Ordering::Relaxed) {
            let now = clock.now();
            for change in &seen.changes {
                let stamp = change.commit_time.as_ref().map_or(now, micros);
                let since = (now - stamp).max(0).cast_unsigned();
                received.stamped.record(since);
                received.delays.record(match &received.commits {
                    Some(commits) => commits.age(&change.name, change.version),
                    None => since,
                });
            }
        }
        let changes = seen.changes.len() as u64;
        received.changes.fetch_add(changes, Ordering::Relaxed);
    }
}

fn micros(time: &Timestamp) -> i64 {
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
}
