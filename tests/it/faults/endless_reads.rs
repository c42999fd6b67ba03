//! Tests lists that never end: they end with their callers, harm no other call, and one key does not use up
//! the connections.

use std::time::Duration;

use clientela::limits;
use clientela::proto::pb::{self, ErrorReason, Role};
use futures::FutureExt as _;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use super::{assert_unavailable, health_turns, other_session, run, write};
use crate::harness::raw::Raw;
use crate::harness::{Engine, Setup, Shop, assert_refused, eventually};
use crate::watch::{add, visitor};

/// More concurrent lists than there are connections for them.
const MANY: usize = 40;
/// Open calls on one connection.
const CALLS_ON_A_CONNECTION: usize = 200;

/// Starts a shop whose list of titles never ends, on a database without a short time limit.
async fn shop(engine: Engine, store: fn(&mut clientela::store::StoreConfig)) -> Shop {
    let shop = Shop::start_with(
        engine,
        Setup {
            store,
            ..Setup::idle()
        },
    )
    .await;
    write(&shop).await.expect("there is a title");
    let ever = match engine {
        Engine::Sqlite => {
            "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
             SELECT COUNT(*) AS n FROM c"
        }
        Engine::Postgres => "SELECT COUNT(*) AS n FROM pg_sleep(100000)",
    };
    let view = format!(
        "ALTER TABLE titles RENAME TO real_titles;
         CREATE VIEW titles AS SELECT real_titles.* FROM real_titles, ({ever}) AS ever WHERE ever.n > 0"
    );
    match engine {
        Engine::Sqlite => {
            let url = format!("sqlite://{}/clientela.db", shop.folder().display());
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            // Without the pragma the rename would look for its table in the indexes and triggers of others.
            let statements = AssertSqlSafe(format!("PRAGMA legacy_alter_table = ON; {view}"));
            sqlx::raw_sql(statements)
                .execute(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
        }
        Engine::Postgres => run(&mut other_session(&shop).await, &view).await,
    }
    shop
}

fn no_limit(store: &mut clientela::store::StoreConfig) {
    store.statement_timeout = Duration::from_secs(3_600);
}

/// Lists the titles until the caller's deadline and returns the refusal.
async fn list(shop: &Shop, key: &str, deadline: Duration) -> Status {
    let mut request = Request::new(pb::ListTitlesRequest::default());
    request.set_timeout(deadline);
    let listed = shop.customers_as(key).list_titles(request).await;
    listed.expect_err("the list has no end")
}

/// Makes another list, which ends.
async fn other_list(shop: &Shop, key: &str) -> Result<(), Status> {
    let request = pb::ListGroupsRequest::default();
    shop.groups_as(key).list_groups(request).await.map(drop)
}

async fn a_list_ends_with_its_caller(shop: Shop) {
    let key = shop.key(&[Role::Support]).await;
    let short = Duration::from_millis(300);
    let given_up = futures::future::join_all((0..MANY).map(|_| list(&shop, &key, short)));

    for status in given_up.await {
        // The client's deadline ends a little after the server's, unless the client is delayed.
        if status.code() != Code::Cancelled {
            assert_refused(&status, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);
        }
    }

    other_list(&shop, &key)
        .await
        .expect("the connections are free again");
    if shop.engine == Engine::Postgres {
        let other = other_session(&shop).await;
        let count = "SELECT COUNT(*) FROM pg_stat_activity
            WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%titles%'
                AND datname = current_database()";
        let other = tokio::sync::Mutex::new(other);
        eventually("the end of all statements", || async {
            let mut other = other.lock().await;
            let active: i64 = sqlx::query_scalar(count)
                .fetch_one(&mut *other)
                .await
                .unwrap();
            (active == 0).then_some(())
        })
        .await;
    }
}

async fn the_lists_of_one_key_leave_connections_to_others(shop: Shop) {
    let (greedy, good) = (
        shop.key(&[Role::Support]).await,
        shop.key(&[Role::Support]).await,
    );
    let long = Duration::from_secs(3_600);
    let all = futures::future::join_all((0..MANY).map(|_| list(&shop, &greedy, long)));
    tokio::pin!(all);
    let mut carts = shop.carts();
    let owner = visitor("good");
    // Each of them is running or waits when the first of these is answered.
    for _ in 0..10 {
        tokio::select! {
            biased;
            ended = &mut all => panic!("{ended:?}"),
            listed = other_list(&shop, &good) => listed.expect("a list of another key"),
        }
        tokio::select! {
            biased;
            ended = &mut all => panic!("{ended:?}"),
            _ = add(&mut carts, &owner, "mug") => {}
        }
    }
    health_turns(&shop, ServingStatus::Serving).await;
}

async fn a_key_has_a_limit_of_calls_in_progress(shop: Shop) {
    let (greedy, good) = (
        shop.key(&[Role::Support]).await,
        shop.key(&[Role::Support]).await,
    );
    let bearer = format!("Bearer {greedy}");
    let headers = [("authorization", bearer.as_str()), ("grpc-timeout", "60S")];
    let list = "/clientela.v1.CustomerService/ListTitles";
    let mut calls = Vec::new();
    for _ in 0..=limits::CALLS_PER_KEY_MAX / CALLS_ON_A_CONNECTION {
        let connection = Raw::connect(shop.address, 1024).await;
        for _ in 0..CALLS_ON_A_CONNECTION {
            let begun = connection.begin(list, &headers, vec![0; 5], true).await;
            calls.push(begun.answered().boxed());
        }
    }

    // No other call can end.
    let (first, _, others) = futures::future::select_all(calls).await;

    let refused = first.map(drop).expect_err("the list has no end");
    assert_refused(&refused, Code::ResourceExhausted, ErrorReason::Overloaded);
    other_list(&shop, &good)
        .await
        .expect("a list of another key");
    drop(others);
    eventually("the end of the calls", || async {
        other_list(&shop, &greedy).await.ok()
    })
    .await;
}

async fn a_statement_that_takes_too_long_is_ended(shop: Shop) {
    let key = shop.key(&[Role::Support]).await;

    let ended = list(&shop, &key, Duration::from_secs(3_600)).await;

    assert_unavailable(&ended);
    other_list(&shop, &key)
        .await
        .expect("the connection still works");
}

macro_rules! on_both {
    ($($name:ident, $setup:expr;)*) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(super::shop(super::Engine::Sqlite, $setup).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(super::shop(super::Engine::Postgres, $setup).await).await;
            }
        }
    )* };
}

on_both! {
    a_list_ends_with_its_caller, super::no_limit;
    the_lists_of_one_key_leave_connections_to_others, super::no_limit;
    a_key_has_a_limit_of_calls_in_progress, super::no_limit;
    a_statement_that_takes_too_long_is_ended, |store| {
        store.statement_timeout = std::time::Duration::from_millis(500);
    };
}
