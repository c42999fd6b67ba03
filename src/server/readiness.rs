//! Health: the server itself, and each service as far as its database answers and is whole.

use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::on;
use crate::proto::POOL;
use crate::store::Store;

/// The health of the server's services.
#[derive(Clone)]
pub struct Health(pub HealthReporter);

/// How often the database is asked whether it is there.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Keeps each service's health up to date until `stop`; then none serves any more.
pub async fn watch_readiness(health: Health, store: Store, stop: CancellationToken) {
    let mut known = None;
    loop {
        let answered = tokio::time::timeout(PATIENCE, store.read(|conn| ping(conn).boxed())).await;
        let ready = store.is_sound() && matches!(answered, Ok(Ok(())));
        if known != Some(ready) {
            known = Some(ready);
            health
                .set(if ready {
                    ServingStatus::Serving
                } else {
                    ServingStatus::NotServing
                })
                .await;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
    health.set(ServingStatus::NotServing).await;
    health
        .0
        .set_service_status("", ServingStatus::NotServing)
        .await;
}

async fn ping(conn: &mut crate::store::Conn) -> crate::error::Result<()> {
    on!(conn, |e| sqlx::query("SELECT 1").execute(e).await.map(drop))?;
    Ok(())
}

impl Health {
    async fn set(&self, status: ServingStatus) {
        for service in POOL.services() {
            self.0.set_service_status(service.full_name(), status).await;
        }
    }
}
