//! Tests that streams behind a balancer of connections spread over a new server: streams end at their age,
//! and old connections take no new ones.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clientela::proto::pb::AddItemRequest;
use clientela::proto::pb::cart_service_client::CartServiceClient;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::{
    CartWatch, Engine, PATIENCE, Point, Seen, Setup, Shop, Transport, eventually,
};
use crate::watch::{every, item, visitor};

const WATCHERS: usize = 8;

/// Leads each new connection to the next of its backends.
struct Forwarder {
    address: SocketAddr,
    backends: Arc<Mutex<Vec<Backend>>>,
    _accepting: JoinSet<()>,
}

#[derive(Clone)]
struct Backend {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
}

impl Forwarder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backends = Arc::new(Mutex::new(Vec::<Backend>::new()));
        let known = Arc::clone(&backends);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            for turn in 0.. {
                let (client, _) = listener.accept().await.unwrap();
                let backend = {
                    let known = known.lock().unwrap();
                    known[turn % known.len()].clone()
                };
                connections.spawn(forward(client, backend));
            }
        });
        Self {
            address,
            backends,
            _accepting: accepting,
        }
    }

    /// Adds a backend and returns the counter of its open connections.
    fn add(&self, address: SocketAddr) -> Arc<AtomicUsize> {
        let open = Arc::new(AtomicUsize::new(0));
        let backend = Backend {
            address,
            open: Arc::clone(&open),
        };
        self.backends.lock().unwrap().push(backend);
        open
    }
}

async fn forward(mut client: TcpStream, backend: Backend) {
    let Ok(mut server) = TcpStream::connect(backend.address).await else {
        return;
    };
    backend.open.fetch_add(1, Ordering::SeqCst);
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    backend.open.fetch_sub(1, Ordering::SeqCst);
}

/// The versions of the one cart that a watcher received, in order, over all its streams.
type Versions = Arc<Mutex<Vec<i64>>>;

/// Returns the answer of a call, or None if the call must be repeated. A connection that is closing does not
/// carry a new call. Clients of other languages repeat it by themselves; tonic's does not.
fn through<T>(answer: Result<T, Status>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(status) => {
            let passing = matches!(status.code(), Code::Cancelled | Code::Unavailable);
            assert!(passing, "{status:?}");
            None
        }
    }
}

/// Opens a watch from a snapshot or from a point.
async fn open(client: &mut CartServiceClient<Transport>, point: Option<Point>) -> CartWatch {
    loop {
        let opened = match point.clone() {
            None => CartWatch::open(client, every()).await,
            Some(point) => CartWatch::resume_at(point, client, every()).await,
        };
        if let Some(watch) = through(opened) {
            return watch;
        }
    }
}

/// Watches until cancelled as an ordinary client: one channel, and a new stream when the last has ended.
async fn follow(forwarder: SocketAddr, key: String, versions: Versions, ready: Arc<AtomicUsize>) {
    let channel = Channel::from_shared(format!("http://{forwarder}"))
        .unwrap()
        .connect_lazy();
    let mut client = CartServiceClient::with_interceptor(channel, Shop::with_key(&key));
    let mut watch = open(&mut client, None).await;
    loop {
        match watch.next().await {
            Ok(Seen::Changes(changes)) => {
                let received = changes.iter().map(|change| change.version);
                versions.lock().unwrap().extend(received);
            }
            Ok(Seen::SnapshotEnd(_)) => {
                ready.fetch_add(1, Ordering::SeqCst);
            }
            Ok(_) => {}
            Err(ended) => {
                assert_eq!(ended.code(), Code::Unavailable, "{ended:?}");
                watch = open(&mut client, Some(watch.point())).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_spread_over_a_new_server_and_lose_nothing() {
    let mut setup = Setup::default();
    setup.feed.stream_age = Duration::from_secs(1);
    setup.connection_age = None;
    let shop = Shop::start_with(Engine::Postgres, setup.clone()).await;
    let forwarder = Forwarder::start().await;
    let on_old = forwarder.add(shop.address);
    let (mut watching, ready) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    let all_versions: Vec<Versions> = (0..WATCHERS).map(|_| Versions::default()).collect();
    for versions in &all_versions {
        watching.spawn(follow(
            forwarder.address,
            shop.admin_key.clone(),
            Arc::clone(versions),
            Arc::clone(&ready),
        ));
    }
    eventually("all watchers past their snapshot", async || {
        (ready.load(Ordering::SeqCst) == WATCHERS).then_some(())
    })
    .await;
    assert!(
        on_old.load(Ordering::SeqCst) >= WATCHERS,
        "on the old server"
    );

    let replica = shop.replica(setup).await;
    let on_new = forwarder.add(replica.address);
    let who = visitor("whom everybody watches");
    let mut carts = shop.carts();
    let mut additions = 0;
    let until = Instant::now() + PATIENCE;
    let last = loop {
        assert!(Instant::now() < until, "streams go to the new server");
        additions += 1;
        // The lines repeat, so the cart does not grow.
        let request = AddItemRequest {
            target: Some(who.clone()),
            item: Some(item("a", 1)),
            request_id: format!("addition-{additions}"),
            ..Default::default()
        };
        let cart = loop {
            if let Some(cart) = through(carts.add_item(request.clone()).await) {
                break cart.into_inner();
            }
        };
        let spread = on_new
            .load(Ordering::SeqCst)
            .min(on_old.load(Ordering::SeqCst));
        if spread >= WATCHERS / 4 && cart.version > 50 {
            break cart.version;
        }
    };
    eventually("the last version at every watcher", async || {
        let there = |versions: &Versions| versions.lock().unwrap().last() == Some(&last);
        all_versions.iter().all(there).then_some(())
    })
    .await;

    for versions in &all_versions {
        let versions = versions.lock().unwrap();
        let all: Vec<i64> = (versions[0]..=last).collect();
        assert_eq!(*versions, all, "each version once, in order");
        assert!(versions[0] <= 1, "from the first on");
    }
    watching.shutdown().await;
    replica.stop().await;
}
