//! CreateCustomer in a shop with many customers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clientela::proto::pb;

use crate::bench::{Bench, Spent, alternate};
use crate::fill::{self, With};
use crate::load::closed_loop;
use crate::shop::{self, LINES};
use crate::table::{Row, Target};

const IN_FLIGHT: usize = 64;
const SECONDS: f64 = 1.5;
const CUSTOMERS: usize = 100_000;
const CARTS: usize = 2_000;

pub async fn on_sqlite(bench: &Bench) -> Vec<Row> {
    let shop = fill::shop(shop::embedded(bench), CUSTOMERS, With::Memberships).await;
    let carts = shop.carts(CARTS, LINES).await;
    let admin = shop.admin().await;
    let next = Arc::new(AtomicUsize::new(0));
    let (creating, adding) = (Spent::default(), Spent::default());
    let rounds = alternate(
        async || {
            let (admin, next) = (admin.clone(), Arc::clone(&next));
            let call = move |caller: usize, _| {
                let mut client = admin.customers(caller);
                let number = next.fetch_add(1, Ordering::Relaxed);
                async move {
                    let request = pb::CreateCustomerRequest {
                        customer: Some(pb::Customer {
                            first_name: "Grace".to_owned(),
                            last_name: format!("Hopper {number}"),
                            email: format!("grace.hopper.{number}@example.test"),
                            ..Default::default()
                        }),
                        request_id: uuid::Uuid::new_v4().to_string(),
                        ..Default::default()
                    };
                    let answer = client.create_customer(request).await;
                    answer.expect("a customer is made");
                }
            };
            let load = closed_loop(IN_FLIGHT, SECONDS, call);
            creating.per_second(&shop.child, load).await
        },
        async || {
            let (clients, carts) = (shop.clients.clone(), Arc::clone(&carts));
            let call = move |caller: usize, made: usize| {
                let (clients, carts) = (clients.clone(), Arc::clone(&carts));
                async move {
                    let cart = &carts[(caller * 31 + made * 67) % CARTS];
                    clients.add_item(caller, cart, made % LINES).await;
                }
            };
            let load = closed_loop(IN_FLIGHT, SECONDS, call);
            adding.per_second(&shop.child, load).await
        },
    )
    .await;
    let ratios = rounds.ratios();
    let figure = "CreateCustomer, SQLite, 100,000 customers, 64 in flight";
    let row = Row::new(figure, "calls/s", rounds.product, Target::RatioAtLeast(0.5))
        .beside("AddItem", rounds.yardstick, ratios)
        .note("without a password, whose hash would be most of it");
    vec![row, creating.row_beside(figure, "AddItem", adding, 2.0)]
}
