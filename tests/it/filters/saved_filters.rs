//! Saved filters of two owners, each of them shared or not.

use std::time::Duration;

use clientela::filter::Schema;
use clientela::proto::pb::{self, watch_saved_filters_response::Signal};
use clientela::saved_filters::TABLE;
use futures::StreamExt as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tonic::Status;

use super::follower::{Told, options};
use super::values::{TEXTS, time};
use super::{Page, Sort, Stream};
use crate::harness::Shop;
use crate::saved_filters::{Client, actor, create, delete, of_any, sent, update};

pub(super) struct SavedFilters;

/// Whose filters these are. The lists and the watches are those of the first.
const OWNERS: [&str; 2] = ["staff/anna", "staff/bert"];

fn random(rng: &mut StdRng) -> pb::SavedFilter {
    let resource = rng.random_range(1..=5);
    of_any(TEXTS.choose(rng).unwrap(), resource, rng.random())
}

fn first(shop: &Shop) -> Client {
    actor(shop, OWNERS[0])
}

impl Sort for SavedFilters {
    const LAST: &'static str = "savedFilters/last";

    fn schema() -> &'static Schema {
        TABLE.schema()
    }

    fn literals(path: &str) -> &'static [&'static str] {
        match path {
            "name" => &["savedFilters/none", "s1"],
            "owner" => &OWNERS,
            _ => &[],
        }
    }

    async fn fill(shop: &Shop, rng: &mut StdRng) {
        for number in 0..33 {
            let mut client = actor(shop, OWNERS[number % 2]);
            let made = create(&mut client, &format!("s{number}"), random(rng)).await;
            made.unwrap();
            let later = Duration::from_secs(rng.random_range(60..1_800));
            shop.clock.advance(later);
        }
        create(&mut first(shop), "last", random(rng)).await.unwrap();
    }

    async fn page(shop: &Shop, filter: &str, page_token: String) -> Result<Page, Status> {
        let request = pb::ListSavedFiltersRequest {
            filter: filter.to_owned(),
            page_token,
            ..Default::default()
        };
        let answer = first(shop).list_saved_filters(request).await?.into_inner();
        let seen = |saved: &pb::SavedFilter| saved.shared || saved.owner == OWNERS[0];
        assert!(answer.saved_filters.iter().all(seen), "{filter}");
        let rows = answer.saved_filters.into_iter();
        Ok(Page {
            rows: rows
                .map(|saved| (saved.name.clone(), values(&saved)))
                .collect(),
            next: answer.next_page_token,
        })
    }

    async fn watch(shop: &Shop, filter: &str) -> Result<Stream, Status> {
        let request = pb::WatchSavedFiltersRequest {
            filter: filter.to_owned(),
            options: options(),
            ..Default::default()
        };
        let stream = first(shop).watch_saved_filters(request).await?.into_inner();
        let told = stream.map(|message| {
            message.map(|message| Told {
                changes: message
                    .changes
                    .iter()
                    .map(|each| (each.name.clone(), each.kind()))
                    .collect(),
                snapshot_ended: matches!(message.signal, Some(Signal::SnapshotEnd(_))),
            })
        });
        Ok(told.boxed())
    }

    async fn stir(shop: &Shop, rng: &mut StdRng) {
        for number in 0..33 {
            let name = format!("savedFilters/s{number}");
            let mut client = actor(shop, OWNERS[number % 2]);
            if rng.random_ratio(1, 10) {
                delete(&mut client, &name).await.unwrap();
            } else {
                let saved = pb::SavedFilter {
                    name,
                    ..random(rng)
                };
                let paths = ["display_name", "resource", "shared"];
                update(&mut client, saved, &paths).await.unwrap();
            }
        }
    }

    async fn touch(shop: &Shop) {
        let saved = pb::SavedFilter {
            name: Self::LAST.to_owned(),
            ..sent("touched", true)
        };
        update(&mut first(shop), saved, &["display_name"])
            .await
            .unwrap();
    }
}

fn values(saved: &pb::SavedFilter) -> Vec<(&'static str, String)> {
    let times = [
        ("create_time", &saved.create_time),
        ("update_time", &saved.update_time),
    ];
    let times = times
        .into_iter()
        .filter_map(|(path, at)| Some((path, time(at.as_ref()?))));
    let texts = [
        ("name", saved.name.clone()),
        ("display_name", saved.display_name.clone()),
    ];
    texts.into_iter().chain(times).collect()
}
