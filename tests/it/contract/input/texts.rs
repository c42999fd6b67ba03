//! Tests invalid filters, orders and tokens on every RPC that takes them.

use clientela::limits::{FILTER_DEPTH_MAX, FILTER_TERMS_MAX};
use clientela::proto::pb::{self, ErrorReason};
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};

use super::super::call::{call, method, methods, next, open};
use super::super::messages::set;
use super::super::world::World;
use super::{Bad, metadata, refused, takes};
use crate::on_both_engines;
use crate::specimens;

/// Filters that every resource refuses. Every resource has a `create_time`.
fn filters() -> Vec<String> {
    let deep = |depth: usize| {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        format!("{open}create_time:*{close}")
    };
    let many = vec!["create_time:*"; FILTER_TERMS_MAX + 1].join(" AND ");
    let texts = [
        "shoe_size = 3",
        "create_time",
        "create_time = 5",
        "create_time = yesterday",
        "create_time = \"2026-02-30T00:00:00Z\"",
        "create_time > now - 1y",
        "create_time:2026",
        "create_time:* create_time:*",
        "create_time:* AND",
        "AND create_time:*",
        "(create_time:*",
        "create_time:*)",
        "NOT",
        "create_time ~ now",
        "create_time = \"unclosed",
        "create_time.seconds = 3",
        "= 3",
        "\"",
        "'; DROP TABLE customers; --",
        "create_time:*; DELETE FROM carts",
        "1 = 1 OR 1 = 1",
        "create_time:* UNION SELECT secret FROM store_meta",
        "id IS NOT NULL",
        "ＯＲ",
    ];
    let texts = texts.into_iter().map(str::to_owned);
    texts.chain([deep(FILTER_DEPTH_MAX + 1), many]).collect()
}

/// Orders that every resource refuses.
const ORDERS: [&str; 12] = [
    "shoe_size",
    "create_time up",
    "create_time desc asc",
    "create_time create_time",
    "create_time, create_time",
    "create_time,",
    ",create_time",
    "create_time, update_time, name, create_time desc",
    "create_time; DROP TABLE groups",
    "(SELECT 1)",
    "create_time DESC",
    "1",
];

/// Returns how many kinds of resources can be listed, ordered and watched.
fn tables() -> usize {
    let all = specimens::ALL.iter();
    all.filter(|specimen| specimen.schema().is_some()).count()
}

on_both_engines! {
    async fn an_invalid_filter_is_refused_with_its_position(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "filters");
        let mut all = Vec::new();
        let mut rpcs = 0;
        for method in methods().into_iter().filter(|method| takes(method, "filter")) {
            for filter in filters() {
                let mut request = world.request(method.name()).await;
                set(&mut request, "filter", Value::String(filter));
                all.push(Bad::new(&method, request, ErrorReason::InvalidFilter));
            }
            rpcs += 1;
        }
        assert_eq!(rpcs, 2 * tables() + 1, "a list and a watch of each kind, and the list of operations");

        for (bad, status) in refused(&shop, &world, all).await {
            let position: usize = metadata(&status, "position").parse().expect("a place");
            let filter = bad.request.get_field_by_name("filter").unwrap().into_owned();
            assert!(position <= filter.as_str().unwrap().len(), "{filter:?}: {status:?}");
        }
    }

    /// Text that looks like SQL is an ordinary value.
    async fn a_value_is_not_interpreted_as_sql(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "values");
        let before = world.state().await;
        let values = [
            "' OR 1=1 --",
            "'; DROP TABLE customers; --",
            "%",
            "_",
            "\\\\",
            "\\\" OR \\\"\\\"=\\\"",
        ];
        for value in values {
            for (rpc, field) in [("ListCustomers", "first_name"), ("ListCarts", "note")] {
                for operator in ["=", ":"] {
                    let method = method(rpc);
                    let mut request = DynamicMessage::new(method.input());
                    let filter = format!("{field}{operator}\"{value}\"");
                    set(&mut request, "filter", Value::String(filter.clone()));
                    let request = request.encode_to_vec();
                    let answer = call(&shop, &shop.admin_key, &method, request).await;
                    let answer = answer.unwrap_or_else(|status| panic!("{filter}: {status:?}"));
                    assert!(answer.unwrap().is_empty(), "{filter} matches nothing");
                }
            }
            let query = value.replace("\\\"", "\"").replace("\\\\", "\\");
            let request = pb::ListCustomersRequest { query: query.clone(), ..Default::default() };
            let found = shop.customers().list_customers(request).await.unwrap().into_inner();
            assert_eq!(found.customers, [], "{query}");
        }
        world.state().await.assert_unchanged(&before);
    }

    async fn an_invalid_order_is_refused_with_its_position(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "orders");
        let mut all = Vec::new();
        for method in methods().into_iter().filter(|method| takes(method, "order_by")) {
            for order in ORDERS {
                let mut request = world.request(method.name()).await;
                set(&mut request, "order_by", Value::String(order.into()));
                all.push(Bad::new(&method, request, ErrorReason::InvalidOrderBy));
            }
        }
        assert_eq!(all.len(), tables() * ORDERS.len());

        for (bad, status) in refused(&shop, &world, all).await {
            let position: usize = metadata(&status, "position").parse().expect("a place");
            let order = bad.request.get_field_by_name("order_by").unwrap().into_owned();
            assert!(position <= order.as_str().unwrap().len(), "{order:?}: {status:?}");
        }
    }

    /// The tokens are malformed, altered, or from another list.
    async fn a_page_token_of_another_request_is_refused(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "pages");
        let lists: Vec<_> =
            methods().into_iter().filter(|method| takes(method, "page_token")).collect();
        assert!(lists.len() >= 9, "only {} lists", lists.len());
        let request = pb::ListGroupsRequest { page_size: 1, ..Default::default() };
        let of_groups = shop.groups().list_groups(request).await.unwrap();
        let of_groups = of_groups.into_inner().next_page_token;
        let request = pb::ListTitlesRequest { page_size: 1, ..Default::default() };
        let of_titles =
            shop.customers().list_titles(request).await.unwrap().into_inner().next_page_token;
        let mut all = Vec::new();
        for method in &lists {
            let anothers = if method.name() == "ListTitles" { &of_groups } else { &of_titles };
            let altered = if method.name() == "ListTitles" { &of_titles } else { &of_groups };
            let altered = format!("A{altered}");
            for token in ["nonsense", "AAAA", "é", anothers.as_str(), altered.as_str()] {
                let mut request = world.request(method.name()).await;
                set(&mut request, "page_token", Value::String(token.into()));
                all.push(Bad::new(method, request, ErrorReason::InvalidPageToken));
            }
        }

        refused(&shop, &world, all).await;
    }

    async fn a_resume_token_of_another_kind_of_watch_is_refused(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "tokens");
        let watches = methods();
        let watches = watches.iter().filter(|method| takes(method, "options"));
        let mut tokens = Vec::new();
        for method in watches.clone() {
            let request = world.request(method.name()).await;
            let mut stream =
                open(&shop, &shop.admin_key, method, request.encode_to_vec()).await.unwrap();
            let token = loop {
                let message = next(&mut stream).await.unwrap().unwrap();
                let message = DynamicMessage::decode(method.output(), message).unwrap();
                let token = message.get_field_by_name("resume_token").unwrap().into_owned();
                if token.as_str() != Some("") {
                    break token;
                }
            };
            tokens.push((method, token));
        }
        assert_eq!(tokens.len(), tables() + 1, "a watch of each kind, and that of one cart");
        let mut all = Vec::new();
        for method in watches {
            let nonsense = ["nonsense", "AAAA.AAAA", "é"].map(|token| Value::String(token.into()));
            let anothers = tokens.iter().filter(|(of, _)| of.output() != method.output());
            let anothers = anothers.map(|(_, token)| token.clone());
            let own = tokens.iter().find(|(of, _)| *of == method).unwrap();
            let altered = Value::String(format!("A{}", own.1.as_str().unwrap()));
            for token in nonsense.into_iter().chain(anothers).chain([altered]) {
                let mut request = world.request(method.name()).await;
                set(&mut request, "options.resume_token", token);
                all.push(Bad::new(method, request, ErrorReason::InvalidResumeToken));
            }
        }

        refused(&shop, &world, all).await;
    }
}
