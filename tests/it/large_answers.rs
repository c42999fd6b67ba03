//! Tests that answers stay within the limits of clients: pages end early, and answers that cannot be split
//! are refused with a reason.

use std::collections::BTreeSet;

use clientela::proto::pb::{self, ListCartsRequest, ListGroupsRequest};
use futures::stream::{self, StreamExt as _};
use prost_types::{Struct, Value, value::Kind};

use crate::harness::{Shop, repeated};
use crate::on_both_engines;
use crate::watch::{item, visitor};

/// Creates a cart of about 200 KiB.
pub async fn large_cart(shop: &Shop, number: usize) -> String {
    let value = Value {
        kind: Some(Kind::StringValue("x".repeat(1_900))),
    };
    let attributes = Struct {
        fields: [("engraving".to_owned(), value)].into(),
    };
    let items = (0..100).map(|line| pb::ItemInput {
        attributes: Some(attributes.clone()),
        ..item(&format!("p{line}"), 1)
    });
    let Some(pb::cart_target::Target::Owner(owner)) = visitor(&format!("number {number}")).target
    else {
        panic!("a visitor is an owner")
    };
    let request = pb::CreateCartRequest {
        owner: Some(owner),
        items: items.collect(),
        ..Default::default()
    };
    let cart = shop.carts().create_cart(request).await.unwrap();
    cart.into_inner().name
}

/// Creates a group with the maximal number of names of maximal length.
async fn large_group(shop: &Shop, number: usize) {
    let languages = (b'a'..=b'b').flat_map(|first| (b'a'..=b'y').map(move |last| [first, last]));
    let names = languages.map(|letters| {
        let language = String::from_utf8(letters.to_vec()).unwrap();
        (language, "\u{1F9A9}".repeat(64))
    });
    let request = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: names.collect(),
            ..Default::default()
        }),
        group_id: format!("group-{number}"),
        ..Default::default()
    };
    repeated(|| {
        let (mut groups, request) = (shop.groups(), request.clone());
        async move { groups.create_group(request).await }
    })
    .await
    .unwrap();
}

on_both_engines! {
    async fn a_page_of_large_carts_ends_before_it_is_too_large(shop: Shop) {
        let carts = stream::iter(0..24).map(|number| large_cart(&shop, number));
        let made: BTreeSet<String> = carts.buffer_unordered(8).collect().await;
        let (mut seen, mut pages, mut page_token) = (BTreeSet::new(), 0, String::new());

        loop {
            let request = ListCartsRequest { page_token, ..Default::default() };
            let page = shop.carts().list_carts(request).await.unwrap().into_inner();
            assert!(!page.carts.is_empty());
            for cart in page.carts {
                assert!(seen.insert(cart.name), "each once");
            }
            (page_token, pages) = (page.next_page_token, pages + 1);
            if page_token.is_empty() {
                break;
            }
        }

        assert_eq!(seen, made);
        assert!(pages > 1, "all together are too large");
    }

    async fn a_page_of_large_groups_ends_before_it_is_too_large(shop: Shop) {
        let groups = stream::iter(0..330).map(|number| large_group(&shop, number));
        groups.buffer_unordered(8).collect::<()>().await;
        let (mut seen, mut pages, mut page_token) = (BTreeSet::new(), 0, String::new());

        loop {
            let request = ListGroupsRequest { page_size: 1_000, page_token, ..Default::default() };
            let page = shop.groups().list_groups(request).await.unwrap().into_inner();
            for group in page.groups {
                assert!(seen.insert(group.name), "each once");
            }
            (page_token, pages) = (page.next_page_token, pages + 1);
            if page_token.is_empty() {
                break;
            }
        }

        assert_eq!(seen.len(), 330 + 3, "with the special groups");
        assert!(pages > 1, "all together are too large");
    }
}
