//! Readers of watch streams, light enough that the server is what is measured: of a message they
//! decode only which changes it has and when those were committed.

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

/// Streams over one connection, with a key of its own: servers allow a few hundred for each.
pub const STREAMS_A_CONNECTION: usize = 125;
/// Streams that are opened at once.
const OPENING: usize = 32;

/// What a stream is to tell of.
#[derive(Clone)]
pub enum Watched {
    /// All carts.
    Everything,
    /// The carts that match a filter.
    Matching(String),
    /// One cart, by name.
    Cart(String),
}

/// `WatchCartsResponse`, as far as it is read.
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

/// When the writers of changes learned that these were committed.
#[derive(Clone, Default)]
pub struct Commits(Arc<Mutex<HashMap<u64, Instant>>>);

impl Commits {
    /// The writer of this version of a cart has its answer.
    pub fn answered(&self, cart: &str, version: i64) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.insert(key(cart, version), Instant::now());
    }

    /// How many microseconds ago that was; 0 if it is yet to come.
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

/// Open streams and what they have been sent.
pub struct Watchers {
    readers: JoinSet<()>,
    told: Arc<Told>,
    /// How many streams there are.
    pub count: usize,
}

struct Told {
    changes: AtomicU64,
    counting: AtomicBool,
    delays: Histogram,
    stamped: Histogram,
    commits: Option<Commits>,
}

impl Watchers {
    /// Opens streams and waits until each has its snapshot. `keys` has one for each connection. Delays
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
        let told = Arc::new(Told {
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
                        let seen = stream.message().await.expect("the stream goes on");
                        if seen.is_some_and(|seen| seen.snapshot_end.is_some()) {
                            return stream;
                        }
                    }
                }
            });
        let streams: Vec<_> = opening.buffer_unordered(OPENING).collect().await;
        let mut readers = JoinSet::new();
        for stream in streams {
            readers.spawn(read(stream, Arc::clone(&told)));
        }
        Self {
            readers,
            told,
            count,
        }
    }

    /// How many changes have been told, over all streams.
    pub fn told(&self) -> u64 {
        self.told.changes.load(Ordering::Relaxed)
    }

    /// Counts delays from now on, and forgets those of before.
    pub fn count_delays(&self) {
        self.told.delays.clear();
        self.told.stamped.clear();
        self.told.counting.store(true, Ordering::Relaxed);
    }

    /// The delays from commit to reader that were counted.
    pub fn delays(&self) -> &Histogram {
        &self.told.delays
    }

    /// The same from the time in the changes, which is taken inside of their transactions.
    pub fn stamped(&self) -> &Histogram {
        &self.told.stamped
    }

    /// Waits until so many changes have been told, over all streams.
    pub async fn wait_for(&self, changes: u64) {
        while self.told() < changes {
            assert!(!self.readers.is_empty(), "streams go on");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// Opens a watch of every version, from where a token leads if there is one.
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

/// A watch of all carts that its program does not read, over a connection of its own.
pub async fn stall(child: &Child, key: Keyed) -> impl Sized {
    /// So small that not even the snapshot fits, and the server holds what comes after it.
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

async fn read(mut stream: Streaming<Seen>, told: Arc<Told>) {
    let clock = Clock::system();
    loop {
        let seen = match stream.message().await {
            Ok(Some(seen)) => seen,
            // A slow reader is sent away: that must not pass for a good figure.
            ended => panic!("a stream ended: {ended:?}"),
        };
        if told.counting.load(Ordering::Relaxed) {
            let now = clock.now();
            for change in &seen.changes {
                let stamp = change.commit_time.as_ref().map_or(now, micros);
                let since = (now - stamp).max(0).cast_unsigned();
                told.stamped.record(since);
                told.delays.record(match &told.commits {
                    Some(commits) => commits.age(&change.name, change.version),
                    None => since,
                });
            }
        }
        let changes = seen.changes.len() as u64;
        told.changes.fetch_add(changes, Ordering::Relaxed);
    }
}

fn micros(time: &Timestamp) -> i64 {
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
}
