//! Streams without a server: a feed on a store whose clock is held, and a kind of resource that only the
//! tests have. Its rows are in memory, and reads of them can be delayed.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use clientela::caller::Caller;
use clientela::error::Result;
use clientela::feed::{
    self, Change, Decoded, Feed, FeedSettings, Kind, LogOrder, PageQuery, Resource, Row, Rows,
    Scope, WatchRequest, history,
};
use clientela::filter::{Record, Value};
use clientela::limits;
use clientela::proto::pb::{self, WatchCartsResponse, WatchOptions};
use clientela::revision::Position;
use clientela::store::{Conn, Locks};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use prost::Message as _;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::harness::store::{TestStore, caller, stores};
use crate::harness::{PATIENCE, eventually};

/// A feed with its store and its resources.
pub struct Stage {
    pub test: TestStore,
    pub feed: Feed,
    /// Cancelled to ask all streams to go.
    pub draining: CancellationToken,
    pub things: &'static Things,
}

/// Returns one stage of each engine.
pub async fn stages() -> Vec<Stage> {
    let mut stages = Vec::new();
    for test in stores().await {
        let things = Things(Arc::new(Inner::default()));
        let draining = CancellationToken::new();
        stages.push(Stage {
            feed: start(&test, &draining).await,
            test,
            draining,
            things: Box::leak(Box::new(things)),
        });
    }
    stages
}

async fn start(test: &TestStore, draining: &CancellationToken) -> Feed {
    let settings = FeedSettings::default();
    let started = Feed::start(test.store.clone(), settings, draining.clone());
    started.await.expect("a feed starts")
}

impl Stage {
    /// Continues with another feed, as after a restart: its ring is empty.
    pub async fn restart(&mut self) {
        self.feed = start(&self.test, &self.draining).await;
    }

    /// Moves the clock until all streams are closed as unread.
    pub async fn leave_unread(&self) {
        let look = || async {
            self.test.clock.advance(limits::WATCH_STALLED_MAX / 6);
            (self.feed.streams() == 0).then_some(())
        };
        eventually("unread streams are given up", look).await;
    }

    /// Opens a stream of all things.
    pub fn watch(&self, options: WatchOptions) -> Reader {
        self.watch_as(caller(), options)
    }

    /// Opens a stream of all things for another caller.
    pub fn watch_as(&self, caller: Caller, options: WatchOptions) -> Reader {
        let request = WatchRequest {
            caller: Arc::new(caller),
            resource: self.things,
            scope: Scope::All,
            filter: None,
            options: Some(options),
        };
        Reader(self.feed.watch(request).expect("a stream"))
    }

    /// Makes a new version of a thing.
    pub async fn put(&self, id: &str, version: i64) {
        self.things.rows().insert(id.into(), version);
        self.append(Change::upserted(
            clientela::carts::KIND,
            id,
            version,
            &thing(id, version),
        ))
        .await;
    }

    /// Removes a thing.
    pub async fn remove(&self, id: &str) {
        let version = self.things.rows().remove(id).expect("it is there") + 1;
        self.append(Change::deleted(clientela::carts::KIND, id, version))
            .await;
    }

    /// Waits until the log is complete up to its last row and returns its end. On PostgreSQL any transaction
    /// of the cluster may hold it back.
    pub async fn settled(&self) -> Position {
        let store = &self.test.store;
        let end = |order| store.read(move |conn| history::end(conn, order).boxed());
        eventually("the end of open transactions", || async {
            let last = end(LogOrder::Numbers).await.expect("a number");
            let end = end(LogOrder::Transactions).await.expect("an end");
            (end.seq == last.seq).then_some(end)
        })
        .await
    }

    async fn append(&self, change: Change) {
        let data = (caller(), change, self.test.clock.now());
        let append =
            self.test
                .store
                .write_with(Locks::none(), data, |tx, (caller, change, now)| {
                    async move { feed::append(tx, caller, *now, change.clone()).await }.boxed()
                });
        append.await.expect("the change is written");
    }
}

fn thing(id: &str, version: i64) -> pb::Cart {
    pb::Cart {
        name: format!("carts/{id}"),
        version,
        ..Default::default()
    }
}

/// The reader of a stream.
pub struct Reader(feed::Stream);

impl Reader {
    /// The next message.
    pub async fn next(&mut self) -> Result<WatchCartsResponse, Status> {
        let frame = tokio::time::timeout(PATIENCE, self.0.next())
            .await
            .expect("a message comes")
            .expect("a watch ends only with an error")?;
        let bytes = frame.encode_to_vec();
        Ok(WatchCartsResponse::decode(&*bytes).expect("a frame is a response"))
    }
}

/// The resources.
pub struct Things(Arc<Inner>);

struct Inner {
    /// The versions of the things that exist.
    rows: Mutex<BTreeMap<String, i64>>,
    /// How many pages may be read.
    pages: Semaphore,
    /// How many pages readers have asked for.
    asked: watch::Sender<usize>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            rows: Mutex::default(),
            pages: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            asked: watch::Sender::new(0),
        }
    }
}

impl Things {
    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, i64>> {
        self.0
            .rows
            .lock()
            .expect("no thread panics while holding it")
    }

    /// Makes readers wait for their pages.
    pub fn hold(&self) {
        self.0.pages.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets this number of pages be read.
    pub fn let_pass(&self, pages: usize) {
        self.0.pages.add_permits(pages);
    }

    /// Waits until this number of pages has been asked for in all.
    pub async fn asked(&self, pages: usize) {
        let mut asked = self.0.asked.subscribe();
        let asked = asked.wait_for(|asked| *asked >= pages);
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        asked
            .expect("they are asked for")
            .expect("the sender is there");
    }
}

impl Resource for Things {
    fn kind(&self) -> Kind {
        clientela::carts::KIND
    }

    fn collection(&self) -> &'static str {
        "carts"
    }

    fn decode(&self, _body: &[u8]) -> Result<Arc<dyn Decoded>> {
        Ok(Arc::new(Plain))
    }

    fn page<'c>(&self, _conn: &'c mut Conn, query: PageQuery) -> BoxFuture<'c, Result<Rows>> {
        let inner = Arc::clone(&self.0);
        async move {
            inner.asked.send_modify(|asked| *asked += 1);
            inner
                .pages
                .acquire()
                .await
                .expect("it is never closed")
                .forget();
            let rows = inner
                .rows
                .lock()
                .expect("no thread panics while holding it");
            let after = query.after.map_or(Unbounded, Excluded);
            let rows = rows
                .range((after, Unbounded))
                .take(usize::try_from(query.limit).expect("a limit is a number"))
                .map(|(id, version)| Row {
                    id: id.clone(),
                    version: *version,
                    body: Bytes::from(thing(id, *version).encode_to_vec()),
                })
                .collect();
            Ok(Rows::up_to(query.limit, rows))
        }
        .boxed()
    }
}

/// A thing in memory; no test filters things.
struct Plain;

impl Record for Plain {
    fn value(&self, _field: usize) -> Value<'_> {
        Value::Absent
    }
}

impl Decoded for Plain {}
