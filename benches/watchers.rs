//! Readers of watch streams, light enough that the server is what is measured: of a message they
//! decode only how many changes it has and when those were committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clientela::clock::Clock;
use clientela::proto::pb;
use futures::StreamExt as _;
use prost::Message;
use prost_types::Timestamp;
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
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
    #[prost(message, optional, tag = "5")]
    commit_time: Option<Timestamp>,
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
}

impl Watchers {
    /// Opens streams and waits until each has its snapshot. `keys` has one for each connection.
    pub async fn open(child: &Child, keys: &[String], watched: Vec<Watched>) -> Self {
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
        });
        let opening =
            futures::stream::iter(watched.into_iter().enumerate()).map(|(at, watched)| {
                let transport = connections[at / STREAMS_A_CONNECTION].clone();
                async move {
                    let mut stream = open(transport, watched).await;
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

    /// Whether delays are counted from now on.
    pub fn count_delays(&self, counting: bool) {
        self.told.counting.store(counting, Ordering::Relaxed);
    }

    /// The delays from commit to reader that were counted.
    pub fn delays(&self) -> &Histogram {
        &self.told.delays
    }

    /// Waits until so many changes have been told, over all streams.
    pub async fn wait_for(&self, changes: u64) {
        while self.told() < changes {
            assert!(!self.readers.is_empty(), "streams go on");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

async fn open(transport: Transport, watched: Watched) -> Streaming<Seen> {
    let options = Some(pb::WatchOptions {
        delivery_mode: pb::DeliveryMode::Every as i32,
        ..Default::default()
    });
    let mut grpc = Grpc::new(transport);
    grpc.ready().await.expect("the connection stands");
    let opened = match watched {
        Watched::Everything => {
            let request = pb::WatchCartsRequest {
                options,
                ..Default::default()
            };
            let path = PathAndQuery::from_static("/clientela.v1.CartService/WatchCarts");
            let codec = ProstCodec::<pb::WatchCartsRequest, Seen>::default();
            grpc.server_streaming(tonic::Request::new(request), path, codec)
                .await
        }
        Watched::Cart(name) => {
            let request = pb::WatchCartRequest {
                target: Some(pb::CartTarget {
                    target: Some(pb::cart_target::Target::Cart(name)),
                }),
                options,
            };
            let path = PathAndQuery::from_static("/clientela.v1.CartService/WatchCart");
            let codec = ProstCodec::<pb::WatchCartRequest, Seen>::default();
            grpc.server_streaming(tonic::Request::new(request), path, codec)
                .await
        }
    };
    opened.expect("a stream").into_inner()
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
                let committed = change.commit_time.as_ref().map_or(now, micros);
                told.delays.record((now - committed).max(0).cast_unsigned());
            }
        }
        let changes = seen.changes.len() as u64;
        told.changes.fetch_add(changes, Ordering::Relaxed);
    }
}

fn micros(time: &Timestamp) -> i64 {
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
}
