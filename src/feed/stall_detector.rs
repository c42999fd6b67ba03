//! Detects streams whose client does not read, and closes them, which frees their resources.
//!
//! A stream is polled only while its connection has room for a message, so it cannot detect by itself that it
//! is not read. One task of the process therefore checks every stream. The last message may stay with the
//! connection until that ends; nothing else stays.
//!
//! Invariant: a stream that has nothing to send is not unread, however long it waits. It is unread while it
//! has a message and is not polled: the encoder polls once more than the connection has room for. The limit
//! is counted in checks, not in time, so that a jump of the clock harms no client that reads.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::Stream;
use futures::task::AtomicWaker;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::clock::Clock;
use crate::error::Error;
use crate::proto::pb::ErrorReason;

/// The number of checks within the limit. A stream that one check more finds unread is closed, so at most two
/// checks later.
const LOOKS: u32 = 6;

/// The open streams of a process.
#[derive(Clone)]
pub struct StallDetector(Arc<Inner>);

/// Number of parts of the table of streams, so that calls that begin or end rarely wait for one lock.
const PARTS: usize = 16;

type Slots = HashMap<usize, Weak<dyn Look>>;

struct Inner {
    clock: Clock,
    limit: Duration,
    next: AtomicUsize,
    /// The open streams by number.
    parts: [Mutex<Slots>; PARTS],
}

/// The check of a stream, of whatever kind.
trait Look: Send + Sync {
    /// Closes the stream if it has been unread for too long.
    fn look(&self);
}

impl StallDetector {
    /// Creates a detector that lets streams be unread for `limit`.
    pub fn new(clock: Clock, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            clock,
            limit,
            next: AtomicUsize::new(0),
            parts: Default::default(),
        }))
    }

    /// The part of the table that holds the stream of this number.
    fn slots(&self, number: usize) -> MutexGuard<'_, Slots> {
        let part = self.0.parts[number % PARTS].lock();
        part.unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the streams until `stop`.
    pub async fn look_over(self, stop: CancellationToken) {
        let pause = self.0.limit / LOOKS;
        loop {
            let next = self.0.clock.instant() + pause;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.clock.reach(next) => {}
            }
            for part in 0..PARTS {
                // Outside of the lock, because a closed stream takes other locks.
                let slots: Vec<_> = self
                    .slots(part)
                    .values()
                    .filter_map(Weak::upgrade)
                    .collect();
                for slot in slots {
                    slot.look();
                }
            }
        }
    }

    /// Wraps the messages of a stream so that it ends with SLOW_CONSUMER when it is not read. Each message
    /// comes with a mark. `ending` makes the error from the mark of the last message, or from `mark` before
    /// the first.
    pub fn guard<T, M>(
        &self,
        stream: impl Stream<Item = Result<(T, M), Status>> + Send + 'static,
        mark: M,
        ending: impl Fn(Error, M) -> Error + Send + Sync + 'static,
    ) -> Guarded<T, M>
    where
        T: 'static,
        M: Copy + Send + 'static,
    {
        let notice = Arc::new(Notice::default());
        let slot = Arc::new(Slot {
            waker: Waker::from(Arc::clone(&notice)),
            notice,
            ending: Box::new(ending),
            state: Mutex::new(State::Open {
                stream: Box::pin(stream),
                mark,
                // The stream may never be polled at all.
                is_due: true,
                unread_looks: 0,
            }),
        });
        let look: Arc<dyn Look> = Arc::clone(&slot) as _;
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.slots(number).insert(number, Arc::downgrade(&look));
        Guarded {
            slot,
            stall_detector: self.clone(),
            number,
        }
    }
}

/// Whether a stream that waited has a message, and has not been polled since.
#[derive(Default)]
struct Notice {
    woken: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

struct Slot<T, M> {
    notice: Arc<Notice>,
    /// Wakes the notice.
    waker: Waker,
    ending: Box<dyn Fn(Error, M) -> Error + Send + Sync>,
    state: Mutex<State<T, M>>,
}

type Messages<T, M> = Pin<Box<dyn Stream<Item = Result<(T, M), Status>> + Send>>;

enum State<T, M> {
    Open {
        stream: Messages<T, M>,
        mark: M,
        /// A message was taken, and the next has not been asked for.
        is_due: bool,
        /// The number of checks that have found it unread since it was last polled.
        unread_looks: u32,
    },
    /// Closed as unread. A reader that comes back gets this status.
    GivenUp(Status),
    Ended,
}

impl<T, M: Copy> Slot<T, M> {
    fn state(&self) -> MutexGuard<'_, State<T, M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, M: Copy + Send> Look for Slot<T, M> {
    fn look(&self) {
        let mut state = self.state();
        let State::Open {
            mark,
            is_due,
            unread_looks,
            ..
        } = &mut *state
        else {
            return;
        };
        if !*is_due && !self.notice.woken.load(Ordering::Acquire) {
            return;
        }
        *unread_looks += 1;
        if *unread_looks <= LOOKS {
            return;
        }
        let text = "the stream was not read for too long";
        let error = Error::exhausted(ErrorReason::SlowConsumer, text);
        let status = Status::from((self.ending)(error, *mark));
        let given_up = std::mem::replace(&mut *state, State::GivenUp(status));
        // The stream takes other locks when it is dropped.
        drop(state);
        drop(given_up);
    }
}

/// A stream that is closed when it is not read.
pub struct Guarded<T, M> {
    slot: Arc<Slot<T, M>>,
    stall_detector: StallDetector,
    number: usize,
}

impl<T, M: Copy> Stream for Guarded<T, M> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.slot.state();
        let polled = match &mut *state {
            State::Open {
                stream,
                mark,
                is_due,
                unread_looks,
            } => {
                (*is_due, *unread_looks) = (false, 0);
                let notice = &self.slot.notice;
                notice.task.register(context.waker());
                notice.woken.store(false, Ordering::Release);
                let mut context = Context::from_waker(&self.slot.waker);
                match std::task::ready!(stream.as_mut().poll_next(&mut context)) {
                    Some(Ok((message, new))) => {
                        *mark = new;
                        *is_due = true;
                        return Poll::Ready(Some(Ok(message)));
                    }
                    Some(Err(status)) => Some(Err(status)),
                    None => None,
                }
            }
            State::GivenUp(status) => Some(Err(status.clone())),
            State::Ended => None,
        };
        let ended = std::mem::replace(&mut *state, State::Ended);
        drop(state);
        drop(ended);
        Poll::Ready(polled)
    }
}

impl<T, M> Drop for Guarded<T, M> {
    fn drop(&mut self) {
        self.stall_detector.slots(self.number).remove(&self.number);
        // Here, even while the task checks it, so that its resources are free from now on.
        let state = self.slot.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let ended = std::mem::replace(&mut *state, State::Ended);
        drop(state);
        drop(ended);
    }
}

#[cfg(test)]
mod tests;
