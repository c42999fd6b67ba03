//! Live figures of a shop's open carts.
//!
//! While a stream watches the figures of a shop, one task of this process maintains them. The task follows
//! the feed as any stream does, so that the figures derive from the log alone. Further watchers share them.
//! When the last watcher leaves, the task ends.

mod follow;
mod ledger;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::feed::Feed;
use crate::proto::pb;
use crate::store::Store;
use ledger::Ledger;

/// The figures of all watched shops in this process. Cheap to clone.
#[derive(Clone)]
pub struct Figures(Arc<Inner>);

struct Inner {
    store: Store,
    feed: Feed,
    shops: Mutex<HashMap<Arc<str>, Weak<Watched>>>,
}

/// The figures of a shop, maintained as long as this is held.
pub struct Watched {
    board: Arc<Board>,
    _stop: DropGuard,
}

impl Figures {
    /// Creates the figures without a watcher.
    pub fn new(store: Store, feed: Feed) -> Self {
        Self(Arc::new(Inner {
            store,
            feed,
            shops: Mutex::default(),
        }))
    }

    /// Watches the figures of a shop. The first watcher starts the task.
    pub fn watch(&self, shop: &Arc<str>) -> Arc<Watched> {
        let shops = self.0.shops.lock();
        let mut shops = shops.unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = shops.get(shop).and_then(Weak::upgrade) {
            return watched;
        }
        shops.retain(|_, watched| watched.strong_count() > 0);
        let (board, stop) = (Arc::new(Board::default()), CancellationToken::new());
        tokio::spawn(follow::follow(
            self.0.store.clone(),
            self.0.feed.clone(),
            Arc::clone(shop),
            Arc::clone(&board),
            stop.clone(),
        ));
        let watched = Arc::new(Watched {
            board,
            _stop: stop.drop_guard(),
        });
        shops.insert(Arc::clone(shop), Arc::downgrade(&watched));
        watched
    }
}

impl Watched {
    /// The figures of a storefront, or of all if it is empty, at `now`; None while they are unknown.
    pub fn figures(&self, storefront: &str, now: i64) -> Option<pb::CartFigures> {
        let mut state = self.board.state();
        let idle_after = state.idle_after?;
        let ledger = state.ledger.as_mut()?;
        Some(ledger.figures(storefront, now, idle_after))
    }

    /// A receiver that changes whenever the figures may have changed by more than time.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.changed.subscribe()
    }
}

/// The state of a watched shop.
#[derive(Default)]
struct Board {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// The carts; None until the first snapshot is complete.
    ledger: Option<Ledger>,
    /// The setting of the shop in microseconds; None until it was read.
    idle_after: Option<i64>,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the watchers.
    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
