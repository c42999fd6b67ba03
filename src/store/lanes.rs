//! Waiting for a lock without holding a connection.
//!
//! On PostgreSQL a write that waits for its aggregate would keep a connection busy, and a single hot
//! cart would soon keep all of them. So the writes of one process first queue here, and only the one
//! whose turn it is goes on to the database, where it meets at most one rival per replica.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedMutexGuard;

use super::locks::{LockKey, Locks};

type Turn = Arc<tokio::sync::Mutex<()>>;

/// A queue for each aggregate that is being written.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<HashMap<LockKey, Turn>>>);

/// The turn at some aggregates.
pub(super) struct Turns {
    lanes: Lanes,
    held: Vec<(LockKey, OwnedMutexGuard<()>)>,
}

impl Lanes {
    /// Waits for the turn at each aggregate, in the order of the locks.
    pub(super) async fn wait(&self, locks: &Locks) -> Turns {
        let mut turns = Turns {
            lanes: self.clone(),
            held: Vec::with_capacity(locks.len()),
        };
        for key in locks.iter() {
            let turn = self.turn(key);
            turns.held.push((key, turn.lock_owned().await));
        }
        turns
    }

    fn turn(&self, key: LockKey) -> Turn {
        let mut lanes = self
            .0
            .lock()
            .expect("nothing panics while it holds this lock");
        Arc::clone(lanes.entry(key).or_default())
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        let mut lanes = self
            .lanes
            .0
            .lock()
            .expect("nothing panics while it holds this lock");
        for (key, guard) in self.held.drain(..) {
            drop(guard);
            // Ours is gone, so one reference is the map's own: nobody waits. A waiter that gave up
            // may leave its lane behind; the next one to use it takes it away.
            if lanes
                .get(&key)
                .is_some_and(|turn| Arc::strong_count(turn) == 1)
            {
                lanes.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_taken_one_after_the_other_and_leave_nothing_behind() {
        let lanes = Lanes::default();
        let (a, b) = (Locks::of("cart", "s", "a"), Locks::of("cart", "s", "b"));
        let first = lanes.wait(&a).await;
        let other = lanes.wait(&b).await;
        let mut second = Box::pin(lanes.wait(&a));
        assert!(futures::poll!(&mut second).is_pending());

        drop(first);
        drop(second.await);
        drop(other);

        assert!(lanes.0.lock().unwrap().is_empty());
    }
}
