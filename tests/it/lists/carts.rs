//! ListCarts while carts are filled, opened and deleted.

use clientela::carts::TABLE;
use clientela::filter::Schema;
use clientela::proto::pb;

use super::walk::{Key, Listing, Row, time};
use crate::carts::{Carts as _, item, named, of, visitor};
use crate::harness::Shop;

pub(super) struct Carts;

impl Listing for Carts {
    const MOVING: &'static [&'static str] = &["update_time"];

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
        let request = pb::ListCartsRequest {
            order_by: order_by.to_owned(),
            page_size: size,
            page_token: token,
            ..Default::default()
        };
        let page = shop
            .carts()
            .list_carts(request)
            .await
            .expect("a page")
            .into_inner();
        let rows = page.carts.into_iter().map(|cart| Row {
            keys: [
                ("name", Key::Text(cart.name.clone())),
                ("number", Key::Text(cart.number.clone())),
                ("create_time", time(cart.create_time.as_ref())),
                ("update_time", time(cart.update_time.as_ref())),
            ]
            .into(),
            name: cart.name,
        });
        (rows.collect(), page.next_page_token)
    }

    async fn add(&self, shop: &Shop) -> String {
        shop.add(of(&visitor()), item("shirt", 1)).await.name
    }

    async fn change(&self, shop: &Shop, name: &str) {
        shop.add(named(name), item("shirt", 1)).await;
    }

    async fn delete(&self, shop: &Shop, name: &str) {
        let request = pb::DeleteCartRequest {
            target: named(name),
            ..Default::default()
        };
        shop.carts().delete_cart(request).await.expect("a deletion");
    }
}
