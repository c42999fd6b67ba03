//! Streams whose client does not read are detected and closed, which frees what they hold.
//!
//! A stream is asked for a message only while its connection has room for one, so it cannot find out by
//! itself that it is not read any more. Every stream is therefore looked over by one task of the process.
//! The last message that was handed over may lie with the connection until that ends; nothing else stays.
//!
//! Invariant: a stream that waits for something to say is not unread, however long it waits. It is from
//! when it has something and is not asked: the encoder asks once more than the connection has room for. How
//! long is counted in looks and not in time, so that a clock that jumps harms nobody who reads.

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

/// How many checks are made within the limit. A stream that one check more finds unread is closed, so at most
/// two checks later.
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
    /// The open streams by their numbers.
    parts: [Mutex<Slots>; PARTS],
}

/// What the task does with a stream, of whatever kind.
trait Look: Send + Sync {
    /// Gives the stream up if it has been unread for too long.
    fn look(&self);
}

impl StallDetector {
    /// Streams may be left unread for `limit`.
    pub fn new(clock: Clock, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            clock,
            limit,
            next: AtomicUsize::new(0),
            parts: Default::default(),
        }))
    }

    /// The part in which the stream of this number is.
    fn slots(&self, number: usize) -> MutexGuard<'_, Slots> {
        let part = self.0.parts[number % PARTS].lock();
        part.unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks the streams over until `stop`.
    pub async fn look_over(self, stop: CancellationToken) {
        let pause = self.0.limit / LOOKS;
        loop {
            let next = self.0.clock.instant() + pause;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.clock.reach(next) => {}
            }
            for part in 0..PARTS {
                // Outside of the lock, as what is given up takes others.
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

    /// The messages of a stream, which ends with SLOW_CONSUMER when it is not read. Each comes with a
    /// mark; `ending` makes the error from that of the last, which is `mark` before the first.
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
                // It may never be asked for the first.
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

/// Whether a stream that waited has something to say, and has not been asked since.
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
    /// What wakes the notice.
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
        /// How many looks have found it unread since it was asked.
        unread_looks: u32,
    },
    /// It was given up, and its reader is told so if it comes back.
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
        // What it held takes locks of its own as it goes.
        drop(state);
        drop(given_up);
    }
}

/// A stream that is given up when it is not read.
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
        // Not by the task, should it be looking at it: what it holds is free from now on.
        let state = self.slot.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let ended = std::mem::replace(&mut *state, State::Ended);
        drop(state);
        drop(ended);
    }
}

#[cfg(test)]
mod tests;
