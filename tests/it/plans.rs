//! Tests that no statement reads more rows in a larger shop. A filled database explains each statement
//! that the server runs.

mod explain;
pub mod fill;
mod record;

use std::collections::BTreeSet;
use std::time::Duration;

use clientela::proto::pb;

use crate::contract::call::{methods, send};
use crate::contract::world::World;
use crate::harness::{Engine, PATIENCE, Setup, Shop, eventually};
use fill::{Beside, fill_up};

/// Returns the number of customers, carts and other rows. The planner of PostgreSQL needs so many that a
/// page costs little compared to a scan.
const fn rows(engine: Engine) -> u32 {
    match engine {
        Engine::Sqlite => 20_000,
        Engine::Postgres => 50_000,
    }
}

/// Statements that may read more than they need, each by a part of its text, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "SELECT COUNT(*) FROM (SELECT 1 AS one FROM",
        "a requested count reads the rows up to the 100,000th match",
    ),
    (
        "WHERE (xid, seq) > ($1, $2) AND (xid, seq) <= ($3, $4)",
        "the two rows are at most a batch apart",
    ),
    (
        "DELETE FROM member_counts WHERE shop_id = $1 AND group_id = $2 AND seq <= $3",
        "the row is the last of a batch",
    ),
];

/// The exceptions for PostgreSQL only.
const EXCEPTIONS_POSTGRES: &[(&str, &str)] = &[(
    "SELECT MIN(commit_time) FROM change_log WHERE xid >=",
    "it reads the rows of transactions newer than the oldest open one",
)];

/// Returns the exceptions for an engine.
fn exceptions(engine: Engine) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let more = match engine {
        Engine::Sqlite => &[],
        Engine::Postgres => EXCEPTIONS_POSTGRES,
    };
    EXCEPTIONS.iter().chain(more)
}

/// Filters of customers: some use an index, alone or together, and some do not.
pub const CUSTOMER_FILTERS: &[&str] = &[
    "name = customers/c-7",
    "number = c-7",
    "email = \"c-7@example.test\"",
    "email > \"c-7\" AND email < \"c-8\"",
    "email:7@example",
    "external_ids.erp = c-7",
    "last_name = name-7",
    "last_name > name-7",
    "last_name:ame-7",
    "first_name:first",
    "first_name = First",
    "company = Company",
    "groups:groups/customer",
    "default_group = groups/customer",
    "create_time > now - 1h",
    "update_time < now",
    "state = ACTIVE",
    "NOT phone:*",
    "attributes.colour = red",
    "groups:groups/customer AND last_name = name-7",
    "last_name:name AND create_time > now - 1h",
    "state = ACTIVE OR email = \"c-7@example.test\"",
];
const CUSTOMER_SEARCHES: &[&str] = &["name-7", "c-", "c-7 first"];
const CUSTOMER_ORDERS: &[&str] = &[
    "",
    "name desc",
    "email",
    "last_name desc",
    "create_time desc",
    "update_time",
    "last_name, create_time desc",
];
pub const CART_FILTERS: &[&str] = &[
    "name = carts/c-7",
    "number = c-7",
    "order_reference = c-7",
    "customer = customers/c-7",
    "state = OPEN",
    "state = ORDERED",
    "state = MERGED",
    "state = OPEN AND item_count > 100",
    "state = OPEN AND customer = customers/c-7",
    "create_time > now - 1h",
    "update_time > now - 1h AND state = OPEN",
    "note:nothing",
    "total > \"1000000.00 EUR\"",
];
const CART_ORDERS: &[&str] = &["", "name desc", "number", "create_time", "update_time desc"];

/// Parts of statements that only background jobs send.
const WORK: &[&str] = &[
    "DELETE FROM jobs",
    "DELETE FROM answers",
    "DELETE FROM used_links",
    "FROM job_skips WHERE retry_time",
    "DELETE FROM change_log",
    "FROM membership_grants WHERE expire_time",
    "abandonment <> 1",
    "state = 3 AND customer_id <> ''",
];

fn recorded() -> Setup {
    Setup {
        store: |config| config.log_statements = true,
        ..Setup::held()
    }
}

/// Longer than all retention times.
const LONG: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Sends a valid request of each RPC with both keys.
async fn call_all(shop: &Shop) {
    let world = World::new(shop, &shop.admin_key, "called");
    for method in methods() {
        let request = world.request(method.name()).await;
        for key in [&shop.operator_key, &shop.admin_key] {
            // A denied call sends no statement, and the second call may be refused. Both are fine here.
            drop(send(shop, key, &method, &request).await);
        }
    }
}

/// Calls the lists and watches with each filter and order.
async fn list_all(shop: &Shop) {
    let counts = [pb::CountMode::None, pb::CountMode::Exact];
    for filter in CUSTOMER_FILTERS.iter().chain(&[""]) {
        for order_by in CUSTOMER_ORDERS {
            let ways = [(false, counts[0]), (true, counts[1])];
            // The order does not change a count.
            for (show_deleted, count) in ways.into_iter().take(1 + usize::from(order_by.is_empty()))
            {
                let request = pb::ListCustomersRequest {
                    filter: (*filter).to_owned(),
                    order_by: (*order_by).to_owned(),
                    show_deleted,
                    count: count.into(),
                    page_size: 3,
                    ..Default::default()
                };
                let mut page = request.clone();
                let answer = shop.customers().list_customers(request).await.unwrap();
                page.page_token = answer.into_inner().next_page_token;
                shop.customers().list_customers(page).await.unwrap();
            }
        }
        let watch = pb::WatchCustomersRequest {
            filter: (*filter).to_owned(),
            ..Default::default()
        };
        let stream = shop.customers().watch_customers(watch).await.unwrap();
        to_the_end(
            stream.into_inner(),
            |message: &pb::WatchCustomersResponse| {
                matches!(
                    message.signal,
                    Some(pb::watch_customers_response::Signal::SnapshotEnd(_))
                )
            },
        )
        .await;
    }
    for query in CUSTOMER_SEARCHES {
        for order_by in CUSTOMER_ORDERS {
            let request = pb::ListCustomersRequest {
                query: (*query).to_owned(),
                order_by: (*order_by).to_owned(),
                ..Default::default()
            };
            shop.customers().list_customers(request).await.unwrap();
        }
    }
    for filter in CART_FILTERS.iter().chain(&[""]) {
        for order_by in CART_ORDERS {
            for count in counts
                .into_iter()
                .take(1 + usize::from(order_by.is_empty()))
            {
                let request = pb::ListCartsRequest {
                    filter: (*filter).to_owned(),
                    order_by: (*order_by).to_owned(),
                    count: count.into(),
                    page_size: 3,
                    ..Default::default()
                };
                let mut page = request.clone();
                let answer = shop.carts().list_carts(request).await.unwrap();
                page.page_token = answer.into_inner().next_page_token;
                shop.carts().list_carts(page).await.unwrap();
            }
        }
        let watch = pb::WatchCartsRequest {
            filter: (*filter).to_owned(),
            ..Default::default()
        };
        let stream = shop.carts().watch_carts(watch).await.unwrap();
        to_the_end(stream.into_inner(), |message: &pb::WatchCartsResponse| {
            matches!(
                message.signal,
                Some(pb::watch_carts_response::Signal::SnapshotEnd(_))
            )
        })
        .await;
    }
}

/// Reads a stream up to the end of its snapshot.
async fn to_the_end<M>(mut stream: tonic::Streaming<M>, is_end: impl Fn(&M) -> bool) {
    loop {
        let message = tokio::time::timeout(PATIENCE, stream.message()).await;
        let message = message.expect("a message arrives in time").unwrap();
        if is_end(&message.expect("a watch ends only with an error")) {
            return;
        }
    }
}

/// Returns the faults in the plans of the statements, without the exceptions.
async fn faults(engine: Engine, beside: &mut Beside, statements: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for statement in statements {
        if !PLANNED.iter().any(|word| statement.starts_with(word)) {
            continue;
        }
        let faults = explain::faults(beside, statement).await;
        let excepted = exceptions(engine).any(|(part, _)| statement.contains(part));
        if !faults.is_empty() && !excepted {
            wrong.push(format!("{statement}\n    {}", faults.join("\n    ")));
        }
    }
    wrong
}

/// The first words of statements with a plan. Transactions and migrations have none.
const PLANNED: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];

/// Settings for explanations by PostgreSQL: one plan for all values, cheap random reads, and a scan only
/// where no index serves.
const POSTGRES: &[&str] = &[
    "SET plan_cache_mode = force_generic_plan",
    "SET random_page_cost = 1.1",
    "SET enable_seqscan = off",
];

async fn no_statement_reads_more_than_it_needs(engine: Engine) {
    let _turn = record::begin().await;
    let mut shop = Shop::start_with(engine, recorded()).await;
    fill_up(&mut shop, rows(engine), recorded()).await;
    call_all(&shop).await;
    list_all(&shop).await;
    shop.clock.advance(LONG);
    for part in WORK {
        eventually(part, || async {
            let is_there = record::statements().iter().any(|text| text.contains(part));
            is_there.then_some(())
        })
        .await;
    }
    shop.stop().await;
    let statements = record::statements();
    assert!(
        statements.len() > 250,
        "only {} statements",
        statements.len()
    );

    for (part, reason) in exceptions(engine) {
        let is_there = statements.iter().any(|text| text.contains(part));
        assert!(
            is_there,
            "remove the exception {part:?}, which no statement needs: {reason}"
        );
    }

    let mut beside = Beside::connect(&shop).await;
    if engine == Engine::Postgres {
        for setting in POSTGRES {
            beside.run(setting).await;
        }
    }
    let mut wrong = faults(engine, &mut beside, &statements).await;
    if engine == Engine::Sqlite {
        // The program does not run ANALYZE on SQLite, but an operator may.
        beside.run("ANALYZE").await;
        wrong.extend(faults(engine, &mut beside, &statements).await);
    }
    assert!(
        wrong.is_empty(),
        "{} of {} statements read more than they need:\n{}",
        wrong.len(),
        statements.len(),
        wrong.join("\n")
    );
    beside.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_reads_more_than_it_needs_on_sqlite() {
    no_statement_reads_more_than_it_needs(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_reads_more_than_it_needs_on_postgres() {
    no_statement_reads_more_than_it_needs(Engine::Postgres).await;
}
