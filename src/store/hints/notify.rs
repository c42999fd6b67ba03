//! Hints by the database: `NOTIFY` and `LISTEN`.
//!
//! They are sent on a connection of their own, as a `NOTIFY` makes its transaction hold a lock of the
//! whole database through its commit.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgConnection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Outage, RETRY, SPACING};
use crate::store::wake::Wake;

pub(super) fn start(
    options: PgConnectOptions,
    store_id: &str,
    own: String,
    silence_limit: Duration,
    wake: &Wake,
    stop: &CancellationToken,
) {
    // One database may hold several stores, in schemas of their own.
    let channel = format!("clientela_{}", store_id.replace('-', ""));
    // A hint need not survive anything, so no flush is spent on it.
    let hasty = options.clone().options([("synchronous_commit", "off")]);
    let sender = send(
        hasty,
        channel.clone(),
        own.clone(),
        silence_limit,
        wake.here(),
    );
    tokio::spawn(stop.clone().run_until_cancelled_owned(sender));
    let listener = listen(options, channel, own, silence_limit, wake.clone());
    tokio::spawn(stop.clone().run_until_cancelled_owned(listener));
}

async fn send(
    options: PgConnectOptions,
    channel: String,
    own: String,
    silence_limit: Duration,
    mut commits: watch::Receiver<u64>,
) {
    let mut connection: Option<PgConnection> = None;
    let mut owed = false;
    while owed || commits.changed().await.is_ok() {
        let sending = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => options.connect().await?,
            };
            sqlx::query("SELECT pg_notify($1, $2)")
                .bind(&channel)
                .bind(&own)
                .execute(&mut open)
                .await?;
            Ok::<_, sqlx::Error>(open)
        };
        match tokio::time::timeout(silence_limit, sending).await {
            Ok(Ok(open)) => connection = Some(open),
            Ok(Err(error)) => tracing::debug!(%error, "a hint could not be sent"),
            Err(_) => tracing::debug!("a hint could not be sent in time"),
        }
        // One that was not sent is owed: the others may be back before the next commit comes.
        owed = connection.is_none();
        tokio::time::sleep(if owed { RETRY } else { SPACING }).await;
    }
}

async fn listen(
    options: PgConnectOptions,
    channel: String,
    own: String,
    silence_limit: Duration,
    wake: Wake,
) {
    let mut outage = Outage::new("PostgreSQL");
    loop {
        // A pool each time: a listener that is dropped says farewell on its connection, and one that
        // is dead would keep the place of the next.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(silence_limit)
            .connect_lazy_with(options.clone());
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(&channel).await?;
            outage.ends();
            // What was committed before the ears were open.
            wake.committed_elsewhere();
            loop {
                // Receiving can be interrupted without losing anything.
                match tokio::time::timeout(silence_limit, listener.try_recv()).await {
                    Ok(Ok(Some(hint))) if hint.payload() == own => {}
                    Ok(Ok(Some(_))) => wake.hinted(),
                    // The connection was lost and is there again; hints may have passed.
                    Ok(Ok(None)) => wake.committed_elsewhere(),
                    Ok(Err(error)) => return Err(error),
                    // A connection that died without a word looks like one without news.
                    Err(_) => {
                        let answer = sqlx::query("SELECT 1").execute(&mut listener);
                        match tokio::time::timeout(silence_limit, answer).await {
                            Ok(Ok(_)) => {}
                            Ok(Err(error)) => return Err(error),
                            Err(_) => return Ok(()),
                        }
                    }
                }
            }
        };
        let ended: sqlx::Result<()> = listening.await;
        if let Err(error) = ended {
            outage.lasts(&error);
        }
        tokio::time::sleep(RETRY).await;
    }
}
