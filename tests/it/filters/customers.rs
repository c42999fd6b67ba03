//! Customers of all sorts: registered, guests and staff, with and without each of their fields.

mod made;

use std::time::Duration;

use clientela::customers::TABLE;
use clientela::filter::Schema;
use clientela::proto::pb::{
    self, customer::AccountType, customer::Kind, watch_customers_response::Signal,
};
use futures::StreamExt as _;
use prost_types::FieldMask;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tonic::Status;

use super::follower::{Told, options};
use super::values::{ENTRIES, TEXTS, amount, entries, time};
use super::{Page, Sort, Stream};
use crate::customers::{creation, delete, group, update};
use crate::harness::Shop;
use made::{
    BIRTH_DATES, CHANGEABLE, LANGUAGES, NAMES, NUMBERS, PHONES, STOREFRONTS, other_texts, random,
};

pub(super) struct Customers;

async fn make(shop: &Shop, id: &str, customer: pb::Customer) {
    let request = pb::CreateCustomerRequest {
        customer_id: id.into(),
        ..creation(customer)
    };
    shop.customers().create_customer(request).await.unwrap();
}

impl Sort for Customers {
    const LAST: &'static str = "customers/last";

    fn schema() -> &'static Schema {
        TABLE.schema()
    }

    fn literals(path: &str) -> &'static [&'static str] {
        match path {
            "name" => &["customers/none", "c1"],
            "number" => &["1", "C-7"],
            "external_ids" => &["erp\tX = 1", "crm\tX = 2", "erp\tX", "shop\t1"],
            "title" => &["titles/mr", "titles/ms", "titles/miss"],
            "first_name" => NAMES,
            "last_name" | "company" => TEXTS,
            "email" => &["0@example.test", "A@B", "7@bücher.test"],
            "phone" => PHONES,
            "vat_number" | "accounting_number" => NUMBERS,
            "credit_limit" => &["0 EUR", "1 JPY", "100 EUR", "1 USD"],
            "payment_days" => &["0", "14", "15", "-1"],
            "birth_date" => BIRTH_DATES,
            "language_code" => LANGUAGES,
            "storefront" => STOREFRONTS,
            "default_group" | "groups" => &[
                "groups/customer",
                "groups/vip",
                "groups/club",
                "groups/desk",
                "v",
            ],
            "attributes" => ENTRIES,
            "delete_time" => &["2026-01-31T12:00:00Z"],
            _ => &[],
        }
    }

    async fn fill(shop: &Shop, rng: &mut StdRng) {
        for id in ["vip", "club"] {
            group(shop, id, pb::Group::default()).await;
        }
        let audience = pb::group::Audience::Staff.into();
        group(
            shop,
            "desk",
            pb::Group {
                audience,
                ..Default::default()
            },
        )
        .await;
        for number in 0..36 {
            let mut customer = random(rng, number);
            let host = ["example.test", "EXAMPLE.test", "bücher.test"]
                .choose(rng)
                .unwrap();
            customer.email = format!("{number}@{host}");
            match number % 12 {
                0 => customer.kind = Kind::Guest.into(),
                1 => {
                    customer.account_type = AccountType::Staff.into();
                    customer.groups = vec!["groups/desk".into()];
                    customer.default_group = "groups/desk".into();
                    customer.email.clear();
                }
                2 => customer.number = format!("C-{number}"),
                _ => {}
            }
            make(shop, &format!("c{number}"), customer).await;
            shop.clock
                .advance(Duration::from_secs(rng.random_range(60..1_800)));
        }
        let last = pb::Customer {
            email: "last@example.test".into(),
            ..Default::default()
        };
        make(shop, "last", last).await;
        // One that is deleted is nowhere to be seen.
        let gone = pb::Customer {
            email: "gone@example.test".into(),
            ..random(rng, 99)
        };
        make(shop, "gone", gone).await;
        delete(&mut shop.customers(), "customers/gone").await;
    }

    async fn page(shop: &Shop, filter: &str, page_token: String) -> Result<Page, Status> {
        let filter = filter.to_owned();
        let request = pb::ListCustomersRequest {
            filter,
            page_token,
            ..Default::default()
        };
        let answer = shop.customers().list_customers(request).await?.into_inner();
        let rows = answer.customers.into_iter();
        Ok(Page {
            rows: rows
                .map(|customer| (customer.name.clone(), values(&customer)))
                .collect(),
            next: answer.next_page_token,
        })
    }

    async fn watch(shop: &Shop, filter: &str) -> Result<Stream, Status> {
        let (filter, options) = (filter.to_owned(), options());
        let request = pb::WatchCustomersRequest {
            filter,
            options,
            ..Default::default()
        };
        let stream = shop
            .customers()
            .watch_customers(request)
            .await?
            .into_inner();
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
        let mut client = shop.customers();
        for number in 0..36 {
            let name = format!("customers/c{number}");
            if rng.random_ratio(1, 10) {
                delete(&mut client, &name).await;
                continue;
            }
            let changed = pb::Customer {
                name,
                ..random(rng, number)
            };
            // Staff stays in the groups of staff.
            let is_staff = number % 12 == 1;
            let paths: Vec<&str> = CHANGEABLE
                .into_iter()
                .chain(other_texts())
                .filter(|path| !(is_staff && path.contains("group")))
                .collect();
            update(&mut client, changed, &paths).await.unwrap();
        }
    }

    async fn touch(shop: &Shop) {
        let name = Self::LAST.to_owned();
        let changed = pb::Customer {
            name,
            phone: "the last".into(),
            ..Default::default()
        };
        let request = pb::UpdateCustomerRequest {
            customer: Some(changed),
            update_mask: Some(FieldMask {
                paths: vec!["phone".into()],
            }),
            ..Default::default()
        };
        shop.customers().update_customer(request).await.unwrap();
    }
}

fn values(customer: &pb::Customer) -> Vec<(&'static str, String)> {
    let mut values = vec![
        ("name", customer.name.clone()),
        ("number", customer.number.clone()),
        ("email", customer.email.clone()),
    ];
    let times = [
        ("create_time", &customer.create_time),
        ("update_time", &customer.update_time),
    ];
    values.extend(
        times
            .into_iter()
            .filter_map(|(path, at)| Some((path, time(at.as_ref()?)))),
    );
    values.extend(
        customer
            .credit_limit
            .iter()
            .map(|limit| ("credit_limit", amount(limit))),
    );
    let ids = customer.external_ids.iter();
    values.extend(ids.map(|each| ("external_ids", format!("{}\t{}", each.system, each.id))));
    let attributes = entries(customer.attributes.as_ref()).into_iter();
    values.extend(attributes.map(|entry| ("attributes", entry)));
    values.retain(|(_, text)| !text.is_empty());
    values
}
