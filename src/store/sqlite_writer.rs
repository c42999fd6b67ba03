//! The one writer of SQLite: many writes share one transaction and one flush.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::batch::{self, MAX_BATCH, Outcome, Queue};
use super::conn::{Conn, Meter};
use super::error::StoreError;
use super::sqlite::DataDir;
use super::target::Target;
use super::tx::Tx;
use super::wake::Wake;
use super::work::Work;

/// The most writes that wait for their batch. Further callers wait to submit theirs.
const MAX_CALLS: usize = 1024;
const MAX_JOBS: usize = 64;
/// The most dry runs between two batches.
const DRY_RUNS_AT_ONCE: usize = 8;
/// Transactions between two checks of the length of the write-ahead log.
const LOG_CHECKED_EVERY: u32 = 256;

/// The handle of the writer.
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
        data_dir: DataDir,
    ) -> Self {
        let (calls, call_queue) = mpsc::channel(MAX_CALLS);
        let (jobs, job_queue) = mpsc::channel(MAX_JOBS);
        let stop = CancellationToken::new();
        let state = Loop {
            tx: Some(Tx::new(conn)),
            lost: None,
            target,
            meter,
            wake,
            commit_delay,
            calls: call_queue,
            jobs: job_queue,
            queue: Queue::new(None),
            dry_runs: VecDeque::new(),
            data_dir,
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

    /// Submits a write. Once this returns, the write will run, whether or not its caller waits.
    pub(super) async fn submit(&self, work: Box<dyn Work>, job: bool) {
        let queue = if job { &self.jobs } else { &self.calls };
        if let Err(refused) = queue.send(work).await {
            refused
                .0
                .answer(Some(&StoreError::away("the store is closed")));
        }
    }

    /// Runs all submitted writes, then closes the file.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer ended with an error");
        }
    }
}

struct Loop {
    /// None after the connection was lost.
    tx: Option<Tx>,
    /// The lost connection, until its successor is open: see [`reopen`](Self::reopen).
    lost: Option<Conn>,
    target: Target,
    meter: Arc<Meter>,
    wake: Wake,
    commit_delay: Option<Duration>,
    calls: mpsc::Receiver<Box<dyn Work>>,
    jobs: mpsc::Receiver<Box<dyn Work>>,
    queue: Queue,
    /// Run between the batches, each in a transaction that is rolled back.
    dry_runs: VecDeque<Box<dyn Work>>,
    data_dir: DataDir,
    transactions: u32,
}

impl Loop {
    async fn run(mut self, stop: CancellationToken) {
        while self.gather(&stop).await {
            if !self.queue.is_empty() {
                self.one_transaction().await;
            }
            for _ in 0..DRY_RUNS_AT_ONCE {
                let Some(dry_run) = self.dry_runs.pop_front() else {
                    break;
                };
                self.dry_run(dry_run).await;
            }
        }
        if let Some(tx) = self.tx.take() {
            tx.into_conn().close().await;
        }
        if let Some(lost) = self.lost.take() {
            lost.close().await;
        }
    }

    /// Fills the queues. Returns false when they are empty and stay so.
    async fn gather(&mut self, stop: &CancellationToken) -> bool {
        while self.waiting() == 0 {
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
                Some(work) => self.sort(work),
                None => return false,
            }
        }
        while self.waiting() < MAX_BATCH {
            match self.calls.try_recv() {
                Ok(work) => self.sort(work),
                Err(_) => break,
            }
        }
        // Calls come first, and one job a transaction, so that neither waits for ever.
        if let Ok(work) = self.jobs.try_recv() {
            self.sort(work);
        }
        true
    }

    fn waiting(&self) -> usize {
        self.queue.len() + self.dry_runs.len()
    }

    fn sort(&mut self, work: Box<dyn Work>) {
        if work.is_dry_run() {
            self.dry_runs.push_back(work);
        } else {
            self.queue.push(work);
        }
    }

    /// Runs a write in a transaction of its own, which is rolled back.
    async fn dry_run(&mut self, work: Box<dyn Work>) {
        let mut queue = Queue::new(None);
        queue.push(work);
        while !queue.is_empty() {
            let mut tx = match self.begin().await {
                Ok(tx) => tx,
                Err(error) => return queue.answer_all(&error),
            };
            let (ran, outcome) = queue.run(&mut tx, || None).await;
            tx.conn_mut().rollback().await;
            self.keep(tx).await;
            if outcome == Outcome::Whole {
                batch::answer(ran, None);
            } else {
                queue.requeue(ran, outcome, false);
            }
        }
    }

    /// Runs one transaction over the waiting writes and sends all its answers.
    async fn one_transaction(&mut self) {
        let mut tx = match self.begin().await {
            Ok(tx) => tx,
            Err(error) => {
                self.queue.answer_all(&error);
                return;
            }
        };
        let (calls, dry_runs) = (&mut self.calls, &mut self.dry_runs);
        let late = || {
            while dry_runs.len() < MAX_BATCH {
                let work = calls.try_recv().ok()?;
                if !work.is_dry_run() {
                    return Some(work);
                }
                dry_runs.push_back(work);
            }
            None
        };
        let (ran, outcome) = self.queue.run(&mut tx, late).await;
        if outcome == Outcome::Whole {
            self.commit(&mut tx, ran).await;
        } else {
            tx.conn_mut().rollback().await;
            self.queue.requeue(ran, outcome, false);
        }
        self.transactions = self.transactions.wrapping_add(1);
        if self.transactions.is_multiple_of(LOG_CHECKED_EVERY) {
            self.data_dir.checkpoint_long_log(tx.conn_mut()).await;
        }
        self.keep(tx).await;
    }

    /// Keeps the connection for the next transaction, unless it is broken.
    async fn keep(&mut self, mut tx: Tx) {
        if tx.is_broken() {
            tracing::warn!("the writer's connection was lost; it is opened again");
            // A lock that it may still hold would block its successor.
            tx.conn_mut().rollback().await;
            self.lost = Some(tx.into_conn());
        } else {
            self.tx = Some(tx);
        }
    }

    /// Opens a connection in place of a lost one, and only then closes the lost one.
    ///
    /// A commit whose flush failed has left its frames in the write-ahead log. They are in the system's
    /// cache, marked as clean, and perhaps not on the disk, because a later flush does not write them again.
    /// They are harmless as long as the index of the log ends before them: the next transaction overwrites
    /// them, and its own flush covers all of it. That index is in the memory that connections share. If no
    /// connection were left, the next one would read the log anew, take those frames for a commit and append
    /// after them. A power cut could then lose writes that were flushed and answered. So the index is kept
    /// alive. A start of the program does read the log anew, so it first moves the content into the database
    /// and flushes it (`sqlite::open`).
    async fn reopen(&mut self) -> Result<Conn, StoreError> {
        let opened = self.target.connect(&self.meter).await;
        let opened = opened.map_err(|error| StoreError::of(&error))?;
        if let Some(lost) = self.lost.take() {
            lost.close().await;
        }
        Ok(opened)
    }

    async fn begin(&mut self) -> Result<Tx, StoreError> {
        let mut tx = match self.tx.take() {
            Some(tx) => tx,
            None => Tx::new(self.reopen().await?),
        };
        if let Err(error) = self.data_dir.settle(tx.conn_mut()).await {
            self.keep(tx).await;
            return Err(error);
        }
        // A writer from the start: a transaction that becomes one later is refused without waiting.
        match tx.conn_mut().begin("BEGIN IMMEDIATE".into()).await {
            Ok(()) => Ok(tx),
            Err(error) => {
                self.keep(tx).await;
                Err(StoreError::of(&error))
            }
        }
    }

    async fn commit(&mut self, tx: &mut Tx, mut ran: Vec<batch::Member>) {
        if let Some(delay) = self.commit_delay {
            tokio::time::sleep(delay).await;
        }
        let error = tx.conn_mut().commit().await.err().map(|error| {
            let (error, members) = (StoreError::of(&error), ran.len());
            tracing::warn!(%error, members, "a transaction could not be committed");
            error
        });
        if error.is_none() && batch::committed(&mut ran) {
            self.wake.committed_here();
        }
        batch::answer(ran, error.as_ref());
    }
}
