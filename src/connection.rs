//! The state that the calls of one connection share. The server creates it and the access layer counts on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use crate::limits;

/// State that the calls of one connection share. Every request has it among its extensions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    number: u64,
    has_called: AtomicBool,
    unsent_bytes: AtomicUsize,
    abandoned_answers: AtomicUsize,
    given_up: GivenUp,
    cut: CancellationToken,
}

impl Default for Shared {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            has_called: AtomicBool::new(false),
            unsent_bytes: AtomicUsize::new(0),
            abandoned_answers: AtomicUsize::new(0),
            given_up: GivenUp::default(),
            cut: CancellationToken::new(),
        }
    }
}

impl Connection {
    /// A connection that is also closed when `all` is cancelled. It has a child token: waiting on a token
    /// takes its lock, and all connections would contend for a shared one.
    #[must_use]
    pub fn cut_with(all: &CancellationToken) -> Self {
        Self(Arc::new(Shared {
            cut: all.child_token(),
            ..Shared::default()
        }))
    }

    /// Notes that the connection has carried a call.
    pub fn note_call(&self) {
        self.0.has_called.store(true, Ordering::Relaxed);
    }

    /// Whether the connection has carried a call.
    #[must_use]
    pub fn has_called(&self) -> bool {
        self.0.has_called.load(Ordering::Relaxed)
    }

    /// Whether its client was given up.
    #[must_use]
    pub fn given_up(&self) -> &GivenUp {
        &self.0.given_up
    }

    /// Waits until the connection is cut.
    pub async fn cut(&self) {
        self.0.cut.cancelled().await;
    }

    /// A number that no other connection of the process has.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// Bytes of answers that the client has not received.
    #[must_use]
    pub fn unsent_bytes(&self) -> &AtomicUsize {
        &self.0.unsent_bytes
    }

    /// Counts an answer that was given up unread. The transport keeps the last part of each until its client
    /// receives it or cancels the call. So the connection is cut when there are too many.
    pub fn abandon_answer(&self) {
        let before = self.0.abandoned_answers.fetch_add(1, Ordering::Relaxed);
        if before + 1 >= limits::ABANDONED_ANSWERS_MAX {
            self.0.given_up.set();
            self.0.cut.cancel();
        }
    }

    /// Uncounts an answer that was given up unread, once all of it is freed.
    pub fn forget_answer(&self) {
        self.0.abandoned_answers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether it was cut.
    #[cfg(test)]
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.0.cut.is_cancelled()
    }
}

/// Marks the peer of a socket as given up, so that the socket ends with a reset. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    /// Gives the peer up. The socket stays open until it is dropped.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the peer was given up.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
