//! Hints by the database: `NOTIFY` and `LISTEN`.
//!
//! They are sent on a connection of their own, as a `NOTIFY` makes its transaction hold a lock of the
//! whole database through its commit.

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Outage, RETRY, SPACING};
use crate::store::wake::Wake;

pub(super) fn start(
    options: PgConnectOptions,
    store_id: &str,
    own: String,
    wake: &Wake,
    stop: &CancellationToken,
) {
    // One database may hold several stores, in schemas of their own.
    let channel = format!("clientela_{}", store_id.replace('-', ""));
    // A hint need not survive anything, so no flush is spent on it.
    let hasty = options.clone().options([("synchronous_commit", "off")]);
    let sender = send(hasty, channel.clone(), own.clone(), wake.here());
    tokio::spawn(stop.clone().run_until_cancelled_owned(sender));
    let listener = listen(options, channel, own, wake.clone());
    tokio::spawn(stop.clone().run_until_cancelled_owned(listener));
}

async fn send(
    options: PgConnectOptions,
    channel: String,
    own: String,
    mut commits: watch::Receiver<u64>,
) {
    let mut connection: Option<PgConnection> = None;
    while commits.changed().await.is_ok() {
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => options.connect().await,
        };
        match open {
            Ok(mut open) => {
                let sent = sqlx::query("SELECT pg_notify($1, $2)")
                    .bind(&channel)
                    .bind(&own)
                    .execute(&mut open)
                    .await;
                match sent {
                    Ok(_) => connection = Some(open),
                    Err(error) => {
                        tracing::debug!(%error, "a hint could not be sent");
                        let _ = open.close().await;
                    }
                }
                tokio::time::sleep(SPACING).await;
            }
            Err(error) => {
                tracing::debug!(%error, "no connection for hints");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn listen(options: PgConnectOptions, channel: String, own: String, wake: Wake) {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    let mut outage = Outage::new("PostgreSQL");
    loop {
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(&channel).await?;
            outage.ends();
            // What was committed before the ears were open.
            wake.committed_elsewhere();
            loop {
                match listener.try_recv().await? {
                    Some(hint) if hint.payload() == own => {}
                    Some(_) => wake.hinted(),
                    // The connection was lost and is there again; hints may have passed.
                    None => wake.committed_elsewhere(),
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
