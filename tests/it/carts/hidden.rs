//! Tests that a hidden group applies to the carts of its members and that no storefront can detect it.

use clientela::proto::pb::{
    self, AssignCartRequest, ErrorReason, MergeCartsRequest, MoveItemsRequest, Role,
    assign_cart_request::IfOpenCartExists, move_items_request::MovedItem,
};
use tonic::Code;

use super::{Carts, EURO, customer, in_slot, item, named, of, total, visitor};
use crate::customers::{self, person};
use crate::harness::{CartWatch, assert_refused, unique};
use crate::on_both_engines;
use crate::watch::every;

/// Text that no message to a storefront may contain.
const SECRET: &str = "zanzibar";

on_both_engines! {
    async fn no_answer_and_no_stream_shows_a_storefront_a_hidden_group(shop: Shop) {
        let group = pb::Group {
            state: pb::group::State::Hidden.into(),
            discount_percent: "20".into(),
            ..Default::default()
        };
        let group = customers::group(&shop, SECRET, group).await;
        let ada = pb::Customer {
            groups: vec![group.clone()],
            default_group: group.clone(),
            ..person("Ada")
        };
        let ada = customers::create(&mut shop.customers(), ada).await;
        let owner = customer(&ada.name);
        let mut storefront = shop.carts_as(&shop.key(&[Role::Storefront]).await);
        let watch = pb::WatchCartRequest { target: of(&owner), options: every().options };
        let stream = storefront.watch_cart(watch.clone()).await.unwrap().into_inner();
        let mut narrow = CartWatch::of(stream);
        let mut whole = CartWatch::of(shop.carts().watch_cart(watch).await.unwrap().into_inner());
        // The streams send the writes below as changes, not within their snapshots.
        narrow.snapshot().await;
        whole.snapshot().await;

        let add = |owner: &pb::CartOwner| pb::AddItemRequest {
            target: of(owner),
            item: Some(item("shirt", 2)),
            ..Default::default()
        };
        let assign = |cart: &pb::Cart, choice: IfOpenCartExists| AssignCartRequest {
            target: named(&cart.name),
            customer: ada.name.clone(),
            if_open_cart_exists: choice.into(),
            request_id: format!("hidden-{}", unique()),
            ..Default::default()
        };
        let mut answers = Vec::new();
        let own = storefront.add_item(add(&owner)).await.unwrap().into_inner();
        answers.push(format!("{own:?}"));
        let beside = storefront.add_item(add(&visitor())).await.unwrap().into_inner();
        let beside = assign(&beside, IfOpenCartExists::KeepBoth);
        for _ in 0..2 {
            // The first answer comes from the write, the second from the stored request id.
            let answer = storefront.assign_cart(beside.clone()).await.unwrap().into_inner();
            answers.push(format!("{answer:?}"));
        }
        let guest = storefront.add_item(add(&visitor())).await.unwrap().into_inner();
        let sum = assign(&guest, IfOpenCartExists::Sum);
        for _ in 0..2 {
            let answer = storefront.assign_cart(sum.clone()).await.unwrap().into_inner();
            answers.push(format!("{answer:?}"));
        }
        let merge = MergeCartsRequest {
            source: of(&in_slot(&owner, "main-2")),
            target: of(&owner),
            ..Default::default()
        };
        let merged = storefront.merge_carts(merge).await.unwrap().into_inner();
        answers.push(format!("{merged:?}"));
        let moves = MoveItemsRequest {
            source: of(&owner),
            target: of(&in_slot(&owner, "saved")),
            items: vec![MovedItem { item: own.items[0].name.clone(), quantity: Some(1) }],
            ..Default::default()
        };
        let moved = storefront.move_items(moves).await.unwrap().into_inner();
        answers.push(format!("{moved:?}"));
        let get = pb::GetCartRequest { target: of(&owner) };
        let seen = storefront.get_cart(get).await.unwrap().into_inner();
        answers.push(format!("{seen:?}"));

        // The discount applies: five shirts at 10 EUR, less 20 percent. Readers with access see the group.
        assert_eq!(total(&seen), 40 * EURO);
        let known = shop.get(of(&owner)).await;
        assert_eq!((&known.pricing_group, &known.etag), (&group, &seen.etag));
        let done = |watch: &CartWatch| {
            let cart = watch.carts.get(&known.name);
            cart.is_some_and(|cart| cart.version == known.version)
        };
        narrow.until("the last version", done).await;
        whole.until("the last version", done).await;
        assert_eq!(whole.carts[&known.name].pricing_group, group);
        answers.push(format!("{:?}", narrow.changes));
        for answer in answers {
            assert!(answer.contains("shirt") && !answer.contains(SECRET), "{answer}");
        }
    }

    /// The group has no column, so a filter cannot reveal the group whose prices a cart has.
    async fn a_filter_by_the_group_of_the_prices_answers_like_one_by_no_field(shop: Shop) {
        let storefront = shop.key(&[Role::Storefront]).await;
        let list = |field: &str| pb::ListCartsRequest {
            filter: format!("{field} = \"groups/{SECRET}\""),
            ..Default::default()
        };

        let unknown = shop.carts().list_carts(list("pricing_grouq")).await.unwrap_err();
        let hidden = shop.carts().list_carts(list("pricing_group")).await.unwrap_err();
        let denied = shop.carts_as(&storefront).list_carts(list("pricing_group")).await.unwrap_err();

        for refused in [&unknown, &hidden] {
            assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFilter);
        }
        assert_eq!(unknown.message().replace("pricing_grouq", "pricing_group"), hidden.message());
        assert_refused(&denied, Code::PermissionDenied, ErrorReason::RoleNotAllowed);
    }
}
