//! Tests moving lines between the carts of one owner, and the slot for saved lines.

use clientela::proto::pb::{
    self, ErrorReason, MoveItemsRequest, MoveItemsResponse, cart_cause, line_outcome::Kind,
    move_items_request::MovedItem,
};
use futures::future::join_all;
use tonic::{Code, Status};

use super::{
    Carts, EURO, customer, euros, in_slot, item, key_of_another_shop, lines, metadata, money,
    named, new_customer, of, price, total, visitor,
};
use crate::harness::{CartWatch, Shop, assert_refused, unique, violations};
use crate::on_both_engines;

fn some(item: &str, quantity: impl Into<Option<i32>>) -> MovedItem {
    MovedItem {
        item: item.into(),
        quantity: quantity.into(),
    }
}

fn request(source: &pb::CartOwner, to: &pb::CartOwner, items: Vec<MovedItem>) -> MoveItemsRequest {
    MoveItemsRequest {
        source: of(source),
        target: of(to),
        items,
        ..Default::default()
    }
}

async fn moved(shop: &Shop, request: MoveItemsRequest) -> Result<MoveItemsResponse, Status> {
    shop.carts()
        .move_items(request)
        .await
        .map(tonic::Response::into_inner)
}

on_both_engines! {
    async fn a_line_saved_for_later_moves_back(shop: Shop) {
        let owner = visitor();
        let saved = in_slot(&owner, "saved");
        shop.add(of(&owner), item("shirt", 3)).await;
        let main = shop.add(of(&owner), item("hat", 1)).await;
        let (shirt, hat) = (main.items[0].name.clone(), main.items[1].name.clone());

        let there = request(&owner, &saved, vec![some(&shirt, 2), some(&hat, None)]);
        let there = moved(&shop, there).await.unwrap();
        let later = there.target.clone().unwrap();
        let hat = later.items[1].name.rsplit('/').next().unwrap();
        let back = moved(&shop, request(&saved, &owner, vec![some(hat, None)])).await.unwrap();

        let left = there.source.unwrap();
        assert_eq!((lines(&left), total(&left)), (vec![("shirt", 1)], 10 * EURO));
        assert_eq!((lines(&later), total(&later)), (vec![("shirt", 2), ("hat", 1)], 30 * EURO));
        assert_eq!((later.slot.as_str(), later.version, left.version), ("saved", 1, 3));
        let outcomes: Vec<_> = there.lines.iter().map(|line| (line.kind(), line.source_quantity)).collect();
        assert_eq!(outcomes, [(Kind::Moved, 2), (Kind::Moved, 1)]);
        assert_eq!(there.lines[0].target_item, later.items[0].name);
        assert_eq!(lines(&back.source.unwrap()), [("shirt", 2)]);
        let back = back.target.unwrap();
        assert_eq!(lines(&back), [("shirt", 1), ("hat", 1)]);
        assert_eq!(shop.get(of(&owner)).await, back);
    }

    async fn an_equal_line_grows_and_takes_the_price_of_the_moved_line(shop: Shop) {
        let owner = visitor();
        let gift = in_slot(&owner, "gift");
        let mut dear = item("shirt", 2);
        dear.price = Some(price(euros(15)));
        shop.add(of(&gift), item("shirt", 1)).await;
        let main = shop.add(of(&owner), dear).await;

        let call = request(&owner, &gift, vec![some(&main.items[0].name, None)]);
        let answer = moved(&shop, call).await.unwrap();

        let line = &answer.lines[0];
        let quantities = [line.source_quantity, line.target_quantity_before, line.target_quantity_after];
        assert_eq!((line.kind(), quantities), (Kind::Summed, [2, 1, 3]));
        let gift = answer.target.unwrap();
        assert_eq!((lines(&gift), total(&gift)), (vec![("shirt", 3)], 45 * EURO));
        assert_eq!((lines(&answer.source.unwrap()), gift.version), (vec![], 2));
    }

    async fn a_price_set_by_hand_moves_only_with_the_whole_line(shop: Shop) {
        let owner = visitor();
        let main = shop.add(of(&owner), item("shirt", 3)).await;
        let by_hand = pb::UpdateItemRequest {
            name: main.items[0].name.clone(),
            price_override: Some(pb::PriceOverride {
                amount: euros(4),
                reason: "a stain".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        shop.carts().update_item(by_hand).await.unwrap();
        let shirt = &main.items[0].name;

        let part = request(&owner, &in_slot(&owner, "part"), vec![some(shirt, 1)]);
        let part = moved(&shop, part).await.unwrap();
        let rest = request(&owner, &in_slot(&owner, "rest"), vec![some(shirt, None)]);
        let rest = moved(&shop, rest).await.unwrap();

        assert_eq!(total(&part.target.unwrap()), 10 * EURO);
        assert_eq!(total(&part.source.unwrap()), 8 * EURO);
        let rest = rest.target.unwrap();
        assert_eq!(total(&rest), 8 * EURO);
        assert_eq!(rest.items[0].price_override.as_ref().unwrap().reason, "a stain");
    }

    async fn a_cart_opened_by_a_move_has_the_fields_of_the_source(shop: Shop) {
        let ada = customer(&new_customer(&shop).await);
        let mut dollars = item("shirt", 1);
        dollars.price = Some(price(Some(money("USD", EURO))));
        dollars.display_name = "Linen shirt".into();
        let add = pb::AddItemRequest {
            target: of(&ada),
            item: Some(dollars),
            storefront: "paris".into(),
            ..Default::default()
        };
        let main = shop.carts().add_item(add).await.unwrap().into_inner();
        let options = pb::WatchOptions {
            delivery_mode: pb::DeliveryMode::Every.into(),
            ..Default::default()
        };
        let watch = pb::WatchCartsRequest { options: Some(options), ..Default::default() };
        let mut watch = CartWatch::open(&mut shop.carts(), watch).await.unwrap();
        watch.snapshot().await;

        let call = request(&ada, &in_slot(&ada, "saved"), vec![some(&main.items[0].name, None)]);
        let answer = moved(&shop, call).await.unwrap();
        watch.until("both changes", |watch| watch.changes.len() == 2).await;

        let made = answer.target.unwrap();
        assert_eq!((made.currency_code.as_str(), made.storefront.as_str()), ("USD", "paris"));
        assert_eq!((made.customer, made.number.is_empty()), (main.customer.clone(), false));
        let described = |cause: &pb::CartCause| {
            (cause.kind(), cause.cart.clone(), cause.display_name.clone())
        };
        let changes = watch.changes.iter();
        let causes: Vec<Vec<_>> =
            changes.map(|change| change.causes.iter().map(described).collect()).collect();
        use cart_cause::Kind;
        let (there, gone) = (String::new(), "Linen shirt".to_owned());
        assert_eq!(
            causes,
            [
                vec![
                    (Kind::Created, String::new(), there.clone()),
                    (Kind::ItemMoved, main.name.clone(), there),
                ],
                vec![(Kind::ItemMoved, made.name, gone)],
            ],
        );
    }

    async fn a_cart_saved_for_later_cannot_be_ordered(shop: Shop) {
        let saved = in_slot(&visitor(), "saved");
        let cart = shop.add(of(&saved), item("shirt", 1)).await;

        let refused = shop.try_order(of(&saved), &format!("saved-{}", unique())).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused), [("target".to_owned(), "SAVED_FOR_LATER".to_owned())]);
        assert_eq!(shop.get(named(&cart.name)).await, cart);
    }

    async fn a_request_id_moves_once(shop: Shop) {
        let owner = visitor();
        let main = shop.add(of(&owner), item("shirt", 3)).await;
        let call = MoveItemsRequest {
            request_id: format!("move-{}", unique()),
            ..request(&owner, &in_slot(&owner, "saved"), vec![some(&main.items[0].name, 1)])
        };

        let first = moved(&shop, call.clone()).await.unwrap();
        shop.add(of(&owner), item("hat", 1)).await;
        let again = moved(&shop, call.clone()).await.unwrap();
        let other = MoveItemsRequest { items: vec![some(&main.items[0].name, 2)], ..call };
        let reused = moved(&shop, other).await.unwrap_err();

        assert_eq!(again, first);
        assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    /// Lines move in both directions at once. No call waits forever, and no piece is added or lost.
    async fn concurrent_moves_lose_nothing(shop: Shop) {
        let owner = visitor();
        let gift = in_slot(&owner, "gift");
        let main = shop.add(of(&owner), item("shirt", 50)).await;
        shop.add(of(&gift), item("shirt", 50)).await;
        let shirt = main.items[0].name.rsplit('/').next().unwrap();
        let calls = (0..30).map(|number| {
            let (from, to) = if number % 2 == 0 { (&owner, &gift) } else { (&gift, &owner) };
            moved(&shop, request(from, to, vec![some(shirt, 1)]))
        });

        let answers = join_all(calls).await;

        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(lines(&shop.get(of(&owner)).await), [("shirt", 50)]);
        assert_eq!(lines(&shop.get(of(&gift)).await), [("shirt", 50)]);
    }

    async fn first_moves_at_once_open_one_cart(shop: Shop) {
        let owner = visitor();
        let saved = in_slot(&owner, "saved");
        let main = shop.add(of(&owner), item("shirt", 10)).await;
        let shirt = &main.items[0].name;
        let calls = (0..10).map(|_| moved(&shop, request(&owner, &saved, vec![some(shirt, 1)])));

        let answers = join_all(calls).await;

        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(lines(&shop.get(of(&saved)).await), [("shirt", 10)]);
        assert_eq!(lines(&shop.get(of(&owner)).await), []);
    }

    async fn impossible_moves_move_nothing(shop: Shop) {
        let owner = visitor();
        let gift = in_slot(&owner, "gift");
        shop.add(of(&owner), item("shirt", 2)).await;
        let main = shop.add(of(&owner), item("screw", 1_000_000)).await;
        let there = shop.add(of(&gift), item("screw", 1)).await;
        let stranger = shop.add(of(&visitor()), item("shirt", 1)).await;
        let mut dollars = item("shirt", 1);
        dollars.price = Some(price(Some(money("USD", EURO))));
        let dollars = shop.add(of(&in_slot(&owner, "dollars")), dollars).await;
        let (shirt, screw) = (main.items[0].name.as_str(), main.items[1].name.as_str());
        let call = |items| request(&owner, &gift, items);
        let one = || vec![some(shirt, 1)];
        let to = |cart: &pb::Cart| MoveItemsRequest { target: named(&cart.name), ..call(one()) };
        let (invalid, field) = (Code::InvalidArgument, ErrorReason::InvalidField);
        let cases = [
            (call(vec![]), invalid, field),
            (call(vec![some("", 1)]), invalid, field),
            (call(vec![some(shirt, 0)]), invalid, field),
            (call(vec![some(shirt, -1)]), invalid, field),
            (call(vec![some(shirt, 3)]), invalid, field),
            (call(vec![some(shirt, 1), some(shirt, 1)]), invalid, field),
            (call(vec![some(shirt, 1), some(screw, None)]), invalid, field),
            (call(vec![some("nothing", 1)]), Code::NotFound, ErrorReason::NotFound),
            (call(vec![some(&there.items[0].name, 1)]), Code::NotFound, ErrorReason::NotFound),
            (call(vec![some("customers/x", 1)]), invalid, field),
            (to(&main), invalid, field),
            (to(&dollars), invalid, ErrorReason::CurrencyMismatch),
            (to(&stranger), Code::FailedPrecondition, ErrorReason::OwnerMismatch),
            (request(&owner, &visitor(), one()), Code::FailedPrecondition, ErrorReason::OwnerMismatch),
            (request(&visitor(), &gift, one()), Code::NotFound, ErrorReason::NotFound),
            (MoveItemsRequest { source: None, ..call(one()) }, invalid, field),
            (MoveItemsRequest { target: None, ..call(one()) }, invalid, field),
            (MoveItemsRequest { source_etag: there.etag.clone(), ..call(one()) }, Code::Aborted, ErrorReason::EtagMismatch),
            (MoveItemsRequest { target_etag: main.etag.clone(), ..call(one()) }, Code::Aborted, ErrorReason::EtagMismatch),
        ];

        for (call, code, reason) in cases {
            let refused = moved(&shop, call.clone()).await.expect_err(&format!("{call:?}"));
            assert_refused(&refused, code, reason);
        }
        for cart in [&main, &there, &stranger, &dollars] {
            assert_eq!(shop.get(named(&cart.name)).await, *cart);
        }
        let hundred_and_one = (0..101).map(|number| some(&format!("x{number}"), 1)).collect();
        let refused = moved(&shop, call(hundred_and_one)).await.unwrap_err();
        assert_refused(&refused, invalid, field);
        assert_eq!(violations(&refused)[0].0, "items");
    }

    async fn a_cart_that_is_not_open_neither_gives_nor_takes(shop: Shop) {
        let owner = visitor();
        let other = in_slot(&owner, "other");
        let ordered = shop.add(of(&owner), item("shirt", 1)).await;
        shop.try_order(of(&owner), &format!("moved-{}", unique())).await.unwrap();
        let open = shop.add(of(&other), item("shirt", 1)).await;
        let shirt = ordered.items[0].name.rsplit('/').next().unwrap();
        let call = |source: &pb::Cart, target: &pb::Cart| MoveItemsRequest {
            source: named(&source.name),
            target: named(&target.name),
            items: vec![some(shirt, None)],
            ..Default::default()
        };

        for (call, field) in [(call(&ordered, &open), "source"), (call(&open, &ordered), "target")] {
            let refused = moved(&shop, call).await.unwrap_err();
            assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CartNotOpen);
            assert_eq!(metadata(&refused)["field"], field);
        }
    }

    async fn lines_do_not_move_between_shops(shop: Shop) {
        let here = shop.add(of(&visitor()), item("shirt", 1)).await;
        let key = key_of_another_shop(&shop).await;
        let owner = visitor();
        let call = MoveItemsRequest {
            source: named(&here.name),
            target: of(&owner),
            items: vec![some(&here.items[0].name, None)],
            ..Default::default()
        };

        let refused = shop.carts_as(&key).move_items(call).await.unwrap_err();

        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        assert_eq!(shop.get(named(&here.name)).await, here);
    }
}
