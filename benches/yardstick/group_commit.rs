//! The product's statements of AddItem on SQLite through sqlx, each sent separately and without a server. A
//! writer commits waiting writes in one transaction, up to a maximal number.

use std::path::Path;
use std::time::Duration;

use futures::FutureExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::row::{ALL, CartRow, READ_ON_SQLITE, add_item};

/// Writes that may wait.
const QUEUE: usize = 1024;

/// A file with its writer.
pub struct GroupCommit {
    jobs: mpsc::Sender<Job>,
    writer: JoinHandle<sqlx::Result<()>>,
}

struct Job {
    cart: usize,
    done: oneshot::Sender<()>,
}

impl GroupCommit {
    /// Opens a copy of a store that the product made. At most `batch` writes share a transaction; `payload`
    /// is written to the log.
    pub async fn open(
        data_dir: &Path,
        batch: usize,
        flush_delay: Duration,
        payload: Vec<u8>,
    ) -> sqlx::Result<Self> {
        let mut connection = SqliteConnectOptions::new()
            .filename(data_dir.join("clientela.db"))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("secure_delete", "ON")
            .statement_cache_capacity(256)
            .disable_statement_logging()
            .connect()
            .await?;
        let carts: Vec<CartRow> = sqlx::query_as(ALL).fetch_all(&mut connection).await?;
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let writer = tokio::spawn(async move {
            let mut waiting = Vec::with_capacity(batch);
            while queue.recv_many(&mut waiting, batch).await > 0 {
                transaction(&mut connection, &carts, &waiting, flush_delay, &payload).await?;
                for job in waiting.drain(..) {
                    // A caller may have gone at the end of the round.
                    let _ = job.done.send(());
                }
            }
            connection.close().await
        });
        Ok(Self { jobs, writer })
    }

    /// Returns a function that hands in a write and waits for its commit.
    pub fn caller(&self) -> impl Fn(usize) -> futures::future::BoxFuture<'static, ()> + use<> {
        let jobs = self.jobs.clone();
        move |cart| {
            let jobs = jobs.clone();
            async move {
                let (done, committed) = oneshot::channel();
                let handed_in = jobs.send(Job { cart, done }).await;
                handed_in.expect("the writer runs");
                committed.await.expect("the writer commits");
            }
            .boxed()
        }
    }

    /// Ends the writer.
    pub async fn close(self) {
        drop(self.jobs);
        let ended = self.writer.await.expect("the writer does not panic");
        ended.expect("the file is closed");
    }
}

async fn transaction(
    connection: &mut SqliteConnection,
    carts: &[CartRow],
    jobs: &[Job],
    flush_delay: Duration,
    payload: &[u8],
) -> sqlx::Result<()> {
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut *connection)
        .await?;
    for job in jobs {
        let cart = &carts[job.cart % carts.len()];
        add_item!(connection, READ_ON_SQLITE, cart, payload);
    }
    if !flush_delay.is_zero() {
        tokio::time::sleep(flush_delay).await;
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(())
}
