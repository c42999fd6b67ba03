//! Tests that lists, snapshots and streams agree on the matches of random filters. The database
//! evaluates lists and most snapshots. Streams, and snapshots of filters with `now`, are evaluated in
//! memory.

mod follower;
mod generate;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use clientela::filter::{Kind, Schema};
use clientela::proto::pb;
use futures::future::join_all;
use prost_reflect::{DynamicMessage, Value};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::harness::{Connection, Setup, Shop};
use crate::on_both_engines;
use crate::specimens::random::TEXTS;
use crate::specimens::{
    Carts, Customers, Groups, Rpcs as _, SavedFilters, Specimen, answer, literals_in, text,
};
use follower::Follower;
use generate::Generator;

/// The number of filters for each kind of resource on each engine.
const FILTERS: usize = 120;
/// A fixed seed gives the same filters in each run.
const SEED: u64 = 20_260_131;
/// The number of resources of each kind.
const ROWS: u64 = 36;
/// The id of a resource that is changed last. A stream that has sent its change has sent all others.
const LAST: &str = "last";

/// Returns a connection with the actor of the resource of this number.
fn acting<S: Specimen>(specimen: &S, shop: &Shop, number: u64) -> Connection {
    let connection = Connection::of(shop);
    match specimen.actor(number) {
        Some(actor) => connection.and("clientela-actor", actor),
        None => connection,
    }
}

/// Lists all matches.
async fn walk<S: Specimen>(
    specimen: &S,
    connection: &Connection,
    filter: &str,
) -> Vec<DynamicMessage> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let filter_by = Value::String(filter.to_owned());
        let fields = [("filter", filter_by), ("page_token", Value::String(token))];
        let page = specimen.page(connection, &fields).await;
        let page = page.unwrap_or_else(|refused| panic!("{filter}: {refused:?}"));
        assert!(
            page.rows.iter().all(|row| specimen.is_seen(row)),
            "{filter}"
        );
        rows.extend(page.rows);
        token = page.next;
        if token.is_empty() {
            return rows;
        }
    }
}

async fn listed<S: Specimen>(
    specimen: &S,
    connection: &Connection,
    filter: &str,
) -> BTreeSet<String> {
    let rows = walk(specimen, connection, filter).await;
    rows.iter().map(|row| text(row, "name")).collect()
}

/// Lists the matches, and adds the [`LAST`].
async fn listed_and_last<S: Specimen>(
    specimen: &S,
    connection: &Connection,
    filter: &str,
) -> BTreeSet<String> {
    let mut names = listed(specimen, connection, filter).await;
    names.insert(specimen.named(LAST));
    names
}

/// Creates random resources at random times, and the [`LAST`].
async fn fill<S: Specimen>(specimen: &S, shop: &Shop, rng: &mut StdRng) {
    specimen.prepare(shop).await;
    for number in 0..ROWS {
        let connection = acting(specimen, shop, number);
        let request = specimen.any(rng, number);
        let made = specimen
            .create(&connection, request, &format!("r{number}"))
            .await;
        specimen
            .settle(&connection, &text(&made, "name"), rng)
            .await;
        let later = Duration::from_secs(rng.random_range(60..1_800));
        shop.clock.advance(later);
    }
    let connection = acting(specimen, shop, 0);
    specimen
        .create(&connection, specimen.plain(LAST), LAST)
        .await;
    // A deleted resource must not appear anywhere.
    let gone = specimen.any(rng, 100);
    let gone = specimen.create(&connection, gone, "gone").await;
    specimen.delete(&connection, &text(&gone, "name")).await;
}

/// Changes or deletes all resources but the [`LAST`], and then changes that.
async fn stir<S: Specimen>(specimen: &S, shop: &Shop, rng: &mut StdRng) {
    for number in 0..ROWS {
        let connection = acting(specimen, shop, number);
        specimen
            .stir(&connection, &specimen.named(&format!("r{number}")), rng)
            .await;
    }
    let (rpc, request) = specimen.next(&specimen.named(LAST), 0);
    answer(&acting(specimen, shop, 0), &rpc, &request)
        .await
        .unwrap();
}

/// Returns the values to compare each field with: those of the specimen or of the kind of field, and
/// those of the resources.
fn literals<S: Specimen>(
    specimen: &S,
    schema: &'static Schema,
    all: &[DynamicMessage],
) -> HashMap<&'static str, Vec<String>> {
    let mut literals: HashMap<&str, Vec<String>> = HashMap::new();
    for field in schema.fields {
        let given: &[&str] = match (specimen.literals(field.path), field.kind) {
            ([], Kind::Text) => TEXTS,
            ([], Kind::Name(_)) => &["none", "zz"],
            ([], Kind::Int) => &["0", "1", "-1"],
            ([], Kind::Decimal2) => &["0", "0.01", "12.5"],
            ([], Kind::Money { .. }) => &["0 EUR", "10.00 EUR", "10 JPY"],
            ([], Kind::Date) => &["2000-02-29"],
            (given, _) => given,
        };
        let given = given.iter().map(|text| (*text).to_owned());
        literals.insert(field.path, given.collect());
    }
    for (path, text) in all.iter().flat_map(|row| literals_in(row, schema)) {
        let known = literals.get_mut(path);
        known.expect("the field is in the schema").push(text);
    }
    literals
}

#[track_caller]
fn assert_same(what: &str, filter: &str, listed: &BTreeSet<String>, watched: &BTreeSet<String>) {
    let only_listed: Vec<_> = listed.difference(watched).collect();
    let only_watched: Vec<_> = watched.difference(listed).collect();
    assert!(
        only_listed.is_empty() && only_watched.is_empty(),
        "{what}: only the list has {only_listed:?}, only the watch has {only_watched:?} for\n{filter}"
    );
}

async fn agree<S: Specimen>(specimen: &S, shop: &Shop) {
    let mut rng = StdRng::seed_from_u64(SEED);
    fill(specimen, shop, &mut rng).await;
    let (last, connection) = (specimen.named(LAST), acting(specimen, shop, 0));
    let all = walk(specimen, &connection, "").await;
    let schema = specimen.schema().expect("the resource has a schema");
    let mut generator = Generator::new(SEED, schema, literals(specimen, schema, &all));
    let filters: Vec<String> = (0..FILTERS).map(|_| generator.filter()).collect();

    let (mut followers, mut selective) = (Vec::new(), 0);
    for filter in &filters {
        let matching = listed(specimen, &connection, filter).await;
        selective += usize::from(!matching.is_empty() && matching.len() < all.len());
        // A filter with `now` is evaluated in memory. The added part always matches.
        let by_clock = format!("({filter}) AND create_time < now + 52w");
        let in_memory = Follower::open(specimen, &connection, by_clock).await;
        let known = &in_memory.known;
        assert_same("a snapshot evaluated in memory", filter, &matching, known);
        let or_last = format!("({filter}) OR name = \"{last}\"");
        let follower = Follower::open(specimen, &connection, or_last).await;
        let expected = listed_and_last(specimen, &connection, filter).await;
        assert_same("a snapshot", filter, &expected, &follower.known);
        followers.push(follower);
    }
    assert!(
        selective * 2 > FILTERS,
        "only {selective} filters match some resources and not others"
    );

    let received = followers.iter_mut().map(|each| each.until_received(&last));
    tokio::join!(stir(specimen, shop, &mut rng), join_all(received));
    for (filter, follower) in filters.iter().zip(&followers) {
        let expected = listed_and_last(specimen, &connection, filter).await;
        assert_same("after changes", filter, &expected, &follower.known);
    }

    // The advancing clock changes the matches of filters with `now`, without a write.
    shop.clock.advance(Duration::from_secs(100 * 60));
    for (filter, follower) in filters.iter().zip(&mut followers) {
        let expected = listed_and_last(specimen, &connection, filter).await;
        follower.until(&expected).await;
    }
}

on_both_engines! {
    /// The column of the filter is made from the received number, and the answer from the stored one.
    async fn numbers_keep_all_their_bits(shop: Shop with Setup::held()) {
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
        let connection = Connection::of(&shop);
        let read = crate::customers::get(&mut client, &made.name).await;
        assert_eq!(read.attributes, sent.attributes);
        for (at, numbers) in numbers.chunks(20).enumerate() {
            let equal = numbers.iter().enumerate().map(|(place, number)| {
                format!("attributes.n{} = \"{number}\"", at * 20 + place)
            });
            let filter = equal.collect::<Vec<_>>().join(" AND ");
            let expected = BTreeSet::from([made.name.clone()]);
            assert_eq!(listed(&Customers, &connection, &filter).await, expected, "{filter}");
            let by_clock = format!("{filter} AND create_time <= now");
            let follower = Follower::open(&Customers, &connection, by_clock).await;
            assert_eq!(follower.known, expected);
        }
    }

    /// Without jobs, no cart is abandoned or cleaned up between a list and a watch.
    async fn lists_and_watches_of_carts_agree(
        shop: Shop with Setup { jobs: Setup::idle().jobs, ..Setup::held() }
    ) {
        agree(&Carts, &shop).await;
    }

    async fn lists_and_watches_of_customers_agree(shop: Shop with Setup::held()) {
        agree(&Customers, &shop).await;
    }

    async fn lists_and_watches_of_groups_agree(shop: Shop with Setup::held()) {
        agree(&Groups, &shop).await;
    }

    async fn lists_and_watches_of_saved_filters_agree(shop: Shop with Setup::held()) {
        agree(&SavedFilters, &shop).await;
    }
}
