//! Cancels statements of PostgreSQL whose callers have gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::conn::{Conn, Meter};
use super::target::Target;
use crate::on;

/// How long the request to cancel may take. After that the statement's own time limit has to end it.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The greatest age of the connection. Its address may later lead to another server, where the same process
/// number means another process.
const MAX_AGE: Duration = Duration::from_secs(10);

/// Cancels statements of other connections through a connection of its own.
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

    /// Asks the server to cancel the statement of a server process. Returns false only if no request can
    /// arrive late.
    pub(super) async fn cancel(&self, process: i32) -> bool {
        let may_arrive = AtomicBool::new(false);
        let ordering = async {
            let mut kept = self.0.conn.lock().await;
            // Taken out meanwhile: a connection with an unfinished request is not used again.
            let mut conn = match kept.take().filter(|conn| conn.age() < MAX_AGE) {
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
        if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, ordering).await {
            tracing::debug!(%error, "a statement could not be cancelled");
        }
        may_arrive.load(Ordering::Relaxed)
    }

    pub(super) async fn close(&self) {
        if let Some(conn) = self.0.conn.lock().await.take() {
            conn.close().await;
        }
    }
}
