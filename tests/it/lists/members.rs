//! ListMembers while customers join, leave and change.

use clientela::filter::Schema;
use clientela::proto::pb;
use rand::rngs::StdRng;

use super::walk::{Listing, Row};
use crate::customers::{self, person};
use crate::harness::{Connection, Shop, unique};

pub(super) struct Members;

const GROUP: &str = "groups/vip";

impl Listing for Members {
    fn schema(&self) -> Option<&'static Schema> {
        None
    }

    fn moves(&self, _: &str) -> bool {
        false
    }

    async fn prepare(&self, shop: &Shop) {
        customers::group(shop, "vip", pb::Group::default()).await;
    }

    async fn page(
        &self,
        connection: &Connection,
        _: &str,
        size: i32,
        token: String,
    ) -> (Vec<Row>, String) {
        let request = pb::ListMembersRequest {
            group: GROUP.to_owned(),
            page_size: size,
            page_token: token,
        };
        let page = connection.groups().list_members(request).await;
        let page = page.expect("a page").into_inner();
        let rows = page.members.into_iter().map(|member| Row {
            name: member.customer.expect("a member has its customer").name,
            keys: [].into(),
        });
        (rows.collect(), page.next_page_token)
    }

    async fn add(&self, connection: &Connection, _: &mut StdRng) -> String {
        let ada = customers::create(&mut connection.customers(), person("Ada")).await;
        let request = pb::AddMembersRequest {
            group: GROUP.to_owned(),
            members: vec![ada.name.clone()],
            ..Default::default()
        };
        let added = connection.groups().add_members(request).await;
        added.expect("an addition");
        ada.name
    }

    async fn change(&self, connection: &Connection, name: &str, _: &mut StdRng) {
        let customer = pb::Customer {
            name: name.to_owned(),
            phone: unique().to_string(),
            ..Default::default()
        };
        let changed = customers::update(&mut connection.customers(), customer, &["phone"]).await;
        changed.expect("a change");
    }

    /// Removes the member from the group, or deletes the customer.
    async fn delete(&self, connection: &Connection, name: &str) {
        if unique().is_multiple_of(2) {
            customers::delete(&mut connection.customers(), name).await;
            return;
        }
        let request = pb::RemoveMembersRequest {
            group: GROUP.to_owned(),
            members: vec![name.to_owned()],
            ..Default::default()
        };
        let removed = connection.groups().remove_members(request).await;
        removed.expect("a removal");
    }
}
