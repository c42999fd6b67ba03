//! G1, G2: a stream misses no change, in whatever order transactions commit. An injected fault makes the feed
//! read in the order of numbers alone, which shows that these tests notice it.

use std::collections::{BTreeMap, BTreeSet};

use clientela::feed::FaultInjection;
use clientela::proto::pb::{self, CartChange};

use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::writers::{Writers, connection, in_each_transaction};
use super::{add, every, state, visitor};
use crate::harness::{CartWatch, Engine, Setup, Shop, eventually};
use crate::on_both_engines;

const WRITERS: usize = 12;
const CARTS: usize = 5;
const WRITES: usize = 25;

/// The changes of a watch during random writes to a fresh shop, and the state at the end.
struct Outcome {
    changes: Vec<CartChange>,
    folded: BTreeMap<String, pb::Cart>,
    listed: BTreeMap<String, pb::Cart>,
}

impl Outcome {
    async fn of(shop: &Shop) -> Self {
        let watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        let mut watch = watch.lenient();
        watch.snapshot().await;
        let writers = Writers::limited(shop, WRITERS, CARTS, WRITES).await;
        assert_eq!(writers.ended().await, WRITERS * WRITES);
        // All others have committed: once this cart comes, none of them is still to come.
        let last = add(&mut shop.carts(), &visitor("who comes last"), "a").await;
        watch
            .until("the last cart", |watch| {
                watch.carts.contains_key(&last.name)
            })
            .await;
        Self {
            changes: watch.changes,
            folded: watch.carts,
            listed: state(shop).await,
        }
    }

    /// Returns versions that were not sent: each cart begins with 1, and ends with its deletion or as listed.
    fn lost(&self) -> Vec<(&str, i64)> {
        let mut sent: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
        for change in &self.changes {
            sent.entry(&change.name).or_default().insert(change.version);
        }
        for cart in self.listed.values() {
            sent.entry(&cart.name).or_default();
        }
        let versions = sent.iter().flat_map(|(name, sent)| {
            let listed = self.listed.get(*name).map_or(0, |cart| cart.version);
            let last = sent.last().map_or(listed, |last| listed.max(*last));
            let lost = (1..=last).filter(|version| !sent.contains(version));
            lost.map(|version| (*name, version)).collect::<Vec<_>>()
        });
        versions.collect()
    }
}

on_both_engines! {
    /// G1, and G2 with twelve writers on five carts. The watch itself asserts that versions grow.
    async fn no_change_of_uneven_transactions_is_lost(shop: Shop) {
        let outcome = Outcome::of(&shop).await;

        assert_eq!(outcome.lost(), []);
        assert_eq!(outcome.folded, outcome.listed);
        assert!(outcome.changes.len() > WRITERS * WRITES, "each write is sent once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_by_the_order_of_numbers_is_noticed() {
    let shop = Shop::start_with(
        Engine::Postgres,
        Setup::faulty(FaultInjection::OrderOfNumbers),
    )
    .await;

    let outcome = Outcome::of(&shop).await;

    let lost = outcome.lost().len();
    assert!(lost > 0, "the injected fault was not noticed");
    assert!(
        lost < outcome.changes.len(),
        "the feed still sends most changes"
    );
}

/// Holds each transaction that writes a certain cart after it has its number and before it commits.
pub struct Gate(Mutex<PgConnection>);

impl Gate {
    /// Holds the writes of a cart.
    pub async fn close(shop: &Shop, cart: &str) -> Self {
        let mut database = connection(shop).await.expect("it is PostgreSQL");
        let create = sqlx::query("CREATE TABLE gate (cart TEXT)");
        create.execute(&mut database).await.unwrap();
        let close = sqlx::query("INSERT INTO gate VALUES ($1)").bind(cart);
        close.execute(&mut database).await.unwrap();
        let wait = "WHILE EXISTS (SELECT 1 FROM gate WHERE cart = 'carts/' || NEW.resource_id) LOOP
            PERFORM pg_sleep(0.001); END LOOP;";
        in_each_transaction(shop, wait).await;
        Self(Mutex::new(database))
    }

    /// Waits until a write is held here.
    pub async fn reached(&self) {
        let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'PgSleep')";
        eventually("a write that has its number and waits", async || {
            let mut database = self.0.lock().await;
            let waits = sqlx::query_scalar(waits).fetch_one(&mut *database).await;
            waits.unwrap_or(false).then_some(())
        })
        .await;
    }

    /// Lets all writes commit.
    pub async fn open(self) {
        let open = sqlx::query("DELETE FROM gate");
        open.execute(&mut self.0.into_inner()).await.unwrap();
    }
}

/// Returns the order in which a watch sends two carts when the transaction that wrote first commits last.
async fn order_with_a_late_commit(fault: FaultInjection) -> Vec<&'static str> {
    let is_faulty = matches!(fault, FaultInjection::OrderOfNumbers);
    let shop = Shop::start_with(Engine::Postgres, Setup::faulty(fault)).await;
    let mut client = shop.carts();
    let first = add(&mut client, &visitor("who writes first"), "a").await;
    let gate = Gate::close(&shop, &first.name).await;
    let watch = CartWatch::open(&mut client, every()).await.unwrap();
    let mut watch = watch.lenient();
    watch.snapshot().await;

    let late = tokio::spawn({
        let mut client = shop.carts();
        async move { add(&mut client, &visitor("who writes first"), "b").await }
    });
    gate.reached().await;
    let second = add(&mut client, &visitor("who commits first"), "a").await;
    if is_faulty {
        // No open transaction delays it.
        let second_came = |watch: &CartWatch| watch.carts.contains_key(&second.name);
        watch.until("the second", second_came).await;
    }
    gate.open().await;
    late.await.unwrap();
    let last = add(&mut client, &visitor("who comes last"), "a").await;
    watch
        .until("the last", |watch| watch.carts.contains_key(&last.name))
        .await;

    let label = |change: &CartChange| match &change.name {
        name if *name == first.name => "first",
        name if *name == second.name => "second",
        _ => "last",
    };
    watch.changes.iter().map(label).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_commits_late_is_sent_in_its_place() {
    let order = order_with_a_late_commit(FaultInjection::None).await;

    assert_eq!(order, ["first", "second", "last"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_order_of_numbers_a_change_that_commits_late_would_be_lost() {
    let order = order_with_a_late_commit(FaultInjection::OrderOfNumbers).await;

    assert_eq!(order, ["second", "last"]);
}
