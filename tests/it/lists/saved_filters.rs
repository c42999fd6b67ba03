//! ListSavedFilters while saved filters are changed, created and deleted.

use clientela::filter::Schema;
use clientela::proto::pb;
use clientela::saved_filters::TABLE;

use super::walk::{Key, Listing, Row, time};
use crate::harness::{Shop, unique};
use crate::saved_filters::{create, delete, of_any, update};

pub(super) struct SavedFilters;

/// A saved filter of one of a few names and kinds.
fn other() -> pb::SavedFilter {
    let number = unique();
    let resource = 1 + i32::try_from(number % 5).expect("a small number");
    of_any(&format!("of {}", number % 7), resource, true)
}

impl Listing for SavedFilters {
    const MOVING: &'static [&'static str] = &["display_name", "resource", "update_time"];

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
        let request = pb::ListSavedFiltersRequest {
            order_by: order_by.to_owned(),
            page_size: size,
            page_token: token,
            ..Default::default()
        };
        let page = shop.saved_filters().list_saved_filters(request).await;
        let page = page.expect("a page").into_inner();
        let rows = page.saved_filters.into_iter().map(|saved| Row {
            keys: [
                ("name", Key::Text(saved.name.clone())),
                ("display_name", Key::Text(saved.display_name)),
                ("resource", Key::Number(saved.resource.into())),
                ("owner", Key::Text(saved.owner)),
                ("create_time", time(saved.create_time.as_ref())),
                ("update_time", time(saved.update_time.as_ref())),
            ]
            .into(),
            name: saved.name,
        });
        (rows.collect(), page.next_page_token)
    }

    async fn add(&self, shop: &Shop) -> String {
        let made = create(&mut shop.saved_filters(), "", other()).await;
        made.expect("a saved filter").name
    }

    async fn change(&self, shop: &Shop, name: &str) {
        let display_name = format!("now {}", unique());
        let saved = pb::SavedFilter {
            name: name.to_owned(),
            display_name,
            ..other()
        };
        update(
            &mut shop.saved_filters(),
            saved,
            &["display_name", "resource"],
        )
        .await
        .expect("a change");
    }

    async fn delete(&self, shop: &Shop, name: &str) {
        delete(&mut shop.saved_filters(), name)
            .await
            .expect("a deletion");
    }
}
