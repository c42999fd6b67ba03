//! The task that maintains the figures of a shop: it follows the feed, and reads the setting at intervals.
//!
//! Invariant: the shown figures are complete. A new snapshot is collected separately and replaces them when
//! it is complete. Until then they stay, whatever interrupts the stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use prost::Message as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::Board;
use super::ledger::{Counted, Ledger};
use crate::caller::Caller;
use crate::carts::schema::TABLE;
use crate::carts::{model, sql};
use crate::clock;
use crate::error::{Error, Result};
use crate::feed::{
    Decoded, Feed, Frame, Kind, PageQuery, Resource, Row, Rows, Scope, Stream, WatchRequest,
    timestamp,
};
use crate::proto::pb::{self, WatchCartsResponse, WatchOptions, watch_carts_response::Signal};
use crate::shops;
use crate::store::{Conn, Purpose, Store};

/// How often the setting is read.
const SETTING_INTERVAL: Duration = Duration::from_secs(1);
/// The pause before a failed stream is opened again.
const RETRY: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Maintains the figures of a shop until `stop`, or until the process drains its streams.
pub(super) async fn follow(
    store: Store,
    feed: Feed,
    shop: Arc<str>,
    board: Arc<Board>,
    stop: CancellationToken,
) {
    let draining = feed.draining().clone();
    // Streams are counted by key, and each shop has one of its own.
    let caller = Caller {
        key_id: Arc::from(format!("figures of {shop}")),
        ..Caller::system(Arc::clone(&shop), None)
    };
    let reader = Reader {
        feed,
        caller: Arc::new(caller),
        board: Arc::clone(&board),
        token: String::new(),
        fresh: None,
        received: false,
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = draining.cancelled() => {}
        () = reader.run() => {}
        () = read_setting(store, shop, board) => {}
    }
}

/// Reads the shop's setting again and again.
async fn read_setting(store: Store, shop: Arc<str>, board: Arc<Board>) {
    let store = store.reserved_for(Purpose::Streams);
    let mut turns = tokio::time::interval(SETTING_INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let shop = Arc::clone(&shop);
        let read = store.read(|conn| async move { shops::settings(conn, &shop).await }.boxed());
        match read.await {
            Ok(settings) => {
                let minutes = u32::try_from(settings.cart_idle_after_minutes).unwrap_or_default();
                let idle_after = Some(clock::micros(MINUTE.saturating_mul(minutes)));
                if board.state().idle_after != idle_after {
                    board.update(|state| state.idle_after = idle_after);
                }
            }
            Err(error) => tracing::warn!(%error, "the setting of figures cannot be read"),
        }
    }
}

/// Follows the feed across any number of streams.
struct Reader {
    feed: Feed,
    caller: Arc<Caller>,
    board: Arc<Board>,
    /// The resume token of the next stream; empty if it begins with a snapshot.
    token: String,
    /// The received part of a snapshot.
    fresh: Option<Ledger>,
    /// Whether the stream has sent a message.
    received: bool,
}

impl Reader {
    async fn run(mut self) {
        loop {
            let ended = self.read().await;
            // A snapshot that was not completed begins again.
            if self.fresh.take().is_some() {
                self.token.clear();
            }
            let passing = ended.code() == Code::Unavailable;
            if !passing {
                tracing::warn!(error = %ended, "the feed of figures ended; it restarts from a snapshot");
                self.token.clear();
            }
            // A stream that ended at its age is opened again at once. A stream of a draining server ends
            // without ever waiting, so this yields to let `follow` see that it has to stop.
            if passing && std::mem::take(&mut self.received) {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Reads one stream to its end.
    async fn read(&mut self) -> Status {
        let mut stream = match self.open() {
            Ok(stream) => stream,
            Err(error) => return error.into(),
        };
        loop {
            match stream.next().await {
                Some(Ok(frame)) => {
                    self.received = true;
                    if let Err(error) = self.take(&frame) {
                        return error.into();
                    }
                }
                Some(Err(status)) => return status,
                None => return Status::internal("a watch ended well"),
            }
        }
    }

    fn open(&self) -> Result<Stream> {
        let options = WatchOptions {
            resume_token: self.token.clone(),
            reset_on_expired_token: true,
            ..WatchOptions::default()
        };
        self.feed.watch(WatchRequest {
            caller: Arc::clone(&self.caller),
            resource: &COUNTED,
            scope: Scope::All,
            filter: None,
            options: Some(options),
        })
    }

    fn take(&mut self, frame: &Frame) -> Result<()> {
        let message = WatchCartsResponse::decode(frame.encode_to_vec().as_slice())
            .map_err(Error::internal)?;
        if matches!(message.signal, Some(Signal::SnapshotBegin(_))) {
            self.fresh = Some(Ledger::default());
        }
        match &mut self.fresh {
            Some(fresh) => put(fresh, &message.changes),
            None if message.changes.is_empty() => {}
            None => self.board.update(|state| {
                if let Some(ledger) = &mut state.ledger {
                    put(ledger, &message.changes);
                }
            }),
        }
        if matches!(message.signal, Some(Signal::SnapshotEnd(_))) {
            let whole = self.fresh.take();
            self.board.update(|state| state.ledger = whole);
        }
        if self.fresh.is_none() && !message.resume_token.is_empty() {
            self.token = message.resume_token;
        }
        Ok(())
    }
}

fn put(ledger: &mut Ledger, changes: &[pb::CartChange]) {
    for change in changes {
        ledger.put(&change.name, change.cart.as_ref().and_then(Counted::of));
    }
}

/// The view of carts for figures. A snapshot has the carts that count, with the fields that count; changes
/// are those of all carts.
struct CountedCarts;

static COUNTED: CountedCarts = CountedCarts;

impl Resource for CountedCarts {
    fn kind(&self) -> Kind {
        TABLE.kind
    }

    fn collection(&self) -> &'static str {
        TABLE.collection
    }

    fn decode(&'static self, body: &[u8]) -> Result<Arc<dyn Decoded>> {
        Ok(Arc::new(TABLE.decode(body)?))
    }

    fn page<'c>(
        &'static self,
        conn: &'c mut Conn,
        query: PageQuery,
    ) -> BoxFuture<'c, Result<Rows>> {
        async move {
            let after = query.after.unwrap_or_default();
            let rows = sql::counted(conn, &query.shop, &after, query.limit).await?;
            Ok(Rows::up_to(
                query.limit,
                rows.into_iter().map(row).collect(),
            ))
        }
        .boxed()
    }
}

fn row(counted: sql::CountedRow) -> Row {
    let customer = match counted.customer_id.as_str() {
        "" => String::new(),
        id => format!("customers/{id}"),
    };
    let cart = pb::Cart {
        name: model::name(&counted.id),
        customer,
        visitor_id: counted.visitor_id,
        storefront: counted.storefront,
        total: Some(pb::Money {
            currency_code: counted.currency.clone(),
            micros: counted.total_micros,
        }),
        currency_code: counted.currency,
        item_count: counted.item_count,
        state: pb::cart::State::Open.into(),
        activity_time: Some(timestamp(counted.activity_time)),
        abandonment: i32::try_from(counted.abandonment).unwrap_or_default(),
        ..pb::Cart::default()
    };
    Row {
        id: counted.id,
        version: counted.version,
        body: Bytes::from(cart.encode_to_vec()),
    }
}
