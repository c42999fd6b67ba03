//! A fair queue: shops take turns, and within a shop its keys.
//!
//! Invariant: the work of a key waits for at most one piece of work of each other shop, and for one of each
//! other key of its own shop, however much they queue. When the queue is full, the key with the most work
//! makes room.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::caller::Caller;

/// The shop and the key for which a password is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The id of the shop.
    pub shop: Arc<str>,
    /// The id of the key.
    pub key: Arc<str>,
}

impl Owner {
    /// The owner of a caller's work.
    pub fn of(caller: &Caller) -> Self {
        Self {
            shop: Arc::clone(&caller.shop),
            key: Arc::clone(&caller.key_id),
        }
    }
}

/// Work in the queue. Unwanted work makes room for other work.
pub trait Work {
    /// Whether somebody waits for it.
    fn is_wanted(&self) -> bool;
    /// Answers that the queue is full.
    fn refuse(self);
}

/// The most work that may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The limit of all keys together.
    pub total: usize,
    /// The limit of one key.
    pub per_key: usize,
}

/// The queue.
pub struct Queue<W> {
    bounds: Bounds,
    state: Mutex<State<W>>,
    changed: Condvar,
}

struct State<W> {
    /// The shop with the next turn comes first. None is empty.
    shops: VecDeque<OfShop<W>>,
    is_closed: bool,
}

struct OfShop<W> {
    shop: Arc<str>,
    /// The key with the next turn comes first. None is empty.
    keys: VecDeque<OfKey<W>>,
}

struct OfKey<W> {
    key: Arc<str>,
    waiting: VecDeque<W>,
}

impl<W: Work> Queue<W> {
    /// Creates an empty queue.
    pub fn new(bounds: Bounds) -> Self {
        let state = State {
            shops: VecDeque::new(),
            is_closed: false,
        };
        Self {
            bounds,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds work. Without room, work is refused at once.
    pub fn push(&self, owner: &Owner, work: W) {
        let mut state = self.state();
        let mut refused = None;
        if !state.has_room(self.bounds, owner) {
            state.forget_unwanted();
        }
        if state.has_room(self.bounds, owner) {
            state.add(owner, work);
        } else if state.of_key(owner) < self.bounds.per_key
            && let Some(newest) = state.take_from_largest(owner)
        {
            state.add(owner, work);
            refused = Some(newest);
        } else {
            refused = Some(work);
        }
        drop(state);
        self.changed.notify_one();
        if let Some(work) = refused {
            work.refuse();
        }
    }

    /// Takes the next work, once there is some; None after the queue was closed.
    pub fn pop(&self) -> Option<W> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(work) = state.next() {
                return Some(work);
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends all waits in [`pop`](Self::pop).
    pub fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }
}

impl<W: Work> State<W> {
    fn total(&self) -> usize {
        self.shops.iter().map(OfShop::len).sum()
    }

    fn of_shop(&self, owner: &Owner) -> usize {
        let shop = self.shops.iter().find(|of| of.shop == owner.shop);
        shop.map_or(0, OfShop::len)
    }

    fn of_key(&self, owner: &Owner) -> usize {
        let shop = self.shops.iter().find(|of| of.shop == owner.shop);
        let key = shop.and_then(|of| of.keys.iter().find(|of| of.key == owner.key));
        key.map_or(0, |of| of.waiting.len())
    }

    fn has_room(&self, bounds: Bounds, owner: &Owner) -> bool {
        self.total() < bounds.total && self.of_key(owner) < bounds.per_key
    }

    fn add(&mut self, owner: &Owner, work: W) {
        let at = self.shops.iter().position(|of| of.shop == owner.shop);
        let at = at.unwrap_or_else(|| {
            self.shops.push_back(OfShop {
                shop: Arc::clone(&owner.shop),
                keys: VecDeque::new(),
            });
            self.shops.len() - 1
        });
        let keys = &mut self.shops[at].keys;
        match keys.iter_mut().find(|of| of.key == owner.key) {
            Some(of_key) => of_key.waiting.push_back(work),
            None => keys.push_back(OfKey {
                key: Arc::clone(&owner.key),
                waiting: [work].into(),
            }),
        }
    }

    /// Takes the next work. The turn passes to the next shop, and to the next key of this one.
    fn next(&mut self) -> Option<W> {
        let mut shop = self.shops.pop_front()?;
        let mut key = shop.keys.pop_front()?;
        let work = key.waiting.pop_front()?;
        if !key.waiting.is_empty() {
            shop.keys.push_back(key);
        }
        if !shop.keys.is_empty() {
            self.shops.push_back(shop);
        }
        Some(work)
    }

    fn forget_unwanted(&mut self) {
        for shop in &mut self.shops {
            for key in &mut shop.keys {
                key.waiting.retain(Work::is_wanted);
            }
            shop.keys.retain(|key| !key.waiting.is_empty());
        }
        self.shops.retain(|shop| !shop.keys.is_empty());
    }

    /// Takes the newest work of the key with the most work, in the shop with the most work, if that is more
    /// than `owner` will have.
    fn take_from_largest(&mut self, owner: &Owner) -> Option<W> {
        let (of_shop, of_key) = (self.of_shop(owner), self.of_key(owner));
        let shop = self.shops.iter_mut().max_by_key(|of| of.len())?;
        let is_own = shop.shop == owner.shop;
        if !is_own && shop.len() <= of_shop + 1 {
            return None;
        }
        let key = shop.keys.iter_mut().max_by_key(|of| of.waiting.len())?;
        if is_own && key.waiting.len() <= of_key + 1 {
            return None;
        }
        let newest = key.waiting.pop_back();
        shop.keys.retain(|key| !key.waiting.is_empty());
        newest
    }
}

impl<W> OfShop<W> {
    fn len(&self) -> usize {
        self.keys.iter().map(|key| key.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Piece {
        name: String,
        is_wanted: bool,
        refused: Arc<AtomicUsize>,
    }

    impl Work for Piece {
        fn is_wanted(&self) -> bool {
            self.is_wanted
        }

        fn refuse(self) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Waiting {
        queue: Queue<Piece>,
        refused: Arc<AtomicUsize>,
    }

    impl Waiting {
        fn new(total: usize, per_key: usize) -> Self {
            Self {
                queue: Queue::new(Bounds { total, per_key }),
                refused: Arc::default(),
            }
        }

        fn push_as(&self, shop: &str, key: &str, count: usize, is_wanted: bool) {
            let owner = Owner {
                shop: shop.into(),
                key: key.into(),
            };
            for _ in 0..count {
                let refused = Arc::clone(&self.refused);
                let name = format!("{shop}{key}");
                let piece = Piece {
                    name,
                    is_wanted,
                    refused,
                };
                self.queue.push(&owner, piece);
            }
        }

        fn push(&self, shop: &str, key: &str, count: usize) {
            self.push_as(shop, key, count, true);
        }

        fn refused(&self) -> usize {
            self.refused.load(Ordering::Relaxed)
        }

        /// Returns the names of the waiting pieces in the order of their turns.
        fn turns(&self) -> String {
            let mut names = Vec::new();
            while let Some(piece) = self.queue.state().next() {
                names.push(piece.name);
            }
            names.join(" ")
        }
    }

    #[test]
    fn shops_and_their_keys_take_turns() {
        let waiting = Waiting::new(64, 64);
        waiting.push("a", "1", 4);
        waiting.push("b", "3", 2);
        waiting.push("a", "2", 2);

        assert_eq!(waiting.turns(), "a1 b3 a2 b3 a1 a2 a1 a1");
    }

    #[test]
    fn a_key_has_only_so_much() {
        let waiting = Waiting::new(64, 3);
        waiting.push("a", "1", 5);

        assert_eq!(waiting.refused(), 2);
        assert_eq!(waiting.turns(), "a1 a1 a1");
    }

    #[test]
    fn the_key_with_the_most_makes_room_for_others() {
        let waiting = Waiting::new(6, 6);
        waiting.push("a", "1", 6);
        waiting.push("b", "2", 1);
        waiting.push("a", "3", 1);

        assert_eq!(waiting.refused(), 2);
        assert_eq!(waiting.turns(), "a1 b2 a3 a1 a1 a1");
    }

    #[test]
    fn a_shop_with_many_keys_gets_no_more_room_by_that() {
        let waiting = Waiting::new(4, 4);
        for key in ["1", "2", "3", "4"] {
            waiting.push("a", key, 1);
        }
        waiting.push("b", "5", 2);

        assert_eq!(waiting.turns(), "a1 b5 a2 b5");
    }

    #[test]
    fn work_that_nobody_waits_for_any_more_makes_room_first() {
        let waiting = Waiting::new(4, 4);
        waiting.push_as("a", "1", 3, false);
        waiting.push("a", "1", 3);

        assert_eq!(waiting.refused(), 0);
        assert_eq!(waiting.turns(), "a1 a1 a1");
    }

    #[test]
    fn a_closed_queue_gives_nothing() {
        let waiting = Waiting::new(4, 4);
        waiting.push("a", "1", 1);

        waiting.queue.close();

        assert!(waiting.queue.pop().is_none());
    }
}
