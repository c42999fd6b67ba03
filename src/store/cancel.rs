//! Ending statements of PostgreSQL that nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::conn::{Conn, Meter};
use super::target::Target;
use crate::on;

/// How long the order may take; after that the statement's own limit of time has to end it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How old the connection becomes. Its address may come to lead to another server, where the number of a
/// process means another one.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// Has the server end the statements of other connections, by a connection of its own.
#[derive(Clone)]
pub(super) struct Canceller(Arc<Inner>);

struct Inner {
    target: Target,
    meter: Arc<Meter>,
    conn: Mutex<Option<Conn>>,
}

impl Canceller {
    pub(super) fn new(target: Target) -> Self {
        Self(Arc::new(Inner {
            target,
            meter: Arc::default(),
            conn: Mutex::new(None),
        }))
    }

    /// Orders the end of what a server process works at. False only if no order can arrive late.
    pub(super) async fn cancel(&self, process: i32) -> bool {
        let may_arrive = AtomicBool::new(false);
        let ordering = async {
            let mut kept = self.0.conn.lock().await;
            // Taken out meanwhile: a connection on which an order was given up is not used again.
            let mut conn = match kept.take().filter(|conn| conn.age() < KEPT_FOR) {
                Some(conn) => conn,
                None => self.0.target.connect(&self.0.meter).await?,
            };
            may_arrive.store(true, Ordering::Relaxed);
            let taken: bool = on!(&mut conn, |e| {
                sqlx::query_scalar("SELECT pg_cancel_backend($1)")
                    .bind(process)
                    .fetch_one(e)
                    .await
            })?;
            may_arrive.store(taken, Ordering::Relaxed);
            *kept = Some(conn);
            Ok::<_, sqlx::Error>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, ordering).await {
            tracing::debug!(%error, "a statement could not be cancelled");
        }
        may_arrive.load(Ordering::Relaxed)
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        if let Some(conn) = self.0.conn.lock().await.take() {
            conn.close().await;
        }
    }
}
