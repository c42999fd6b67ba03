//! One write as its engine sees it: a closure that can be run again, and where its answer goes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::error::{StoreFault, Trouble, outrun};
use super::locks::Locks;
use super::purpose::{self, Held};
use super::tx::{Reactions, State, Tx};
use crate::error::{Error, Result};
use crate::telemetry;

/// New starts with more locks; each adds at least one, and a write knows nearly all beforehand.
const MAX_LOCK_RESTARTS: u32 = 4;
/// Runs of a closure that asks for another.
const MAX_RUNS: u32 = 3;

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// Well: its effect may be committed.
    Done,
    /// With an error before anything was written: the transaction is as it was.
    Refused,
    /// With an error after a write or a failed statement: the transaction must be rolled back.
    Failed,
    /// It must be run again, with `locks` as they are now.
    Again {
        /// The transaction must be rolled back first.
        dirty: bool,
    },
}

/// A write, whatever its type.
pub(super) trait Work: Send {
    /// The locks that must be held when it runs.
    fn locks(&self) -> &Locks;

    /// Whether the write is only to tell what it would do: its transaction is its own and is rolled back.
    fn is_rehearsal(&self) -> bool;

    /// Runs the closure once; the answer is kept.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Ran>;

    /// Runs what was left for after the commit; tells whether the change log grew.
    fn committed(&mut self) -> bool;

    /// Sends the answer that was kept, or the trouble that came upon it.
    fn answer(self: Box<Self>, trouble: Option<&Trouble>);
}

/// The [`Work`] of a closure `F` over its data `D`.
pub(super) struct Closure<T, D, F> {
    locks: Locks,
    data: D,
    run: F,
    reactions: Arc<Reactions>,
    rehearsal: bool,
    span: tracing::Span,
    /// What its call gives back only when the write has ended.
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
            rehearsal: false,
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

    /// The same write, to be taken back.
    pub(super) fn rehearsing(mut self) -> Self {
        self.rehearsal = true;
        self
    }

    /// The same write, with what areas do in it.
    pub(super) fn reacting(self, reactions: Arc<Reactions>) -> Self {
        Self { reactions, ..self }
    }

    /// Judges one run by what it answered and what it left.
    fn judge(&mut self, outcome: std::thread::Result<Result<T>>, tx: &mut Tx) -> Ran {
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
                "a write went on after one of its statements had failed".into(),
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

    fn is_rehearsal(&self) -> bool {
        self.rehearsal
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
            self.judge(outcome, tx)
        })
    }

    fn committed(&mut self) -> bool {
        for hook in self.state.hooks.drain(..) {
            if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                tracing::error!("what was to be done after a commit panicked");
            }
        }
        self.state.logged
    }

    fn answer(self: Box<Self>, trouble: Option<&Trouble>) {
        let answer = match (trouble, self.kept) {
            (Some(trouble), _) => Err(trouble.to_error()),
            (None, Some(kept)) => kept,
            (None, None) => Err(Trouble::fault("a write was answered before it ran").to_error()),
        };
        // The caller may have gone; its write stands all the same.
        let _ = self.answer.send(answer);
    }
}
