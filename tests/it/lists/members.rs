//! ListMembers while customers join, leave and are changed.

use clientela::filter::Schema;
use clientela::proto::pb;

use super::walk::{Listing, Row};
use crate::customers::{self, person};
use crate::harness::{Shop, unique};

pub(super) struct Members;

const GROUP: &str = "groups/vip";

impl Listing for Members {
    const MOVING: &'static [&'static str] = &[];

    fn schema() -> Option<&'static Schema> {
        None
    }

    async fn prepare(&self, shop: &Shop) {
        customers::group(shop, "vip", pb::Group::default()).await;
    }

    async fn page(&self, shop: &Shop, _: &str, size: i32, token: String) -> (Vec<Row>, String) {
        let request = pb::ListMembersRequest {
            group: GROUP.to_owned(),
            page_size: size,
            page_token: token,
        };
        let page = shop
            .groups()
            .list_members(request)
            .await
            .expect("a page")
            .into_inner();
        let rows = page.members.into_iter().map(|member| Row {
            name: member.customer.expect("a member is whole").name,
            keys: [].into(),
        });
        (rows.collect(), page.next_page_token)
    }

    async fn add(&self, shop: &Shop) -> String {
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let request = pb::AddMembersRequest {
            group: GROUP.to_owned(),
            members: vec![ada.name.clone()],
            ..Default::default()
        };
        shop.groups()
            .add_members(request)
            .await
            .expect("an addition");
        ada.name
    }

    async fn change(&self, shop: &Shop, name: &str) {
        let customer = pb::Customer {
            name: name.to_owned(),
            phone: unique().to_string(),
            ..Default::default()
        };
        customers::update(&mut shop.customers(), customer, &["phone"])
            .await
            .expect("a change");
    }

    /// Some leave the group, and some the shop.
    async fn delete(&self, shop: &Shop, name: &str) {
        if unique().is_multiple_of(2) {
            customers::delete(&mut shop.customers(), name).await;
            return;
        }
        let request = pb::RemoveMembersRequest {
            group: GROUP.to_owned(),
            members: vec![name.to_owned()],
            ..Default::default()
        };
        shop.groups()
            .remove_members(request)
            .await
            .expect("a removal");
    }
}
