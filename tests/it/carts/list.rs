//! Pages of carts.

use clientela::proto::pb::{self, ErrorReason, ListCartsRequest, ListCartsResponse};
use tonic::{Code, Status};

use super::{Carts, item, named, of, visitor};
use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;

async fn list(shop: &Shop, request: ListCartsRequest) -> Result<ListCartsResponse, Status> {
    shop.carts()
        .list_carts(request)
        .await
        .map(tonic::Response::into_inner)
}

fn filter(filter: &str) -> ListCartsRequest {
    ListCartsRequest {
        filter: filter.into(),
        ..Default::default()
    }
}

/// The names of all pages.
async fn walk(shop: &Shop, mut request: ListCartsRequest) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let page = list(shop, request.clone()).await.unwrap();
        names.extend(page.carts.into_iter().map(|cart| cart.name));
        if page.next_page_token.is_empty() {
            return names;
        }
        request.page_token = page.next_page_token;
    }
}

on_both_engines! {
    async fn pages_hold_every_cart_once_in_their_order(shop: Shop) {
        let mut made = Vec::new();
        for _ in 0..7 {
            made.push(shop.add(of(&visitor()), item("shirt", 1)).await.name);
        }
        let page = |order_by: &str| ListCartsRequest {
            page_size: 3,
            order_by: order_by.into(),
            ..Default::default()
        };

        assert_eq!(walk(&shop, page("")).await, made);
        assert_eq!(walk(&shop, page("create_time")).await, made);
        made.reverse();
        assert_eq!(walk(&shop, page("update_time desc, name desc")).await, made);
        assert_eq!(walk(&shop, page("number desc")).await, made);
    }

    async fn a_filter_finds_carts_by_their_content(shop: Shop) {
        let dear = shop.add(of(&visitor()), item("ship", 11)).await;
        let cheap = shop.add(of(&visitor()), item("boat", 1)).await;
        let ordered = shop.add(of(&visitor()), item("ship", 2)).await;
        shop.try_order(named(&ordered.name), "filtered").await.unwrap();
        let note = pb::UpdateCartRequest {
            cart: Some(pb::Cart {
                name: cheap.name.clone(),
                note: "Grüße aus Köln".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        shop.carts().update_cart(note).await.unwrap();
        let cases = [
            ("total >= \"100.00 EUR\"", vec![&dear]),
            ("state = ORDERED", vec![&ordered]),
            ("products:ship AND state = OPEN", vec![&dear]),
            ("note:GRUSSE OR order_reference = filtered",
                vec![&cheap, &ordered]),
            ("note:koln", vec![&cheap]),
            ("item_count < 3", vec![&cheap, &ordered]),
            ("total > \"1.00 USD\"", vec![]),
            ("update_time > now - 1h", vec![&dear, &cheap, &ordered]),
        ];

        for (text, expected) in cases {
            let expected: Vec<&str> = expected.iter().map(|cart| cart.name.as_str()).collect();
            let found = walk(&shop, filter(text)).await;
            assert_eq!(found, expected, "{text}");
        }
    }

    async fn a_list_counts_if_asked(shop: Shop) {
        for _ in 0..3 {
            shop.add(of(&visitor()), item("shirt", 1)).await;
        }
        let request = ListCartsRequest {
            page_size: 1,
            count: pb::CountMode::Exact.into(),
            ..filter("state = OPEN")
        };

        let page = list(&shop, request).await.unwrap();

        assert_eq!(page.carts.len(), 1);
        assert_eq!(page.count, Some(pb::Count { value: 3, at_least: false }));
    }

    async fn invalid_lists_are_refused(shop: Shop) {
        shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.add(of(&visitor()), item("shirt", 1)).await;
        let first = list(&shop, ListCartsRequest { page_size: 1, ..Default::default() }).await.unwrap();
        let with = |page_token: String, filter: &str| ListCartsRequest {
            page_token,
            ..self::filter(filter)
        };
        let cases = [
            (filter("colour = red"), ErrorReason::InvalidFilter),
            (filter("total > 3"), ErrorReason::InvalidFilter),
            (filter("'; DROP TABLE carts; --"), ErrorReason::InvalidFilter),
            (ListCartsRequest { order_by: "total".into(), ..Default::default() }, ErrorReason::InvalidOrderBy),
            (ListCartsRequest { page_size: -1, ..Default::default() }, ErrorReason::InvalidField),
            (with(first.next_page_token.clone(), "state = OPEN"), ErrorReason::InvalidPageToken),
            (with("nonsense".into(), ""), ErrorReason::InvalidPageToken),
        ];

        for (request, reason) in cases {
            let refused = list(&shop, request).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, reason);
        }
    }
}
