//! Tests `clientela-min-revision`: a replica that is behind waits until it has the revision, and refuses the
//! call after a limit.

use std::time::Duration;

use clientela::feed::FeedSettings;
use clientela::proto::pb::{self, ErrorReason, GetCartRequest};
use tonic::{Code, Request};

use super::{assert_passing, other_session, run};
use crate::harness::{Engine, Setup, Shop};
use crate::watch::{item, visitor};

fn waiting(revision_wait: Duration) -> Setup {
    let feed = FeedSettings {
        revision_wait,
        ..Setup::default().feed
    };
    Setup {
        feed,
        ..Setup::default()
    }
}

fn get(revision: Option<&str>) -> Request<GetCartRequest> {
    let mut request = Request::new(GetCartRequest {
        target: Some(visitor("of two replicas")),
    });
    if let Some(revision) = revision {
        let revision = revision.parse().expect("a revision is ASCII");
        request
            .metadata_mut()
            .insert("clientela-min-revision", revision);
    }
    request
}

/// Adds a line and returns the revision of the answer.
async fn add(shop: &Shop) -> String {
    let request = pb::AddItemRequest {
        target: Some(visitor("of two replicas")),
        item: Some(item("mug", 1)),
        ..Default::default()
    };
    let added = shop.carts().add_item(request).await.unwrap();
    let revision = added.metadata().get("clientela-revision").unwrap();
    revision.to_str().unwrap().to_owned()
}

/// A write in progress that began earlier holds the log back, and with it the position of replicas.
const HOLD: &str = "BEGIN; SELECT pg_current_xact_id()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_behind_waits_and_then_answers() {
    let shop = Shop::start_with(Engine::Postgres, Setup::default()).await;
    let replica = shop.replica(waiting(Duration::from_secs(3600))).await;
    let mut behind = replica.carts_as(&shop.admin_key);
    let mut earlier = other_session(&shop).await;
    run(&mut earlier, HOLD).await;
    let revision = add(&shop).await;

    let mut patient = behind.clone();
    let mut waits = std::pin::pin!(patient.get_cart(get(Some(&revision))));
    assert!(futures::poll!(&mut waits).is_pending());
    for _ in 0..20 {
        behind
            .get_cart(get(None))
            .await
            .expect("calls without a revision do not wait");
        assert!(futures::poll!(&mut waits).is_pending());
    }
    run(&mut earlier, "ROLLBACK").await;

    assert_eq!(waits.await.unwrap().into_inner().item_count, 1);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stays_behind_refuses_and_recovers_later() {
    let shop = Shop::start_with(Engine::Postgres, Setup::default()).await;
    let replica = shop.replica(waiting(Duration::from_millis(50))).await;
    let mut behind = replica.carts_as(&shop.admin_key);
    let mut earlier = other_session(&shop).await;
    run(&mut earlier, HOLD).await;
    let revision = add(&shop).await;

    let refused = behind.get_cart(get(Some(&revision))).await.unwrap_err();
    assert_passing(&refused, Code::Unavailable, ErrorReason::RevisionNotReached);

    run(&mut earlier, "ROLLBACK").await;
    let cart = super::recovers("the revision", || {
        let mut behind = behind.clone();
        let request = get(Some(&revision));
        async move { behind.get_cart(request).await }
    })
    .await;
    assert_eq!(cart.into_inner().item_count, 1);
    replica.stop().await;
}
