//! G5: tests two server processes on one PostgreSQL that are killed in turn. A watch resumes at the other
//! server with its token.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clientela::proto::pb::{self, AddItemRequest, cart_service_client::CartServiceClient};
use tonic::Code;
use tonic::transport::Endpoint;

use super::{PATIENCE, Server};
use crate::harness::{CartWatch, Engine, Point, Shop, Transport};
use crate::watch::{every, item, visitor};

/// Carts that are filled concurrently.
const CARTS: usize = 4;
/// Products put into each cart.
const ADDITIONS: usize = 60;
/// The number of kills.
const KILLS: usize = 4;

fn client(address: SocketAddr, key: &str) -> CartServiceClient<Transport> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.expect("an address makes a URL").connect_lazy();
    CartServiceClient::with_interceptor(channel, Shop::with_key(key))
}

/// Puts products into a cart through either server. A call without an answer is repeated at the other server
/// with the same request id.
async fn fill(addresses: [SocketAddr; 2], key: String, number: usize) {
    let mut clients = addresses.map(|address| client(address, &key));
    for addition in 0..ADDITIONS {
        let request = AddItemRequest {
            target: Some(visitor(&format!("of two servers, {number}"))),
            item: Some(item("hat", 1)),
            request_id: format!("{number}-{addition}"),
            ..Default::default()
        };
        let until = Instant::now() + PATIENCE;
        let mut turn = addition;
        while let Err(status) = clients[turn % 2].add_item(request.clone()).await {
            let passes = !matches!(status.code(), Code::InvalidArgument | Code::Aborted);
            assert!(passes && Instant::now() < until, "{status:?}");
            turn += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The state of a client that follows the carts from server to server.
struct Follower {
    key: String,
    point: Option<Point>,
    /// The versions received of each cart, on all streams.
    received: BTreeMap<String, BTreeSet<i64>>,
}

impl Follower {
    async fn open(&self, address: SocketAddr) -> CartWatch {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut client = client(address, &self.key);
            let opened = match self.point.clone() {
                Some(point) => CartWatch::resume_at(point, &mut client, every()).await,
                None => CartWatch::open(&mut client, every()).await,
            };
            match opened {
                Ok(watch) => return watch,
                Err(status) => assert!(Instant::now() < until, "{status:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reads until this number of versions is known in all.
    async fn read(&mut self, watch: &mut CartWatch, versions: usize) {
        watch
            .until("the versions", |watch| {
                let known = watch.carts.values().map(|cart| cart.version).sum::<i64>();
                usize::try_from(known).is_ok_and(|known| known >= versions)
            })
            .await;
    }

    /// Adds the changes of a stream whose server was killed.
    async fn end(&mut self, mut watch: CartWatch) {
        let status = loop {
            if let Err(status) = watch.next().await {
                break status;
            }
        };
        let broken = matches!(
            status.code(),
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
        );
        assert!(broken, "a killed server breaks the stream: {status:?}");
        self.take(&watch);
    }

    fn take(&mut self, watch: &CartWatch) {
        for change in &watch.changes {
            let versions = self.received.entry(change.name.clone()).or_default();
            versions.insert(change.version);
        }
        self.point = Some(watch.point());
    }
}

/// The watch itself asserts that neither a stream nor a resume skips a version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_continues_while_two_servers_are_killed_in_turn() {
    let first = Server::start(Engine::Postgres).await;
    let key = first.key("admin");
    let mut servers = [first.beside(), first];
    let addresses = [servers[0].address, servers[1].address];
    let mut follower = Follower {
        key: key.clone(),
        point: None,
        received: BTreeMap::new(),
    };
    // The watch opens before the first write, so each version is sent as a change.
    let mut watch = follower.open(addresses[0]).await;
    watch.snapshot().await;
    let writers: Vec<_> = (0..CARTS)
        .map(|number| tokio::spawn(fill(addresses, key.clone(), number)))
        .collect();

    for kill in 0..KILLS {
        let (here, there) = (kill % 2, (kill + 1) % 2);
        let enough = CARTS * ADDITIONS * (kill + 1) / (KILLS + 2);
        follower.read(&mut watch, enough).await;
        servers[here].kill();
        follower.end(watch).await;
        watch = follower.open(addresses[there]).await;
        servers[here].start_again();
    }

    for writer in writers {
        writer.await.expect("a writer ends when all is answered");
    }
    follower.read(&mut watch, CARTS * ADDITIONS).await;
    follower.take(&watch);
    let mut client = client(addresses[1], &key);
    let listed = client.list_carts(pb::ListCartsRequest::default()).await;
    let listed = listed.expect("a list").into_inner().carts;
    let listed: BTreeMap<_, _> = listed
        .into_iter()
        .map(|cart| (cart.name.clone(), cart))
        .collect();
    assert_eq!(watch.carts, listed);
    let whole: BTreeSet<i64> = (1..=i64::try_from(ADDITIONS).unwrap()).collect();
    assert_eq!(follower.received.len(), CARTS);
    for (name, versions) in &follower.received {
        assert_eq!(*versions, whole, "{name}");
    }
}
