//! ListCustomers while customers are changed, created and deleted.

use clientela::collation::sort_key;
use clientela::customers::TABLE;
use clientela::filter::Schema;
use clientela::proto::pb;

use super::walk::{Key, Listing, Row, time};
use crate::customers::{self, person};
use crate::harness::{Shop, unique};

pub(super) struct Customers;

impl Listing for Customers {
    const MOVING: &'static [&'static str] = &["last_name", "email", "update_time"];

    fn schema() -> Option<&'static Schema> {
        Some(TABLE.schema())
    }

    async fn prepare(&self, _: &Shop) {}

    async fn page(
        &self,
        shop: &Shop,
        order_by: &str,
        size: i32,
        token: String,
    ) -> (Vec<Row>, String) {
        let request = pb::ListCustomersRequest {
            order_by: order_by.to_owned(),
            page_size: size,
            page_token: token,
            ..Default::default()
        };
        let page = shop
            .customers()
            .list_customers(request)
            .await
            .expect("a page")
            .into_inner();
        let rows = page.customers.into_iter().map(|customer| Row {
            keys: [
                ("name", Key::Text(customer.name.clone())),
                ("last_name", Key::Text(sort_key("en", &customer.last_name))),
                ("email", Key::Text(customer.email.clone())),
                ("create_time", time(customer.create_time.as_ref())),
                ("update_time", time(customer.update_time.as_ref())),
            ]
            .into(),
            name: customer.name,
        });
        (rows.collect(), page.next_page_token)
    }

    async fn add(&self, shop: &Shop) -> String {
        // Several have the same last name, and some have none.
        let last_name = ["", "Ångström", "Lovelace"][usize::try_from(unique() % 3).unwrap()];
        let customer = pb::Customer {
            last_name: last_name.into(),
            ..person("Ada")
        };
        customers::create(&mut shop.customers(), customer)
            .await
            .name
    }

    async fn change(&self, shop: &Shop, name: &str) {
        let customer = pb::Customer {
            name: name.to_owned(),
            last_name: format!("{}", unique() % 10),
            ..person("Ada")
        };
        customers::update(&mut shop.customers(), customer, &["last_name", "email"])
            .await
            .expect("a change");
    }

    async fn delete(&self, shop: &Shop, name: &str) {
        customers::delete(&mut shop.customers(), name).await;
    }
}
