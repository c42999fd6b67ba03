//! Tests OperationService over the network, on both engines.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::execute;
use clientela::jobs::JobsSettings;
use clientela::proto::pb::operation::{Kind, State};
use clientela::proto::pb::operation_service_client::OperationServiceClient;
use clientela::proto::pb::{self, ErrorReason};
use clientela::store::Locks;
use futures::FutureExt as _;
use tonic::Code;

use crate::harness::store::START;
use crate::harness::{Engine, Setup, Shop, Transport, assert_refused, eventually};

/// A shop with a held clock, in which no worker does the requested jobs.
async fn idle(engine: Engine) -> Shop {
    let ordinary = Setup::default();
    let jobs = JobsSettings {
        workers: 0,
        ..ordinary.jobs.clone()
    };
    Shop::start_with(
        engine,
        Setup {
            clock: Clock::held_at(START),
            jobs,
            ..ordinary
        },
    )
    .await
}

async fn busy(engine: Engine) -> Shop {
    Shop::start(engine).await
}

/// Runs a test on both engines, in the named shop.
macro_rules! on_both {
    ($($name:ident in $shop:ident;)*) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(super::$shop(super::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(super::$shop(super::Engine::Postgres).await).await;
            }
        }
    )* };
}

on_both! {
    an_operation_is_watched_until_its_end in busy;
    an_operation_that_keeps_data_consistent_cannot_be_cancelled in idle;
    a_purge_can_be_cancelled_once in idle;
    operations_of_the_whole_store_are_for_operators in idle;
    operations_are_listed_newest_first in idle;
    a_page_of_operations_examines_a_bounded_number in idle;
    operators_see_pages_of_the_shop_and_of_the_store_in_one_order in idle;
    a_watched_operation_that_is_not_listed_ends_as_done in idle;
    an_absent_operation_is_not_found in idle;
}

fn operator(shop: &Shop) -> OperationServiceClient<Transport> {
    OperationServiceClient::with_interceptor(shop.channel(), Shop::with_key(&shop.operator_key))
}

/// Creates a group, deletes it, and returns the operation.
async fn delete_group(shop: &Shop, id: &str) -> String {
    let names = [("en".to_owned(), id.to_owned())].into();
    let request = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: names,
            ..pb::Group::default()
        }),
        group_id: id.to_owned(),
        ..pb::CreateGroupRequest::default()
    };
    shop.groups().create_group(request).await.unwrap();
    let request = pb::DeleteGroupRequest {
        name: format!("groups/{id}"),
        ..Default::default()
    };
    let deleted = shop.groups().delete_group(request).await.unwrap();
    deleted
        .metadata()
        .get("clientela-operation")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

async fn list(shop: &Shop, filter: &str) -> Vec<pb::Operation> {
    let request = pb::ListOperationsRequest {
        filter: filter.to_owned(),
        ..Default::default()
    };
    shop.operations()
        .list_operations(request)
        .await
        .unwrap()
        .into_inner()
        .operations
}

/// Waits for an operation that matches a filter.
async fn due(
    client: impl Fn() -> OperationServiceClient<Transport>,
    filter: &str,
) -> pb::Operation {
    eventually(filter, || async {
        let request = pb::ListOperationsRequest {
            filter: filter.to_owned(),
            ..Default::default()
        };
        let found = client()
            .list_operations(request)
            .await
            .unwrap()
            .into_inner();
        found.operations.into_iter().next()
    })
    .await
}

fn cancelling(name: &str, request_id: &str) -> pb::CancelOperationRequest {
    pb::CancelOperationRequest {
        name: name.to_owned(),
        request_id: request_id.to_owned(),
    }
}

async fn an_operation_is_watched_until_its_end(shop: Shop) {
    let name = delete_group(&shop, "vip").await;
    let request = pb::WatchOperationRequest { name: name.clone() };
    let mut stream = shop
        .operations()
        .watch_operation(request)
        .await
        .unwrap()
        .into_inner();

    let mut seen = Vec::new();
    while let Some(operation) = stream.message().await.unwrap() {
        seen.push(operation);
    }

    let last = seen.last().expect("the current state is sent");
    assert_eq!(
        (last.name.as_str(), last.kind(), last.state()),
        (&*name, Kind::DeleteGroup, State::Done)
    );
    assert_eq!(last.subject, "groups/vip");
    assert!(last.actor.starts_with("apiKeys/"), "{}", last.actor);
    assert!(last.create_time.is_some() && last.end_time.is_some() && last.error.is_empty());
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]));
    let request = pb::GetOperationRequest { name: name.clone() };
    let shown = shop
        .operations()
        .get_operation(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(&shown, last);
    let refused = shop
        .operations()
        .cancel_operation(cancelling(&name, ""))
        .await
        .unwrap_err();
    assert_refused(
        &refused,
        Code::FailedPrecondition,
        ErrorReason::OperationEnded,
    );
}

async fn an_operation_that_keeps_data_consistent_cannot_be_cancelled(shop: Shop) {
    let name = delete_group(&shop, "vip").await;

    let refused = shop
        .operations()
        .cancel_operation(cancelling(&name, ""))
        .await
        .unwrap_err();

    assert_refused(
        &refused,
        Code::FailedPrecondition,
        ErrorReason::OperationNotCancellable,
    );
    assert_eq!(
        list(&shop, "state = PENDING AND kind = DELETE_GROUP").await[0].name,
        name
    );
}

async fn a_purge_can_be_cancelled_once(shop: Shop) {
    let request = pb::AddMembersRequest {
        group: "groups/customer".to_owned(),
        members: vec!["customers/absent".to_owned()],
        request_id: "leaves an answer".to_owned(),
        ..pb::AddMembersRequest::default()
    };
    shop.groups().add_members(request).await.unwrap();
    shop.clock.advance(Duration::from_secs(26 * 3_600));
    let purge = due(|| shop.operations(), "kind = PURGE AND state = PENDING").await;

    let cancelled = shop
        .operations()
        .cancel_operation(cancelling(&purge.name, "stop"))
        .await;
    let again = shop
        .operations()
        .cancel_operation(cancelling(&purge.name, "stop"))
        .await;
    let other = shop
        .operations()
        .cancel_operation(cancelling(&purge.name, ""))
        .await;

    let cancelled = cancelled.unwrap().into_inner();
    assert_eq!(
        (cancelled.state(), cancelled.actor.as_str()),
        (State::Cancelled, "system")
    );
    assert!(cancelled.end_time.is_some());
    assert_eq!(again.unwrap().into_inner(), cancelled);
    assert_refused(
        &other.unwrap_err(),
        Code::FailedPrecondition,
        ErrorReason::OperationEnded,
    );
}

async fn operations_of_the_whole_store_are_for_operators(shop: Shop) {
    delete_group(&shop, "vip").await;
    shop.clock.advance(Duration::from_secs(4 * 24 * 3_600));
    let compaction = due(|| operator(&shop), "kind = COMPACT").await;

    let request = pb::GetOperationRequest {
        name: compaction.name.clone(),
    };
    let unseen = shop
        .operations()
        .get_operation(request.clone())
        .await
        .unwrap_err();
    let cancelled = shop
        .operations()
        .cancel_operation(cancelling(&compaction.name, ""))
        .await;

    assert_refused(&unseen, Code::NotFound, ErrorReason::NotFound);
    assert_refused(
        &cancelled.unwrap_err(),
        Code::NotFound,
        ErrorReason::NotFound,
    );
    assert!(list(&shop, "kind = COMPACT").await.is_empty());
    let shown = operator(&shop)
        .get_operation(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown.name, compaction.name);
    let cancelled = operator(&shop)
        .cancel_operation(cancelling(&compaction.name, ""))
        .await;
    assert_eq!(cancelled.unwrap().into_inner().state(), State::Cancelled);
}

async fn operations_are_listed_newest_first(shop: Shop) {
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.push(delete_group(&shop, &format!("g{number}")).await);
        shop.clock.advance(Duration::from_secs(1));
    }
    expected.reverse();

    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListOperationsRequest {
            page_size: 2,
            page_token,
            filter: "kind = DELETE_GROUP".to_owned(),
        };
        let page = shop
            .operations()
            .list_operations(request)
            .await
            .unwrap()
            .into_inner();
        seen.extend(page.operations.into_iter().map(|operation| operation.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }

    assert_eq!(seen, expected);
    assert_eq!(list(&shop, "subject = \"groups/g3\"").await.len(), 1);
    let request = pb::ListOperationsRequest {
        filter: "progress > 1".to_owned(),
        ..Default::default()
    };
    let refused = shop
        .operations()
        .list_operations(request)
        .await
        .unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidFilter);
}

/// Adds ended operations at intervals of a microsecond; the subject of the first is a needle.
async fn fill(shop: &Shop, scope: &'static str) {
    let filled = shop.store().write(Locks::none(), move |tx| {
        async move { Ok(execute!(tx, sqlx::query(FILL).bind(scope))?) }.boxed()
    });
    assert_eq!(filled.await.unwrap(), 6_000);
}

const FILL: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
    INSERT INTO jobs (id, shop_id, kind, subject, state, cursor, progress, doc, key_id, run_at,
        attempts, create_time, update_time, end_time)
    SELECT 'old-' || $1 || i, $1, 3, CASE WHEN i = 1 THEN 'groups/needle' ELSE 'groups/hay' END,
        3, '', 0, '{}', 'k', 0, 0, i, i, 4000000000000000 FROM n";

async fn page(
    client: &mut OperationServiceClient<Transport>,
    filter: &str,
    page_token: String,
) -> pb::ListOperationsResponse {
    let request = pb::ListOperationsRequest {
        page_size: 1_000,
        page_token,
        filter: filter.to_owned(),
    };
    client.list_operations(request).await.unwrap().into_inner()
}

async fn a_page_of_operations_examines_a_bounded_number(shop: Shop) {
    fill(&shop, "default").await;
    let filter = "subject = \"groups/needle\"";

    let first = page(&mut shop.operations(), filter, String::new()).await;
    let second = page(
        &mut shop.operations(),
        filter,
        first.next_page_token.clone(),
    )
    .await;

    assert!(first.operations.is_empty() && !first.next_page_token.is_empty());
    assert_eq!(second.operations.len(), 1);
    assert_eq!(second.next_page_token, "");
}

async fn operators_see_pages_of_the_shop_and_of_the_store_in_one_order(shop: Shop) {
    fill(&shop, "default").await;
    fill(&shop, "").await;

    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = page(&mut operator(&shop), "", token).await;
        seen.extend(page.operations);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }

    let order = |operation: &pb::Operation| {
        let time = clientela::feed::micros(operation.create_time.as_ref().unwrap());
        (time, operation.name.clone())
    };
    assert_eq!(seen.len(), 12_000);
    assert!(
        seen.windows(2)
            .all(|pair| order(&pair[0]) > order(&pair[1]))
    );
}

async fn a_watched_operation_that_is_not_listed_ends_as_done(shop: Shop) {
    let insert =
        "INSERT INTO jobs (id, shop_id, kind, subject, state, cursor, progress, doc, key_id,
            run_at, attempts, create_time, update_time)
        VALUES ('refresh', 'default', 2, 'customers/ada', 1, '', 0, 'null', 'k', 0, 0, 1, 1)";
    let run = |statement: &'static str| {
        shop.store().write(Locks::none(), move |tx| {
            async move { Ok(execute!(tx, sqlx::query(statement))?) }.boxed()
        })
    };
    run(insert).await.unwrap();
    let request = pb::WatchOperationRequest {
        name: "operations/refresh".to_owned(),
    };
    let watched = shop.operations().watch_operation(request).await.unwrap();
    let mut stream = watched.into_inner();
    let first = stream.message().await.unwrap().unwrap();

    run("DELETE FROM jobs WHERE id = 'refresh'").await.unwrap();
    let last = stream.message().await.unwrap().unwrap();

    assert_eq!(first.state(), State::Pending);
    assert_eq!((last.state(), last.name), (State::Done, first.name));
    assert_eq!(stream.message().await.unwrap(), None);
}

async fn an_absent_operation_is_not_found(shop: Shop) {
    let name = "operations/absent".to_owned();
    let get = pb::GetOperationRequest { name: name.clone() };
    let watch = pb::WatchOperationRequest { name: name.clone() };

    let got = shop.operations().get_operation(get).await.unwrap_err();
    let watched = shop.operations().watch_operation(watch).await.unwrap_err();
    let cancelled = shop
        .operations()
        .cancel_operation(cancelling(&name, ""))
        .await
        .unwrap_err();

    for refused in [got, watched, cancelled] {
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
    }
}
