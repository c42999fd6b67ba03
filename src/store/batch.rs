//! Many writes in one transaction, without savepoints.
//!
//! Each savepoint would cost two statements for a failure that is rare. A write that is refused
//! before it wrote leaves its batch alone; one that fails after a write has the whole transaction
//! rolled back: the others run again together, the culprit alone. All answers of a batch leave after
//! its commit, also the refusals, as they may rest on what another member wrote.
//!
//! A rehearsal is a member of no batch, as it would roll its neighbours back: it has a transaction of its
//! own, which costs no flush.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::error::Trouble;
use super::locks::Locks;
use super::tx::Tx;
use super::work::{Ran, Work};

/// The most writes in one transaction.
pub(super) const MAX_BATCH: usize = 128;
/// After so long a transaction takes no further member.
const MAX_BATCH_TIME: Duration = Duration::from_millis(20);
/// Runs of one write in batches that others spoiled; after that it runs alone.
const MAX_SPOILED: u32 = 1;

/// A write in the queue.
pub(super) struct Member {
    work: Box<dyn Work>,
    /// Runs in a transaction of its own.
    alone: bool,
    /// How often a batch was rolled back under it.
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

/// How the running of a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every member that ran may be committed.
    Whole,
    /// All must be rolled back; the last that ran is the culprit and has no answer yet.
    Spoiled,
    /// All must be rolled back; the last that ran is the culprit, and its answer stands.
    Ended,
}

/// Writes that wait for their transaction.
pub(super) struct Queue {
    waiting: VecDeque<Member>,
    /// The locks that every transaction of this queue holds; none where they do not matter, since
    /// there is one writer.
    held: Option<Locks>,
    /// Writes that found out that they need other locks.
    leavers: Vec<Box<dyn Work>>,
}

impl Queue {
    pub(super) fn new(held: Option<Locks>) -> Self {
        Self {
            waiting: VecDeque::new(),
            held,
            leavers: Vec::new(),
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

    /// Those who left, to be run elsewhere.
    pub(super) fn leavers(&mut self) -> Vec<Box<dyn Work>> {
        std::mem::take(&mut self.leavers)
    }

    /// Tells all who wait that it came to nothing.
    pub(super) fn answer_all(&mut self, trouble: &Trouble) {
        for member in self.waiting.drain(..) {
            member.work.answer(Some(trouble));
        }
    }

    /// Runs members until the transaction is full, old, or spoiled. When none waits `late` is asked for
    /// those who came in the meantime, so that they share the flush and do not wait for the next.
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
                Ran::Again { dirty: false } => self.leavers.push(member.work),
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

    /// After a rollback: the culprit will run alone, the others again. A culprit that `Ended` is
    /// answered, unless another run may help it (`once_more`).
    pub(super) fn take_back(&mut self, mut ran: Vec<Member>, outcome: Outcome, once_more: bool) {
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
                self.leavers.push(culprit.work);
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

/// Whether what ran was a rehearsal, which is rolled back.
pub(super) fn is_rehearsal(ran: &[Member]) -> bool {
    ran.iter().any(|member| member.work.is_rehearsal())
}

/// After a commit: does what was left for then; tells whether the change log grew.
pub(super) fn committed(ran: &mut [Member]) -> bool {
    ran.iter_mut()
        .fold(false, |logged, member| member.work.committed() | logged)
}

/// Sends the answers, or the trouble that came upon all.
pub(super) fn answer(ran: Vec<Member>, trouble: Option<&Trouble>) {
    for member in ran {
        member.work.answer(trouble);
    }
}
