//! Tests that visits are collected and written together.

use std::sync::Arc;

use clientela::customers::visits;
use clientela::on;
use clientela::proto::pb::{self, Role};
use clientela::store::Store;
use futures::FutureExt as _;

use super::{create, get, person};
use crate::carts::{customer, item, of};
use crate::harness::Setup;
use crate::harness::store::{START, TestStore, stores};
use crate::on_both_engines;

async fn last_visits(store: &Store) -> Vec<(String, i64)> {
    let visits = store.read(|conn| {
        async move {
            let visits: Vec<(String, i64)> = on!(conn, |e| sqlx::query_as(
                "SELECT customer_id, last_visit_time FROM visits ORDER BY customer_id"
            )
            .fetch_all(e)
            .await)?;
            Ok(visits)
        }
        .boxed()
    });
    visits.await.unwrap()
}

#[tokio::test]
async fn the_visits_of_many_customers_are_one_statement() {
    for TestStore { store, .. } in &stores().await {
        let shop = Arc::from("s");
        let before = store.written_statements();
        let mut expected = Vec::new();
        for number in 100..200 {
            let id = format!("c{number}");
            visits::note(store, &shop, &id, START + number);
            visits::note(store, &shop, &id, START + number + 1);
            expected.push((id, START + number));
        }
        assert_eq!(last_visits(store).await, []);

        visits::flush(store).await.unwrap();

        assert_eq!(last_visits(store).await, expected);
        assert_eq!(store.written_statements() - before, 1);
        visits::flush(store).await.unwrap();
        assert_eq!(store.written_statements() - before, 1);
    }
}

#[tokio::test]
async fn a_visit_that_is_older_than_the_last_one_changes_nothing() {
    for TestStore { store, .. } in &stores().await {
        let shop = Arc::from("s");
        visits::note(store, &shop, "ada", START);
        visits::flush(store).await.unwrap();
        visits::note(store, &shop, "ada", START + 60_000_000);
        visits::flush(store).await.unwrap();
        visits::note(store, &shop, "grace", START);
        // The clock was set back.
        visits::note(store, &shop, "ada", START - 1);
        visits::flush(store).await.unwrap();

        let expected = [("ada", START + 60_000_000), ("grace", START)];
        let expected = expected.map(|(id, time)| (id.to_owned(), time));
        assert_eq!(last_visits(store).await, expected);
    }
}

on_both_engines! {
    async fn a_stop_writes_the_collected_visits(shop: Shop with Setup::held()) {
        let mut shop = shop;
        let ada: pb::Customer = create(&mut shop.customers(), person("Ada")).await;
        let storefront = shop.key(&[Role::Storefront]).await;
        let request = pb::AddItemRequest {
            target: of(&customer(&ada.name)),
            item: Some(item("shirt", 1)),
            ..Default::default()
        };
        shop.carts_as(&storefront).add_item(request).await.unwrap();

        shop.stop().await;
        shop.start_again(Setup::idle()).await;

        let seen = get(&mut shop.customers(), &ada.name).await;
        assert_eq!(seen.last_visit_time.map(|time| clientela::feed::micros(&time)), Some(START));
    }
}
