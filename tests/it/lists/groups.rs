//! ListGroups while groups are changed, created and deleted.

use clientela::filter::Schema;
use clientela::groups::TABLE;
use clientela::proto::pb;
use prost_types::FieldMask;

use super::walk::{Key, Listing, Row, time};
use crate::customers;
use crate::harness::{Shop, unique};

pub(super) struct Groups;

/// A number below `end` that differs from time to time.
fn below(end: u64) -> i32 {
    i32::try_from(unique() % end).expect("a small number")
}

impl Listing for Groups {
    const MOVING: &'static [&'static str] =
        &["discount_percent", "state", "priority", "update_time"];

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
        let request = pb::ListGroupsRequest {
            order_by: order_by.to_owned(),
            page_size: size,
            page_token: token,
            ..Default::default()
        };
        let page = shop
            .groups()
            .list_groups(request)
            .await
            .expect("a page")
            .into_inner();
        let rows = page.groups.into_iter().map(|group| Row {
            keys: [
                ("name", Key::Text(group.name.clone())),
                ("discount_percent", hundredths(&group.discount_percent)),
                ("state", Key::Number(group.state.into())),
                ("priority", Key::Number(group.priority.into())),
                ("create_time", time(group.create_time.as_ref())),
                ("update_time", time(group.update_time.as_ref())),
            ]
            .into(),
            name: group.name,
        });
        (rows.collect(), page.next_page_token)
    }

    async fn add(&self, shop: &Shop) -> String {
        let group = pb::Group {
            discount_percent: format!("{}.5", below(3)),
            priority: below(3),
            state: 1 + below(3),
            ..Default::default()
        };
        customers::group(shop, &format!("g{}", unique()), group).await
    }

    async fn change(&self, shop: &Shop, name: &str) {
        let group = pb::Group {
            name: name.to_owned(),
            discount_percent: below(20).to_string(),
            priority: below(20),
            state: 1 + below(3),
            ..Default::default()
        };
        let paths = ["discount_percent", "priority", "state"]
            .map(str::to_owned)
            .into();
        let request = pb::UpdateGroupRequest {
            group: Some(group),
            update_mask: Some(FieldMask { paths }),
            ..Default::default()
        };
        shop.groups().update_group(request).await.expect("a change");
    }

    async fn delete(&self, shop: &Shop, name: &str) {
        let request = pb::DeleteGroupRequest {
            name: name.to_owned(),
            ..Default::default()
        };
        shop.groups()
            .delete_group(request)
            .await
            .expect("a deletion");
    }
}

fn hundredths(percent: &str) -> Key {
    let (whole, fraction) = percent.split_once('.').unwrap_or((percent, ""));
    Key::Number(
        format!("0{whole}{fraction:0<2}")
            .parse()
            .expect("a decimal"),
    )
}
