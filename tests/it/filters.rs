//! Filters at random: a list, the snapshot of a watch and what a watch tells of changes agree on what
//! matches, whatever the filter. The first two are answered by the database, the last in memory; so is
//! a snapshot whose filter names the clock.

mod carts;
mod customers;
mod follower;
mod generate;
mod groups;
mod saved_filters;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use clientela::filter::{Kind, Schema};
use clientela::proto::pb;
use futures::future::join_all;
use futures::stream::BoxStream;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tonic::Status;

use crate::harness::{Setup, Shop};
use crate::on_both_engines;
use carts::Carts;
use customers::Customers;
use follower::{Follower, Told};
use generate::Generator;
use groups::Groups;
use saved_filters::SavedFilters;

/// Filters for each sort of resource on each engine.
const FILTERS: usize = 120;
/// Always the same ones.
const SEED: u64 = 20_260_131;

/// A sort of resource that is listed and watched by filters.
trait Sort {
    /// The name of one that is only ever changed last, so that a stream has told all before it.
    const LAST: &'static str;

    /// The fields that filters may name.
    fn schema() -> &'static Schema;

    /// What a field may be compared with, beside what [`page`](Self::page) reads off the resources. An
    /// entry of a map is its key, a tab and its value. A text of which nothing is said may be any.
    fn literals(path: &str) -> &'static [&'static str];

    /// Makes a few dozen at random, some time apart, and [`LAST`](Self::LAST).
    async fn fill(shop: &Shop, rng: &mut StdRng);

    /// A page of those that match.
    async fn page(shop: &Shop, filter: &str, page_token: String) -> Result<Page, Status>;

    /// A watch of every version of those that match.
    async fn watch(shop: &Shop, filter: &str) -> Result<Stream, Status>;

    /// Changes all of them at random but [`LAST`](Self::LAST), and deletes some.
    async fn stir(shop: &Shop, rng: &mut StdRng);

    /// Changes [`LAST`](Self::LAST).
    async fn touch(shop: &Shop);
}

type Stream = BoxStream<'static, Result<Told, Status>>;

/// A page of a list: names, each with values of some fields.
struct Page {
    rows: Vec<(String, Vec<(&'static str, String)>)>,
    next: String,
}

/// All pages.
async fn walk<S: Sort>(shop: &Shop, filter: &str) -> Vec<(String, Vec<(&'static str, String)>)> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let page = S::page(shop, filter, token).await;
        let page = page.unwrap_or_else(|refused| panic!("{filter}: {refused:?}"));
        rows.extend(page.rows);
        token = page.next;
        if token.is_empty() {
            return rows;
        }
    }
}

async fn listed<S: Sort>(shop: &Shop, filter: &str) -> BTreeSet<String> {
    let rows = walk::<S>(shop, filter).await;
    rows.into_iter().map(|(name, _)| name).collect()
}

/// What matches or is the last one.
async fn listed_and_last<S: Sort>(shop: &Shop, filter: &str) -> BTreeSet<String> {
    let mut names = listed::<S>(shop, filter).await;
    names.insert(S::LAST.to_owned());
    names
}

#[track_caller]
fn assert_same(what: &str, filter: &str, listed: &BTreeSet<String>, told: &BTreeSet<String>) {
    let only_listed: Vec<_> = listed.difference(told).collect();
    let only_told: Vec<_> = told.difference(listed).collect();
    assert!(
        only_listed.is_empty() && only_told.is_empty(),
        "{what}: only the list has {only_listed:?}, only the watch has {only_told:?} for\n{filter}"
    );
}

async fn agree<S: Sort>(shop: &Shop) {
    let mut rng = StdRng::seed_from_u64(SEED);
    S::fill(shop, &mut rng).await;
    let all = walk::<S>(shop, "").await;
    let mut literals: HashMap<&str, Vec<String>> = HashMap::new();
    for field in S::schema().fields {
        let given = match S::literals(field.path) {
            [] if matches!(field.kind, Kind::Text) => values::TEXTS,
            given => given,
        };
        let given = given.iter().map(|text| (*text).to_owned());
        literals.insert(field.path, given.collect());
    }
    for (path, text) in all.iter().flat_map(|(_, values)| values) {
        literals
            .get_mut(path)
            .expect("a field of the schema")
            .push(text.clone());
    }
    let mut generator = Generator::new(SEED, S::schema(), literals);
    let filters: Vec<String> = (0..FILTERS).map(|_| generator.filter()).collect();

    let (mut followers, mut telling) = (Vec::new(), 0);
    for filter in &filters {
        let matching = listed::<S>(shop, filter).await;
        telling += usize::from(!matching.is_empty() && matching.len() < all.len());
        // With the clock in it the filter is evaluated in memory, and this part of it is always true.
        let by_clock = format!("({filter}) AND create_time < now + 52w");
        let in_memory = Follower::open::<S>(shop, by_clock).await;
        assert_same(
            "a snapshot made in memory",
            filter,
            &matching,
            &in_memory.known,
        );
        let follower =
            Follower::open::<S>(shop, format!("({filter}) OR name = \"{}\"", S::LAST)).await;
        let expected = listed_and_last::<S>(shop, filter).await;
        assert_same("a snapshot", filter, &expected, &follower.known);
        followers.push(follower);
    }
    assert!(
        telling * 2 > FILTERS,
        "only {telling} filters tell some from others"
    );

    let change = async {
        S::stir(shop, &mut rng).await;
        S::touch(shop).await;
    };
    tokio::join!(
        change,
        join_all(followers.iter_mut().map(|each| each.until_told(S::LAST)))
    );
    for (filter, follower) in filters.iter().zip(&followers) {
        let expected = listed_and_last::<S>(shop, filter).await;
        assert_same("after changes", filter, &expected, &follower.known);
    }

    // Time goes on, and what the clock decides with it, without a change.
    shop.clock.advance(Duration::from_secs(100 * 60));
    for (filter, follower) in filters.iter().zip(&mut followers) {
        let expected = listed_and_last::<S>(shop, filter).await;
        follower.until(&expected).await;
    }
}

on_both_engines! {
    /// The text that is searched was made when the number came, the answer from what was stored.
    async fn numbers_are_kept_to_their_last_bit(shop: Shop with Setup::held()) {
        let mut rng = StdRng::seed_from_u64(SEED);
        let numbers: Vec<f64> = (0..200).map(|_| rng.random_range(0.0..1e6)).collect();
        let fields = numbers.iter().enumerate().map(|(at, number)| {
            let kind = Some(prost_types::value::Kind::NumberValue(*number));
            (format!("n{at}"), prost_types::Value { kind })
        });
        let attributes = Some(prost_types::Struct { fields: fields.collect() });
        let sent = pb::Customer { attributes, ..crate::customers::person("Ada") };
        let mut client = shop.customers();

        let made = crate::customers::create(&mut client, sent.clone()).await;

        assert_eq!(made.attributes, sent.attributes);
        let read = crate::customers::get(&mut client, &made.name).await;
        assert_eq!(read.attributes, sent.attributes);
        for (at, numbers) in numbers.chunks(20).enumerate() {
            let equal = numbers.iter().enumerate().map(|(place, number)| {
                format!("attributes.n{} = \"{number}\"", at * 20 + place)
            });
            let filter = equal.collect::<Vec<_>>().join(" AND ");
            let expected = BTreeSet::from([made.name.clone()]);
            assert_eq!(listed::<Customers>(&shop, &filter).await, expected, "{filter}");
            let by_clock = format!("{filter} AND create_time <= now");
            assert_eq!(Follower::open::<Customers>(&shop, by_clock).await.known, expected);
        }
    }

    /// Nobody gives carts up or clears empty ones away between two looks at them.
    async fn lists_and_watches_of_carts_agree(
        shop: Shop with Setup { jobs: Setup::idle().jobs, ..Setup::held() }
    ) {
        agree::<Carts>(&shop).await;
    }

    async fn lists_and_watches_of_customers_agree(shop: Shop with Setup::held()) {
        agree::<Customers>(&shop).await;
    }

    async fn lists_and_watches_of_groups_agree(shop: Shop with Setup::held()) {
        agree::<Groups>(&shop).await;
    }

    async fn lists_and_watches_of_saved_filters_agree(shop: Shop with Setup::held()) {
        agree::<SavedFilters>(&shop).await;
    }
}
