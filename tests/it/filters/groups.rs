//! Groups of all sorts.

use std::time::Duration;

use clientela::filter::Schema;
use clientela::groups::TABLE;
use clientela::proto::pb::{self, watch_groups_response::Signal};
use futures::StreamExt as _;
use prost_types::FieldMask;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tonic::Status;

use super::follower::{Told, options};
use super::values::{TEXTS, time};
use super::{Page, Sort, Stream};
use crate::harness::Shop;

pub(super) struct Groups;

const DISCOUNTS: &[&str] = &["0", "0.01", "12.5", "33.33", "99.99", "100"];
const PRIORITIES: &[&str] = &["0", "1", "5", "1000000"];
/// What can be changed of a group.
const CHANGEABLE: [&str; 6] = [
    "display_names",
    "discount_percent",
    "price_display",
    "show_prices",
    "state",
    "priority",
];

fn random(rng: &mut StdRng) -> pb::Group {
    let mut display_names: Vec<(String, String)> = vec![("en".into(), "Group".into())];
    for language in ["fr", "pt-BR", "en"] {
        if rng.random() {
            display_names.push((language.into(), (*TEXTS.choose(rng).unwrap()).into()));
        }
    }
    pb::Group {
        display_names: display_names.into_iter().collect(),
        discount_percent: (*DISCOUNTS.choose(rng).unwrap()).into(),
        price_display: rng.random_range(0..=2),
        show_prices: *[None, Some(true), Some(false)].choose(rng).unwrap(),
        state: rng.random_range(1..=3),
        priority: PRIORITIES.choose(rng).unwrap().parse().unwrap(),
        ..Default::default()
    }
}

async fn make(shop: &Shop, id: &str, group: pb::Group) {
    let request = pb::CreateGroupRequest {
        group: Some(group),
        group_id: id.into(),
        ..Default::default()
    };
    shop.groups().create_group(request).await.unwrap();
}

async fn change(shop: &Shop, group: pb::Group, paths: &[&str]) {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = pb::UpdateGroupRequest {
        group: Some(group),
        update_mask: Some(FieldMask { paths }),
        ..Default::default()
    };
    shop.groups().update_group(request).await.unwrap();
}

impl Sort for Groups {
    const LAST: &'static str = "groups/last";

    fn schema() -> &'static Schema {
        TABLE.schema()
    }

    fn literals(path: &str) -> &'static [&'static str] {
        match path {
            "name" => &["groups/none", "g1", "groups/customer"],
            "display_names" => &[
                "en\tGroup",
                "en\tStraße 5",
                "fr\tit's \"so\"",
                "pt-BR\t日本語",
                "pt-BR\t*",
                "pt\tGroup",
                "de\tGroup",
            ],
            "discount_percent" => DISCOUNTS,
            "priority" => PRIORITIES,
            _ => &[],
        }
    }

    async fn fill(shop: &Shop, rng: &mut StdRng) {
        for number in 0..33 {
            let audience = rng.random_range(0..=2);
            make(
                shop,
                &format!("g{number}"),
                pb::Group {
                    audience,
                    ..random(rng)
                },
            )
            .await;
            shop.clock
                .advance(Duration::from_secs(rng.random_range(60..1_800)));
        }
        make(shop, "last", random(rng)).await;
    }

    async fn page(shop: &Shop, filter: &str, page_token: String) -> Result<Page, Status> {
        let filter = filter.to_owned();
        let request = pb::ListGroupsRequest {
            filter,
            page_token,
            ..Default::default()
        };
        let answer = shop.groups().list_groups(request).await?.into_inner();
        let rows = answer.groups.into_iter();
        Ok(Page {
            rows: rows
                .map(|group| (group.name.clone(), values(&group)))
                .collect(),
            next: answer.next_page_token,
        })
    }

    async fn watch(shop: &Shop, filter: &str) -> Result<Stream, Status> {
        let (filter, options) = (filter.to_owned(), options());
        let request = pb::WatchGroupsRequest {
            filter,
            options,
            ..Default::default()
        };
        let stream = shop.groups().watch_groups(request).await?.into_inner();
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
            let name = format!("groups/g{number}");
            if rng.random_ratio(1, 10) {
                let request = pb::DeleteGroupRequest {
                    name,
                    ..Default::default()
                };
                shop.groups().delete_group(request).await.unwrap();
            } else {
                change(
                    shop,
                    pb::Group {
                        name,
                        ..random(rng)
                    },
                    &CHANGEABLE,
                )
                .await;
            }
        }
    }

    async fn touch(shop: &Shop) {
        let name = Self::LAST.to_owned();
        change(
            shop,
            pb::Group {
                name,
                priority: 7,
                ..Default::default()
            },
            &["priority"],
        )
        .await;
    }
}

fn values(group: &pb::Group) -> Vec<(&'static str, String)> {
    let mut values = vec![("name", group.name.clone())];
    let times = [
        ("create_time", &group.create_time),
        ("update_time", &group.update_time),
    ];
    values.extend(
        times
            .into_iter()
            .filter_map(|(path, at)| Some((path, time(at.as_ref()?)))),
    );
    let names = group.display_names.iter();
    values.extend(names.map(|(language, name)| ("display_names", format!("{language}\t{name}"))));
    values
}
