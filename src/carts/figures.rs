//! How a shop's open carts are doing, live.
//!
//! While somebody watches the figures of a shop, one task of this process keeps them: it follows the
//! feed as any stream does, so that the figures are those of the log and of nothing else. Who begins to
//! watch shares what is there; when the last one goes, the task ends.

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

/// The figures of all shops that are watched in this process; cheap to clone.
#[derive(Clone)]
pub struct Figures(Arc<Inner>);

struct Inner {
    store: Store,
    feed: Feed,
    shops: Mutex<HashMap<Arc<str>, Weak<Watched>>>,
}

/// The figures of a shop, kept for as long as this is held.
pub struct Watched {
    board: Arc<Board>,
    _stop: DropGuard,
}

impl Figures {
    /// Nobody watches yet.
    pub fn new(store: Store, feed: Feed) -> Self {
        Self(Arc::new(Inner {
            store,
            feed,
            shops: Mutex::default(),
        }))
    }

    /// The figures of a shop. They are kept from now on, if nobody watched them before.
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
    /// The figures of a storefront, or of all if it is empty, at `now`; None while they are not known.
    pub fn figures(&self, storefront: &str, now: i64) -> Option<pb::CartFigures> {
        let mut state = self.board.state();
        let idle_after = state.idle_after?;
        let ledger = state.ledger.as_mut()?;
        Some(ledger.figures(storefront, now, idle_after))
    }

    /// A receiver that changes whenever the figures may have, the time aside.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.changed.subscribe()
    }
}

/// What is known of a shop.
#[derive(Default)]
struct Board {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// The carts; None until they are whole.
    ledger: Option<Ledger>,
    /// The shop's setting; None until it was read.
    idle_after: Option<i64>,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, and tells those who watch.
    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
