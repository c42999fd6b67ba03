//! Waiting for a lock without holding a connection.
//!
//! On PostgreSQL a write that waits for its aggregate would keep a connection busy, and one hot cart would
//! soon keep all of them. So the writes of a process first wait here. Writes with the same locks gather in a
//! queue and share a transaction; queues with a lock in common take turns. In the database they meet at most
//! one rival per replica.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedMutexGuard;

use super::batch::{MAX_BATCH, Queue};
use super::locks::{LockKey, Locks};
use super::work::Work;

type Waiting = VecDeque<Box<dyn Work>>;

/// The waiting writes by their locks. A queue in the map has a leader.
#[derive(Clone, Default)]
pub(super) struct LockQueues(Arc<Mutex<HashMap<Locks, Waiting>>>);

/// A queue with its leader, which runs the writes that gather in it until there are no more.
pub(super) struct LockQueue {
    lock_queues: LockQueues,
    locks: Locks,
    open: bool,
}

impl LockQueues {
    /// Joins the queue of the write's locks. The first write to arrive becomes the leader.
    pub(super) fn join(&self, work: Box<dyn Work>) -> Option<LockQueue> {
        let mut lock_queues = self
            .0
            .lock()
            .expect("nothing panics while it holds this lock");
        if let Some(lock_queue) = lock_queues.get_mut(work.locks()) {
            lock_queue.push_back(work);
            return None;
        }
        let locks = work.locks().clone();
        lock_queues.insert(locks.clone(), VecDeque::from([work]));
        Some(LockQueue {
            lock_queues: self.clone(),
            locks,
            open: true,
        })
    }
}

impl LockQueue {
    pub(super) fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Moves the gathered writes into `queue`. If there are none, this queue is closed.
    pub(super) fn fill(&mut self, queue: &mut Queue) {
        let mut lock_queues = self
            .lock_queues
            .0
            .lock()
            .expect("nothing panics while it holds this lock");
        let Some(lock_queue) = lock_queues.get_mut(&self.locks) else {
            return;
        };
        for work in lock_queue.drain(..lock_queue.len().min(MAX_BATCH)) {
            queue.push(work);
        }
        if queue.is_empty() {
            // From here on the next write with these locks opens a queue of its own.
            lock_queues.remove(&self.locks);
            self.open = false;
        }
    }
}

/// A leader that ends otherwise drops its followers, whose callers get an error.
impl Drop for LockQueue {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let abandoned = {
            let mut lock_queues = self
                .lock_queues
                .0
                .lock()
                .expect("nothing panics while it holds this lock");
            lock_queues.remove(&self.locks)
        };
        drop(abandoned);
    }
}

type Turn = Arc<tokio::sync::Mutex<()>>;

/// The mutexes that order access to the database by aggregate.
#[derive(Clone, Default)]
pub(super) struct KeyedMutex(Arc<Mutex<HashMap<LockKey, Turn>>>);

/// The held turns at some aggregates.
pub(super) struct Turns {
    mutex: KeyedMutex,
    held: Vec<(LockKey, OwnedMutexGuard<()>)>,
}

impl KeyedMutex {
    /// Waits for the turn at each aggregate, in the order of the locks.
    pub(super) async fn wait(&self, locks: &Locks) -> Turns {
        let mut turns = Turns {
            mutex: self.clone(),
            held: Vec::with_capacity(locks.len()),
        };
        for key in locks.iter() {
            let turn = self.turn(key);
            turns.held.push((key, turn.lock_owned().await));
        }
        turns
    }

    fn turn(&self, key: LockKey) -> Turn {
        let mut turns = self
            .0
            .lock()
            .expect("nothing panics while it holds this lock");
        Arc::clone(turns.entry(key).or_default())
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        let mut turns = self
            .mutex
            .0
            .lock()
            .expect("nothing panics while it holds this lock");
        for (key, guard) in self.held.drain(..) {
            drop(guard);
            // This guard is dropped, so one reference is the map's own: nobody waits. A waiter that was
            // cancelled may leave an entry behind; the next user of the entry removes it.
            if turns
                .get(&key)
                .is_some_and(|turn| Arc::strong_count(turn) == 1)
            {
                turns.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_taken_one_after_the_other_and_leave_nothing_behind() {
        let turns = KeyedMutex::default();
        let (a, b) = (Locks::of("cart", "s", "a"), Locks::of("cart", "s", "b"));
        let first = turns.wait(&a).await;
        let other = turns.wait(&b).await;
        let mut second = Box::pin(turns.wait(&a));
        assert!(futures::poll!(&mut second).is_pending());

        drop(first);
        drop(second.await);
        drop(other);

        assert!(turns.0.lock().unwrap().is_empty());
    }
}
