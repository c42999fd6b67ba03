//! Tests ListGroups: filters, orders, pages and counts.

use clientela::proto::pb::{self, CountMode, ErrorReason};
use tonic::Code;

use super::{create, sent};
use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;

async fn list(shop: &Shop, request: pb::ListGroupsRequest) -> pb::ListGroupsResponse {
    shop.groups()
        .list_groups(request)
        .await
        .expect("a page")
        .into_inner()
}

fn ids(groups: &[pb::Group]) -> Vec<&str> {
    groups
        .iter()
        .map(|group| group.name.trim_start_matches("groups/"))
        .collect()
}

/// Creates groups `g0` to `g9` with descending priorities and with discounts in pairs.
async fn ten(shop: &Shop) {
    for number in 0..10 {
        let group = pb::Group {
            priority: 100 - number,
            ..sent(&format!("G{number}"), &(number / 2).to_string())
        };
        create(shop, &format!("g{number}"), group).await;
    }
}

on_both_engines! {
    async fn pages_in_any_order_return_each_group_once(shop: Shop) {
        ten(&shop).await;
        let orders = [
            ("", &["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8", "g9"]),
            ("priority", &["g9", "g8", "g7", "g6", "g5", "g4", "g3", "g2", "g1", "g0"]),
            ("discount_percent desc", &["g8", "g9", "g6", "g7", "g4", "g5", "g2", "g3", "g0", "g1"]),
            (
                "discount_percent, name desc",
                &["g1", "g0", "g3", "g2", "g5", "g4", "g7", "g6", "g9", "g8"],
            ),
        ];
        for (order_by, expected) in orders {
            let mut seen: Vec<String> = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = pb::ListGroupsRequest {
                    page_size: 3,
                    page_token,
                    filter: "priority > 0".to_owned(),
                    order_by: order_by.to_owned(),
                    ..pb::ListGroupsRequest::default()
                };
                let page = list(&shop, request).await;
                assert!(page.groups.len() <= 3);
                seen.extend(ids(&page.groups).into_iter().map(str::to_owned));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(seen, expected.as_slice(), "{order_by}");
        }
    }

    async fn a_filter_selects_groups_and_their_count(shop: Shop) {
        ten(&shop).await;
        let filters = [
            ("discount_percent >= 3.5", vec!["g8", "g9"]),
            ("name = groups/g3 OR name = g4", vec!["g3", "g4"]),
            ("display_names.en = G7", vec!["g7"]),
            ("state = ACTIVE AND priority < 93 AND priority > 0", vec!["g8", "g9"]),
            ("NOT audience = CUSTOMER", vec![]),
        ];
        for (filter, expected) in filters {
            let request = pb::ListGroupsRequest {
                filter: filter.to_owned(),
                count: CountMode::Exact.into(),
                ..pb::ListGroupsRequest::default()
            };

            let page = list(&shop, request).await;

            assert_eq!(ids(&page.groups), expected, "{filter}");
            let value = i64::try_from(expected.len()).unwrap();
            assert_eq!(page.count, Some(pb::Count { value, at_least: false }));
        }
    }

    async fn invalid_filters_orders_and_tokens_are_refused(shop: Shop) {
        ten(&shop).await;
        let page_token = {
            let request = pb::ListGroupsRequest { page_size: 1, ..Default::default() };
            list(&shop, request).await.next_page_token
        };
        let base = pb::ListGroupsRequest::default();

        for (request, reason) in [
            (
                pb::ListGroupsRequest { filter: "member_count > 1".to_owned(), ..base.clone() },
                ErrorReason::InvalidFilter,
            ),
            (
                pb::ListGroupsRequest { order_by: "display_names".to_owned(), ..base.clone() },
                ErrorReason::InvalidOrderBy,
            ),
            (
                pb::ListGroupsRequest {
                    page_token: page_token.clone(),
                    order_by: "priority".to_owned(),
                    ..base.clone()
                },
                ErrorReason::InvalidPageToken,
            ),
            (
                pb::ListGroupsRequest { page_token: "x".to_owned() + &page_token, ..base.clone() },
                ErrorReason::InvalidPageToken,
            ),
            (pb::ListGroupsRequest { page_size: -1, ..base.clone() }, ErrorReason::InvalidField),
        ] {
            let refused = shop.groups().list_groups(request).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, reason);
        }
        let with_size = pb::ListGroupsRequest { page_token, page_size: 2, ..base };
        assert_eq!(list(&shop, with_size).await.groups.len(), 2);
    }
}
