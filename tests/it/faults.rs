//! Tests faults of the surroundings: databases that stop, lock or hang, disks that are full or broken,
//! refused starts, and the log of all this.

mod damage;
mod database_away;
mod database_busy;
mod database_silent;
mod disk;
mod drain;
mod endless_reads;
mod failing_disk;
mod files;
mod logs;
mod min_revision;
mod pooler;
mod power;
pub mod process;
pub mod proxy;
mod restored;
mod standby;
mod start;
mod write_lock;
mod writer;

use std::collections::BTreeMap;

use clientela::proto::pb::{self, ErrorReason, cart_service_client::CartServiceClient};
use clientela::store::DatabaseUrl;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_types::StatusExt as _;

use crate::harness::{CartWatch, Shop, Transport, assert_refused, eventually};
use crate::watch::listed;

/// Asserts a refusal that asks for a retry: its code and reason, and RetryInfo.
#[track_caller]
pub fn assert_passing(status: &Status, code: Code, reason: ErrorReason) {
    assert_refused(status, code, reason);
    let retry = status.get_details_retry_info();
    let delay = retry.and_then(|retry| retry.retry_delay);
    assert!(delay.is_some_and(|delay| !delay.is_zero()), "{status:?}");
}

/// Asserts that the database does not answer.
#[track_caller]
pub fn assert_unavailable(status: &Status) {
    assert_passing(status, Code::Unavailable, ErrorReason::DatabaseUnavailable);
}

/// Reads from the database: no cache has this absent cart.
pub async fn read(shop: &Shop) -> Result<(), Status> {
    let request = pb::ListCartsRequest {
        page_size: 1,
        ..Default::default()
    };
    shop.carts().list_carts(request).await.map(drop)
}

/// Writes a new cart.
pub async fn write(shop: &Shop) -> Result<(), Status> {
    let title = pb::Title {
        display_names: [("en".to_owned(), "Dr.".to_owned())].into(),
        ..Default::default()
    };
    let request = pb::CreateTitleRequest {
        title: Some(title),
        ..Default::default()
    };
    shop.customers().create_title(request).await.map(drop)
}

/// Repeats a call until it succeeds. Refusals meanwhile must ask for a retry.
pub async fn recovers<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Status>>,
{
    eventually(what, || {
        let called = call();
        async move {
            match called.await {
                Ok(answer) => Some(answer),
                Err(status) => {
                    assert!(
                        matches!(status.code(), Code::Unavailable | Code::ResourceExhausted),
                        "{status:?}"
                    );
                    None
                }
            }
        }
    })
    .await
}

/// Waits until every service of the contract has this status.
pub async fn health_turns(shop: &Shop, wanted: ServingStatus) {
    health_of_turns(shop.channel(), wanted).await;
}

/// Does the same with the server at the end of a connection.
pub async fn health_of_turns(channel: Channel, wanted: ServingStatus) {
    for service in clientela::proto::POOL.services() {
        let service = service.full_name();
        let what = format!("{wanted:?} of {service}");
        let ask = || async {
            let mut health = HealthClient::new(channel.clone());
            let service = service.to_owned();
            let answer = health.check(HealthCheckRequest { service }).await.unwrap();
            (answer.into_inner().status() == wanted).then_some(())
        };
        eventually(&what, ask).await;
    }
}

/// Returns all carts of a list, by name.
pub async fn state(shop: &Shop) -> BTreeMap<String, pb::Cart> {
    let carts = listed(shop).await.into_iter();
    carts.map(|cart| (cart.name.clone(), cart)).collect()
}

/// Reads a watch until it has these carts. If the stream ends with UNAVAILABLE it resumes with the last
/// token, as a careful client does. The watch itself asserts that no version is missing.
pub async fn follow(
    client: &mut CartServiceClient<Transport>,
    mut watch: CartWatch,
    request: &pb::WatchCartsRequest,
    expected: &BTreeMap<String, pb::Cart>,
) -> CartWatch {
    while watch.carts != *expected {
        if let Err(status) = watch.next().await {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            watch = watch.resume(client, request.clone()).await.unwrap();
        }
    }
    watch
}

/// Opens another session on the shop's PostgreSQL.
pub async fn other_session(shop: &Shop) -> PgConnection {
    let DatabaseUrl::Postgres(options) = shop.database() else {
        panic!("the shop is not on PostgreSQL")
    };
    PgConnection::connect_with(&options)
        .await
        .expect("the database is there")
}

/// Runs a statement of the test.
pub async fn run(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}
