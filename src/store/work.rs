//! One write, as its engine runs it: a closure that can run again, and the channel for its answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::error::{StoreError, StoreFault, outrun};
use super::locks::Locks;
use super::purpose::{self, Held};
use super::tx::{Reactions, State, Tx};
use crate::error::{Error, Result};
use crate::telemetry;

/// The most runs with more locks. Each adds at least one lock, and a write knows nearly all beforehand.
const MAX_LOCK_RESTARTS: u32 = 4;
/// The most runs of a closure that asks for another.
const MAX_RUNS: u32 = 3;

/// The result of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// Success: its effect may be committed.
    Done,
    /// An error before anything was written: the transaction is unchanged.
    Refused,
    /// An error after a write or a failed statement: the transaction must be rolled back.
    Failed,
    /// It must run again, with the present `locks`.
    Again {
        /// The transaction must be rolled back first.
        dirty: bool,
    },
}

/// A write of any type.
pub(super) trait Work: Send {
    /// The locks that must be held when it runs.
    fn locks(&self) -> &Locks;

    /// Whether the write is a dry run: it has a transaction of its own, which is rolled back.
    fn is_dry_run(&self) -> bool;

    /// Runs the closure once and keeps the answer.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Ran>;

    /// Runs the hooks after the commit. Returns whether the change log grew.
    fn committed(&mut self) -> bool;

    /// Sends the kept answer, or `error` in its place.
    fn answer(self: Box<Self>, error: Option<&StoreError>);
}

/// The [`Work`] of a closure `F` over its data `D`.
pub(super) struct Closure<T, D, F> {
    locks: Locks,
    data: D,
    run: F,
    reactions: Arc<Reactions>,
    dry_run: bool,
    span: tracing::Span,
    /// The resources that its call holds until the write has ended.
    _held: Option<Held>,
    answer: oneshot::Sender<Result<T>>,
    kept: Option<Result<T>>,
    state: State,
    lock_restarts: u32,
    runs: u32,
}

impl<T, D, F> Closure<T, D, F> {
    pub(super) fn new(locks: Locks, data: D, run: F) -> (Self, oneshot::Receiver<Result<T>>) {
        let (answer, receiver) = oneshot::channel();
        let work = Self {
            locks,
            data,
            run,
            reactions: Arc::default(),
            dry_run: false,
            span: tracing::Span::current(),
            _held: purpose::held_here(),
            answer,
            kept: None,
            state: State::default(),
            lock_restarts: 0,
            runs: 0,
        };
        (work, receiver)
    }

    /// Makes the write a dry run.
    pub(super) fn into_dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Sets the reactions of areas to the write.
    pub(super) fn reacting(self, reactions: Arc<Reactions>) -> Self {
        Self { reactions, ..self }
    }

    /// Classifies one run by its answer and the state that it left.
    fn classify(&mut self, outcome: std::thread::Result<Result<T>>, tx: &mut Tx) -> Ran {
        let failed_statement = tx.has_failed();
        self.state = tx.take_state();
        let dirty = self.state.wrote || failed_statement;

        let again = if !self.state.needed.is_empty() {
            self.lock_restarts += 1;
            for key in self.state.needed.drain(..) {
                self.locks.insert(key);
            }
            Some(self.lock_restarts <= MAX_LOCK_RESTARTS)
        } else if self.state.again {
            self.runs += 1;
            Some(self.runs < MAX_RUNS)
        } else {
            None
        };
        match again {
            Some(true) => return Ran::Again { dirty },
            Some(false) => {
                self.kept = Some(Err(outrun()));
                return if dirty { Ran::Failed } else { Ran::Refused };
            }
            None => {}
        }

        let result = match outcome {
            Ok(Ok(_)) if failed_statement => Err(Error::internal(StoreFault(
                "a write continued after one of its statements had failed".into(),
            ))),
            Ok(result) => result,
            Err(panic) => {
                let text = telemetry::panic_text(panic.as_ref());
                Err(Error::internal(StoreFault(format!(
                    "a write panicked: {text}"
                ))))
            }
        };
        let ran = match (&result, dirty) {
            (Ok(_), _) => Ran::Done,
            (Err(_), false) => Ran::Refused,
            (Err(_), true) => Ran::Failed,
        };
        self.kept = Some(result);
        ran
    }
}

impl<T, D, F> Work for Closure<T, D, F>
where
    T: Send + 'static,
    D: Send + Sync + 'static,
    F: for<'t> Fn(&'t mut Tx, &'t D) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    fn locks(&self) -> &Locks {
        &self.locks
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Ran> {
        Box::pin(async move {
            tx.hand_over(&self.locks, &self.reactions);
            let outcome = {
                let (run, data, lent) = (&self.run, &self.data, &mut *tx);
                let begin = move || {
                    // Moved and not borrowed again: the future outlives this closure.
                    let lent = lent;
                    run(lent, data)
                };
                match catch_unwind(AssertUnwindSafe(begin)) {
                    Ok(future) => {
                        let future = future.instrument(self.span.clone());
                        AssertUnwindSafe(future).catch_unwind().await
                    }
                    Err(panic) => Err(panic),
                }
            };
            self.classify(outcome, tx)
        })
    }

    fn committed(&mut self) -> bool {
        for hook in self.state.hooks.drain(..) {
            if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                tracing::error!("a hook after a commit panicked");
            }
        }
        self.state.logged
    }

    fn answer(self: Box<Self>, error: Option<&StoreError>) {
        let answer = match (error, self.kept) {
            (Some(error), _) => Err(error.to_error()),
            (None, Some(kept)) => kept,
            (None, None) => Err(StoreError::fault("a write was answered before it ran").to_error()),
        };
        // The caller may have gone. Its write stays.
        let _ = self.answer.send(answer);
    }
}
