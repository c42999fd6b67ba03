//! Hints by the database: `NOTIFY` and `LISTEN`.
//!
//! They are sent on a connection of their own, because a `NOTIFY` makes its transaction hold a database-wide
//! lock through its commit.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Outage, RETRY, SPACING};
use crate::store::config::StoreConfig;
use crate::store::target::Session;
use crate::store::wake::Wake;

/// How long both ends wait for a silent server, and the greatest age of their connections.
#[derive(Clone, Copy)]
struct Limits {
    silence: Duration,
    age: Duration,
}

pub(super) fn start(
    session: Session,
    store_id: &str,
    own: String,
    config: &StoreConfig,
    wake: &Wake,
    stop: &CancellationToken,
) {
    // One database may hold several stores, in schemas of their own.
    let channel = format!("clientela_{}", store_id.replace('-', ""));
    let limits = Limits {
        silence: config.silence_limit,
        age: config.connection_age,
    };
    // A hint need not survive a crash, so it costs no flush.
    let unflushed = session.clone().with("synchronous_commit", "off");
    let sender = send(unflushed, channel.clone(), own.clone(), limits, wake.here());
    tokio::spawn(stop.clone().run_until_cancelled_owned(sender));
    let listener = listen(session, channel, own, limits, wake.clone());
    tokio::spawn(stop.clone().run_until_cancelled_owned(listener));
}

async fn send(
    session: Session,
    channel: String,
    own: String,
    limits: Limits,
    mut commits: watch::Receiver<u64>,
) {
    let mut connection: Option<(PgConnection, Instant)> = None;
    let mut owed = false;
    while owed || commits.changed().await.is_ok() {
        let sending = async {
            let kept = connection.take();
            let (mut open, made) = match kept.filter(|(_, made)| made.elapsed() < limits.age) {
                Some(kept) => kept,
                None => (session.open().await?.0, Instant::now()),
            };
            sqlx::query("SELECT pg_notify($1, $2)")
                .bind(&channel)
                .bind(&own)
                .execute(&mut open)
                .await?;
            Ok::<_, sqlx::Error>((open, made))
        };
        match tokio::time::timeout(limits.silence, sending).await {
            Ok(Ok(kept)) => connection = Some(kept),
            Ok(Err(error)) => tracing::debug!(%error, "a hint could not be sent"),
            Err(_) => tracing::debug!("a hint could not be sent in time"),
        }
        // An unsent hint is still owed: the others may be back before the next commit.
        owed = connection.is_none();
        tokio::time::sleep(if owed { RETRY } else { SPACING }).await;
    }
}

async fn listen(session: Session, channel: String, own: String, limits: Limits, wake: Wake) {
    let mut outage = Outage::new("PostgreSQL");
    loop {
        // A new pool each time: a dropped listener sends a last message on its connection, and a dead one
        // would keep the place of the next.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(limits.silence)
            .connect_lazy_with(session.options().clone());
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // A standby refuses this, so that the next attempt may find the primary.
            listener.listen(&channel).await?;
            let since = Instant::now();
            outage.ends();
            // There may have been commits before the subscription.
            wake.committed_elsewhere();
            while since.elapsed() < limits.age {
                // Receiving can be cancelled without loss.
                match tokio::time::timeout(limits.silence, listener.try_recv()).await {
                    Ok(Ok(Some(hint))) if hint.payload() == own => {}
                    Ok(Ok(Some(_))) => wake.hinted(),
                    // The connection was lost and made again; hints may have been missed.
                    Ok(Ok(None)) => wake.committed_elsewhere(),
                    Ok(Err(error)) => return Err(error),
                    // A connection that died silently looks like one without hints.
                    Err(_) => {
                        let answer = sqlx::query("SELECT 1").execute(&mut listener);
                        match tokio::time::timeout(limits.silence, answer).await {
                            Ok(Ok(_)) => {}
                            Ok(Err(error)) => return Err(error),
                            Err(_) => return Ok(()),
                        }
                    }
                }
            }
            Ok(())
        };
        let ended: sqlx::Result<()> = listening.await;
        if let Err(error) = ended {
            outage.lasts(&error);
            tokio::time::sleep(RETRY).await;
        }
    }
}
