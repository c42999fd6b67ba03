//! Many writes in one transaction, without savepoints.
//!
//! A savepoint would cost each write two statements, for a failure that is rare. A write that is refused
//! before it wrote leaves its batch alone. A write that fails after it wrote has the whole transaction rolled
//! back: the others run again together, and the failed one runs alone. All answers leave after the commit.
//! Refusals do, too, because they may rest on the writes of other members.
//!
//! A dry run joins no batch, because its rollback would undo the other members. It has a transaction of its
//! own, which costs no flush.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::error::StoreError;
use super::locks::Locks;
use super::tx::Tx;
use super::work::{Ran, Work};

/// The most writes in one transaction.
pub(super) const MAX_BATCH: usize = 128;
/// A transaction takes no further member after this time.
const MAX_BATCH_TIME: Duration = Duration::from_millis(20);
/// Runs of one write in batches that other members spoiled. After that it runs alone.
const MAX_SPOILED: u32 = 1;

pub(super) struct Member {
    work: Box<dyn Work>,
    /// Whether it runs in a transaction of its own.
    alone: bool,
    /// How often its batch was rolled back by another member.
    spoiled: u32,
}

impl Member {
    fn new(work: Box<dyn Work>) -> Self {
        Self {
            work,
            alone: false,
            spoiled: 0,
        }
    }
}

/// The result of running a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every member that ran may be committed.
    Whole,
    /// All must be rolled back. The last that ran is the culprit, and has no answer yet.
    Spoiled,
    /// All must be rolled back. The last that ran is the culprit, and its answer is final.
    Ended,
}

/// Writes that wait for their transaction.
pub(super) struct Queue {
    waiting: VecDeque<Member>,
    /// The locks that every transaction of this queue holds. None on SQLite, where one writer needs no locks.
    held: Option<Locks>,
    /// Writes that need other locks than those of the queue.
    needing_locks: Vec<Box<dyn Work>>,
}

impl Queue {
    pub(super) fn new(held: Option<Locks>) -> Self {
        Self {
            waiting: VecDeque::new(),
            held,
            needing_locks: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, work: Box<dyn Work>) {
        self.waiting.push_back(Member::new(work));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the writes that need other locks, to run them elsewhere.
    pub(super) fn take_needing_locks(&mut self) -> Vec<Box<dyn Work>> {
        std::mem::take(&mut self.needing_locks)
    }

    /// Answers all waiting writes with an error.
    pub(super) fn answer_all(&mut self, error: &StoreError) {
        for member in self.waiting.drain(..) {
            member.work.answer(Some(error));
        }
    }

    /// Runs members until the transaction is full, old, or spoiled. When the queue is empty, `late` returns
    /// writes that have arrived meanwhile: they share this flush instead of waiting for the next.
    pub(super) async fn run(
        &mut self,
        tx: &mut Tx,
        mut late: impl FnMut() -> Option<Box<dyn Work>>,
    ) -> (Vec<Member>, Outcome) {
        let mut ran = Vec::new();
        let started = Instant::now();
        loop {
            let waiting = self.waiting.pop_front();
            let Some(mut member) = waiting.or_else(|| late().map(Member::new)) else {
                break;
            };
            let full = ran.len() >= MAX_BATCH || started.elapsed() > MAX_BATCH_TIME;
            if !ran.is_empty() && (member.alone || full) {
                self.waiting.push_front(member);
                break;
            }
            let outcome = loop {
                match member.work.run(tx).await {
                    Ran::Again { dirty: false } if self.may_stay(&member) => {}
                    outcome => break outcome,
                }
            };
            let alone = member.alone;
            match outcome {
                Ran::Again { dirty: false } => self.needing_locks.push(member.work),
                Ran::Done | Ran::Refused => ran.push(member),
                Ran::Failed | Ran::Again { .. } => {
                    let first = ran.is_empty();
                    ran.push(member);
                    let ended = outcome == Ran::Failed && (alone || first);
                    return (
                        ran,
                        if ended {
                            Outcome::Ended
                        } else {
                            Outcome::Spoiled
                        },
                    );
                }
            }
            if alone {
                break;
            }
        }
        (ran, Outcome::Whole)
    }

    /// Queues the members of a transaction that was rolled back. The culprit will run alone, the others
    /// again. A culprit that `Ended` is answered, unless another run may help it (`once_more`).
    pub(super) fn requeue(&mut self, mut ran: Vec<Member>, outcome: Outcome, once_more: bool) {
        let culprit = if outcome == Outcome::Whole {
            None
        } else {
            ran.pop()
        };
        if let Some(mut culprit) = culprit {
            if outcome == Outcome::Ended && !once_more {
                culprit.work.answer(None);
            } else if self.may_stay(&culprit) {
                culprit.alone = true;
                self.waiting.push_front(culprit);
            } else {
                self.needing_locks.push(culprit.work);
            }
        }
        for mut member in ran.into_iter().rev() {
            member.spoiled += 1;
            member.alone |= member.spoiled > MAX_SPOILED;
            self.waiting.push_front(member);
        }
    }

    fn may_stay(&self, member: &Member) -> bool {
        self.held
            .as_ref()
            .is_none_or(|held| held == member.work.locks())
    }
}

/// Whether the member that ran is a dry run, which is rolled back.
pub(super) fn is_dry_run(ran: &[Member]) -> bool {
    ran.iter().any(|member| member.work.is_dry_run())
}

/// Runs the hooks of the members after a commit. Returns whether the change log grew.
pub(super) fn committed(ran: &mut [Member]) -> bool {
    ran.iter_mut()
        .fold(false, |logged, member| member.work.committed() | logged)
}

/// Sends the answers, or `error` to all.
pub(super) fn answer(ran: Vec<Member>, error: Option<&StoreError>) {
    for member in ran {
        member.work.answer(error);
    }
}
