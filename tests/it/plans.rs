//! No statement of a server reads more rows because there are more of them: the database, which is filled,
//! explains each that runs.

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

/// Customers of the shop, and as many carts and other rows. Where the planner thinks of costs, so many that a
/// page is little beside them.
const fn rows(engine: Engine) -> u32 {
    match engine {
        Engine::Sqlite => 20_000,
        Engine::Postgres => 50_000,
    }
}

/// Statements that may read more than they need, by a part of them, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "SELECT COUNT(*) FROM (SELECT 1 AS one FROM",
        "a count that a caller asks for goes through the rows up to the 100,000th that matches",
    ),
    (
        "WHERE (xid, seq) > ($1, $2) AND (xid, seq) <= ($3, $4)",
        "compaction chose the two rows, a batch apart",
    ),
    (
        "DELETE FROM member_counts WHERE shop_id = $1 AND group_id = $2 AND seq <= $3",
        "the row was chosen as the last of a batch",
    ),
];

/// The same for PostgreSQL alone.
const EXCEPTIONS_POSTGRES: &[(&str, &str)] = &[(
    "SELECT MIN(commit_time) FROM change_log WHERE xid >=",
    "it reads what transactions wrote that began after the oldest under way",
)];

/// The exceptions of an engine.
fn exceptions(engine: Engine) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let more = match engine {
        Engine::Sqlite => &[],
        Engine::Postgres => EXCEPTIONS_POSTGRES,
    };
    EXCEPTIONS.iter().chain(more)
}

/// What filters and searches of customers may lead with, alone and together.
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

/// Parts of statements that only work in the background sends.
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

/// After so long nothing is kept any more.
const LONG: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A good request of each RPC.
async fn call_all(shop: &Shop) {
    let world = World::new(shop, &shop.admin_key, "called");
    for method in methods() {
        let request = world.request(method.name()).await;
        for key in [&shop.operator_key, &shop.admin_key] {
            // Who may not call sends no statement; what was done before is refused the second time.
            drop(send(shop, key, &method, &request).await);
        }
    }
}

/// The lists and watches with each filter and order.
async fn list_all(shop: &Shop) {
    let counts = [pb::CountMode::None, pb::CountMode::Exact];
    for filter in CUSTOMER_FILTERS.iter().chain(&[""]) {
        for order_by in CUSTOMER_ORDERS {
            let ways = [(false, counts[0]), (true, counts[1])];
            // Counts know no order.
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
        let message = message.expect("a message comes").unwrap();
        if is_end(&message.expect("a watch never ends well")) {
            return;
        }
    }
}

/// What is wrong with the plans of the statements, unless there is a reason for it.
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

/// What has a plan: not what begins and ends transactions, nor the migrations.
const PLANNED: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];

/// How PostgreSQL explains: a statement whatever its values are, on a disk that finds each page as fast as the
/// next. It reads a table as a whole only if no index leads to the rows.
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
        "these are all: {}",
        statements.len()
    );

    for (part, reason) in exceptions(engine) {
        let is_there = statements.iter().any(|text| text.contains(part));
        assert!(is_there, "no statement has {part:?} any more: {reason}");
    }

    let mut beside = Beside::connect(&shop).await;
    if engine == Engine::Postgres {
        for setting in POSTGRES {
            beside.run(setting).await;
        }
    }
    let mut wrong = faults(engine, &mut beside, &statements).await;
    if engine == Engine::Sqlite {
        // The program analyses no file, but its operator may.
        beside.run("ANALYZE").await;
        wrong.extend(faults(engine, &mut beside, &statements).await);
    }
    assert!(
        wrong.is_empty(),
        "{} of {} statements read what they do not need:\n{}",
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
