//! The one writer of SQLite: many writes share one transaction and one flush.
//!
//! There are no savepoints, since each would cost two statements for a failure that is rare. A
//! write that is refused before it wrote leaves its batch alone; one that fails after a write has
//! the whole batch rolled back: the others run again together, the culprit alone. All answers of a
//! batch leave after its commit, also the refusals, as they may rest on what another member wrote.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::conn::{Conn, Meter};
use super::error::Trouble;
use super::pool::Target;
use super::sqlite::Premises;
use super::tx::Tx;
use super::wake::Wake;
use super::work::{Ran, Work};

/// The most writes in one transaction.
const MAX_BATCH: usize = 128;
/// After so long a transaction takes no further member.
const MAX_BATCH_TIME: Duration = Duration::from_millis(20);
/// Writes that wait for their batch; a caller beyond that waits for its place.
const MAX_CALLS: usize = 1024;
const MAX_JOBS: usize = 64;
/// Transactions between two looks at the length of the write-ahead log.
const LOG_CHECKED_EVERY: u32 = 256;
/// Runs of one write in batches that others spoiled; after that it runs alone.
const MAX_SPOILED: u32 = 1;

/// The way to the writer.
pub(super) struct Writer {
    calls: mpsc::Sender<Box<dyn Work>>,
    jobs: mpsc::Sender<Box<dyn Work>>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        conn: Conn,
        target: Target,
        meter: Arc<Meter>,
        wake: Wake,
        commit_delay: Option<Duration>,
        premises: Premises,
    ) -> Self {
        let (calls, call_queue) = mpsc::channel(MAX_CALLS);
        let (jobs, job_queue) = mpsc::channel(MAX_JOBS);
        let stop = CancellationToken::new();
        let state = Loop {
            tx: Some(Tx::new(conn)),
            target,
            meter,
            wake,
            commit_delay,
            calls: call_queue,
            jobs: job_queue,
            waiting: VecDeque::new(),
            premises,
            transactions: 0,
        };
        let task = Mutex::new(Some(tokio::spawn(state.run(stop.clone()))));
        Self {
            calls,
            jobs,
            stop,
            task,
        }
    }

    /// Hands a write over. Once this returns it will be run, whether or not its caller waits.
    pub(super) async fn submit(&self, work: Box<dyn Work>, job: bool) {
        let queue = if job { &self.jobs } else { &self.calls };
        if let Err(refused) = queue.send(work).await {
            refused
                .0
                .answer(Some(&Trouble::away("the store is closed")));
        }
    }

    /// Runs what has been handed over, then closes the file.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer ended badly");
        }
    }
}

/// A write in the queue.
struct Member {
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
enum Batch {
    /// Every member may be committed.
    Whole,
    /// The last member that ran must be rolled back, and with it all before.
    Spoiled,
    /// As `Spoiled`, and the last member has its answer.
    Ended,
}

struct Loop {
    /// None after the connection was lost.
    tx: Option<Tx>,
    target: Target,
    meter: Arc<Meter>,
    wake: Wake,
    commit_delay: Option<Duration>,
    calls: mpsc::Receiver<Box<dyn Work>>,
    jobs: mpsc::Receiver<Box<dyn Work>>,
    waiting: VecDeque<Member>,
    premises: Premises,
    transactions: u32,
}

impl Loop {
    async fn run(mut self, stop: CancellationToken) {
        while self.gather(&stop).await {
            self.one_transaction().await;
        }
        if let Some(tx) = self.tx.take() {
            tx.into_conn().close().await;
        }
    }

    /// Fills the queue; false when it is empty and stays so.
    async fn gather(&mut self, stop: &CancellationToken) -> bool {
        while self.waiting.is_empty() {
            let next = tokio::select! {
                biased;
                () = stop.cancelled(), if !self.calls.is_closed() => {
                    self.calls.close();
                    self.jobs.close();
                    continue;
                }
                Some(call) = self.calls.recv() => Some(call),
                Some(job) = self.jobs.recv() => Some(job),
                else => None,
            };
            match next {
                Some(work) => self.waiting.push_back(Member::new(work)),
                None => return false,
            }
        }
        while self.waiting.len() < MAX_BATCH {
            match self.calls.try_recv() {
                Ok(work) => self.waiting.push_back(Member::new(work)),
                Err(_) => break,
            }
        }
        // Calls come first, and one job a transaction, so that neither waits for ever.
        if let Ok(work) = self.jobs.try_recv() {
            self.waiting.push_back(Member::new(work));
        }
        true
    }

    /// One transaction over what waits, with all its answers.
    async fn one_transaction(&mut self) {
        let mut ran = Vec::new();
        let mut tx = match self.begin().await {
            Ok(tx) => tx,
            Err(trouble) => {
                for member in self.waiting.drain(..) {
                    member.work.answer(Some(&trouble));
                }
                return;
            }
        };
        let batch = self.run_members(&mut tx, &mut ran).await;
        match batch {
            Batch::Whole => self.commit(&mut tx, ran).await,
            Batch::Spoiled | Batch::Ended => {
                tx.conn_mut().rollback().await;
                let culprit = ran.pop();
                if let Some(mut culprit) = culprit {
                    if matches!(batch, Batch::Ended) {
                        culprit.work.answer(None);
                    } else {
                        culprit.alone = true;
                        self.waiting.push_front(culprit);
                    }
                }
                for mut member in ran.into_iter().rev() {
                    member.spoiled += 1;
                    member.alone |= member.spoiled > MAX_SPOILED;
                    self.waiting.push_front(member);
                }
            }
        }
        self.transactions = self.transactions.wrapping_add(1);
        if self.transactions.is_multiple_of(LOG_CHECKED_EVERY) {
            self.premises.fold_long_log(tx.conn_mut()).await;
        }
        if tx.is_broken() {
            tracing::warn!("the writer's connection was lost; it is opened again");
            tx.into_conn().close().await;
        } else {
            self.tx = Some(tx);
        }
    }

    async fn begin(&mut self) -> Result<Tx, Trouble> {
        let mut tx = match self.tx.take() {
            Some(tx) => tx,
            None => Tx::new(
                self.target
                    .connect(&self.meter)
                    .await
                    .map_err(|error| Trouble::of(&error))?,
            ),
        };
        // At once a writer: a transaction that becomes one later is refused without waiting.
        match tx.conn_mut().begin("BEGIN IMMEDIATE".into()).await {
            Ok(()) => Ok(tx),
            Err(error) => {
                if !tx.is_broken() {
                    self.tx = Some(tx);
                }
                Err(Trouble::of(&error))
            }
        }
    }

    /// Runs members until the batch is full, too old, or spoiled; the last of `ran` is the culprit.
    async fn run_members(&mut self, tx: &mut Tx, ran: &mut Vec<Member>) -> Batch {
        let started = Instant::now();
        while let Some(mut member) = self.waiting.pop_front() {
            let full = ran.len() >= MAX_BATCH || started.elapsed() > MAX_BATCH_TIME;
            if !ran.is_empty() && (member.alone || full) {
                self.waiting.push_front(member);
                break;
            }
            let alone = member.alone;
            let outcome = run_in_place(&mut member, tx).await;
            ran.push(member);
            match outcome {
                Ran::Done | Ran::Refused if alone => break,
                Ran::Done | Ran::Refused => {}
                Ran::Failed if alone || ran.len() == 1 => return Batch::Ended,
                Ran::Failed | Ran::Again { .. } => return Batch::Spoiled,
            }
        }
        Batch::Whole
    }

    async fn commit(&mut self, tx: &mut Tx, ran: Vec<Member>) {
        if let Some(delay) = self.commit_delay {
            tokio::time::sleep(delay).await;
        }
        let trouble = tx.conn_mut().commit().await.err().map(|error| {
            tracing::warn!(%error, members = ran.len(), "a transaction could not be committed");
            Trouble::of(&error)
        });
        let mut ran = ran;
        if trouble.is_none() {
            let logged = ran
                .iter_mut()
                .fold(false, |logged, m| m.work.committed() | logged);
            if logged {
                self.wake.committed_here();
            }
        }
        for member in ran {
            member.work.answer(trouble.as_ref());
        }
    }
}

/// Runs a member, and again as long as that needs no rollback.
async fn run_in_place(member: &mut Member, tx: &mut Tx) -> Ran {
    loop {
        match member.work.run(tx).await {
            Ran::Again { dirty: false } => {}
            ran => return ran,
        }
    }
}
