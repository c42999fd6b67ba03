//! Tests merging two carts: the outcome of each line, and repeated merges.

use clientela::limits::CART_ITEMS_MAX;
use clientela::proto::pb::{
    self, Cart, CreateCartRequest, ErrorReason, MergeCartsRequest, MergeCartsResponse, MergePolicy,
    assign_cart_request::IfOpenCartExists, cart::State, cart_cause, line_outcome::Kind,
};
use futures::future::join_all;
use tonic::{Code, Status};

use super::{
    Carts, EURO, customer, customer_in, euros, in_slot, item, key_of_another_shop, lines, metadata,
    money, named, of, price, set, total, visitor,
};
use crate::harness::{CartWatch, Shop, assert_refused, unique, violations};
use crate::on_both_engines;

fn request(source: &Cart, target: &Cart, policy: MergePolicy) -> MergeCartsRequest {
    MergeCartsRequest {
        source: named(&source.name),
        target: named(&target.name),
        policy: policy.into(),
        ..Default::default()
    }
}

async fn merge(shop: &Shop, request: MergeCartsRequest) -> Result<MergeCartsResponse, Status> {
    shop.carts()
        .merge_carts(request)
        .await
        .map(tonic::Response::into_inner)
}

/// A visitor's cart with these products at 10 EUR a piece.
async fn filled(shop: &Shop, products: &[(&str, i32)]) -> Cart {
    let request = CreateCartRequest {
        owner: Some(visitor()),
        items: products
            .iter()
            .map(|(product, n)| item(product, *n))
            .collect(),
        ..Default::default()
    };
    shop.carts()
        .create_cart(request)
        .await
        .unwrap()
        .into_inner()
}

/// Returns the outcome of each line: product, kind, and the three quantities.
fn outcomes(answer: &MergeCartsResponse) -> Vec<(&str, Kind, [i32; 3])> {
    answer
        .lines
        .iter()
        .map(|line| {
            assert!(!line.reason.is_empty(), "each outcome says why: {line:?}");
            let quantities = [
                line.source_quantity,
                line.target_quantity_before,
                line.target_quantity_after,
            ];
            (line.product.as_str(), line.kind(), quantities)
        })
        .collect()
}

async fn set_choice(shop: &Shop, choice: IfOpenCartExists) {
    let settings = pb::ShopSettings {
        if_open_cart_exists: choice.into(),
        ..Default::default()
    };
    set(shop, &["if_open_cart_exists"], settings).await;
}

on_both_engines! {
    async fn each_line_goes_where_the_answer_says(shop: Shop) {
        let source = filled(&shop, &[("shirt", 2), ("hat", 1)]).await;
        let target = filled(&shop, &[("shoe", 1), ("shirt", 3)]).await;

        let answer = merge(&shop, request(&source, &target, MergePolicy::Sum)).await.unwrap();

        assert_eq!(
            outcomes(&answer),
            [("shirt", Kind::Summed, [2, 3, 5]), ("hat", Kind::Moved, [1, 0, 1])],
        );
        let (cart, gone) = (answer.cart.unwrap(), answer.source.unwrap());
        assert_eq!(lines(&cart), [("shoe", 1), ("shirt", 5), ("hat", 1)]);
        assert_eq!((cart.version, total(&cart)), (2, 70 * EURO));
        assert_eq!(answer.lines[0].source_item, source.items[0].name);
        assert_eq!(answer.lines[0].target_item, target.items[1].name);
        assert_eq!(answer.lines[1].target_item, cart.items[2].name);
        assert_eq!((gone.state(), gone.version), (State::Merged, 2));
        assert_eq!(gone.merged_into, target.name);
        assert_eq!(gone.items, source.items);
        assert_eq!(shop.get(named(&target.name)).await, cart);
        assert_eq!(shop.get(named(&source.name)).await, gone);
    }

    async fn the_policy_decides_about_lines_in_both_carts(shop: Shop) {
        let cases = [
            (MergePolicy::Unspecified, Kind::Summed, 5, Kind::Summed, 5),
            (MergePolicy::Sum, Kind::Summed, 5, Kind::Summed, 5),
            (MergePolicy::Max, Kind::Kept, 3, Kind::Replaced, 3),
            (MergePolicy::GuestWins, Kind::Replaced, 2, Kind::Replaced, 3),
            (MergePolicy::CustomerWins, Kind::Kept, 3, Kind::Kept, 2),
        ];
        for (policy, first, less, second, more) in cases {
            let source = filled(&shop, &[("less", 2), ("more", 3), ("new", 1)]).await;
            let target = filled(&shop, &[("less", 3), ("more", 2)]).await;

            let answer = merge(&shop, request(&source, &target, policy)).await.unwrap();

            let expected = [
                ("less", first, [2, 3, less]),
                ("more", second, [3, 2, more]),
                ("new", Kind::Moved, [1, 0, 1]),
            ];
            assert_eq!(outcomes(&answer), expected, "{policy:?}");
            let cart = answer.cart.as_ref().unwrap();
            assert_eq!(lines(cart), [("less", less), ("more", more), ("new", 1)], "{policy:?}");
        }
    }

    async fn the_setting_of_the_shop_applies_without_a_policy(shop: Shop) {
        let cases = [
            (IfOpenCartExists::CustomerWins, Kind::Kept),
            (IfOpenCartExists::GuestWins, Kind::Replaced),
            (IfOpenCartExists::Replace, Kind::Summed),
        ];
        for (choice, kind) in cases {
            set_choice(&shop, choice).await;
            let source = filled(&shop, &[("shirt", 2)]).await;
            let target = filled(&shop, &[("shirt", 3)]).await;

            let unnamed = request(&source, &target, MergePolicy::Unspecified);
            let answer = merge(&shop, unnamed).await.unwrap();

            assert_eq!(answer.lines[0].kind(), kind, "{choice:?}");
        }
    }

    async fn a_voucher_in_both_carts_is_kept_once(shop: Shop) {
        let voucher = |label: &str, amount| pb::Adjustment {
            kind: "voucher".into(),
            label: label.into(),
            amount: euros(amount),
        };
        let with = |note: &str, charges: Vec<pb::Charge>, adjustments| CreateCartRequest {
            owner: Some(visitor()),
            items: vec![item("shirt", 1)],
            cart: Some(Cart { note: note.into(), charges, adjustments, ..Default::default() }),
            ..Default::default()
        };
        let shipping = pb::Charge { kind: "shipping".into(), label: "Bike".into(), amount: euros(5) };
        let source = with("", vec![shipping], vec![voucher("TEN", -2), voucher("SPRING", -1)]);
        let target = with("ring twice", Vec::new(), vec![voucher("TEN", -3)]);
        let source = shop.carts().create_cart(source).await.unwrap().into_inner();
        let target = shop.carts().create_cart(target).await.unwrap().into_inner();

        let answer = merge(&shop, request(&source, &target, MergePolicy::Sum)).await.unwrap();

        let extras: Vec<_> = answer
            .extras
            .iter()
            .map(|extra| (extra.label.as_str(), extra.carried, extra.reason.is_empty()))
            .collect();
        assert_eq!(extras, [("Bike", true, true), ("TEN", false, false), ("SPRING", true, true)]);
        let cart = answer.cart.unwrap();
        assert_eq!(total(&cart), (20 + 5 - 3 - 1) * EURO);
        assert_eq!(cart.note, "ring twice");
    }

    async fn the_answer_names_quantities_and_lines_that_do_not_fit(shop: Shop) {
        let source = filled(&shop, &[("p0", 2), ("first", 1), ("second", 1)]).await;
        let target = shop.add(of(&visitor()), item("p0", 999_999)).await;
        let products: Vec<String> = (1..CART_ITEMS_MAX - 1).map(|n| format!("p{n}")).collect();
        for some in products.chunks(100) {
            let edits = some.iter().map(|product| pb::CartEdit {
                edit: Some(pb::cart_edit::Edit::Add(item(product, 1))),
            });
            let request = pb::EditCartRequest {
                target: named(&target.name),
                edits: edits.collect(),
                ..Default::default()
            };
            shop.carts().edit_cart(request).await.unwrap();
        }

        let answer = merge(&shop, request(&source, &target, MergePolicy::Sum)).await.unwrap();

        assert_eq!(
            outcomes(&answer),
            [
                ("p0", Kind::Capped, [2, 999_999, 1_000_000]),
                ("first", Kind::Moved, [1, 0, 1]),
                ("second", Kind::Dropped, [1, 0, 0]),
            ],
        );
        assert_eq!(answer.lines[2].target_item, "");
        assert_eq!(answer.cart.unwrap().items.len(), CART_ITEMS_MAX);
    }

    async fn the_target_s_owner_decides_the_prices(shop: Shop) {
        let group = pb::CreateGroupRequest {
            group: Some(pb::Group {
                display_names: [("en".to_owned(), "Friends".to_owned())].into(),
                discount_percent: "10".into(),
                ..Default::default()
            }),
            group_id: "friends".into(),
            ..Default::default()
        };
        shop.groups().create_group(group).await.unwrap();
        let friend = customer_in(&shop, "groups/friends").await;
        let source = filled(&shop, &[("shirt", 1)]).await;
        let target = shop.add(of(&customer(&friend)), item("hat", 1)).await;

        let answer = merge(&shop, request(&source, &target, MergePolicy::Sum)).await.unwrap();

        let cart = answer.cart.unwrap();
        assert_eq!((cart.pricing_group.as_str(), total(&cart)), ("groups/friends", 18 * EURO));
    }

    async fn a_repeated_merge_of_the_same_carts_answers_the_same(shop: Shop) {
        let source = filled(&shop, &[("shirt", 2), ("hat", 1)]).await;
        let target = filled(&shop, &[("shirt", 3)]).await;
        let mut first = request(&source, &target, MergePolicy::Sum);
        first.source_etag.clone_from(&source.etag);
        let done = merge(&shop, first.clone()).await.unwrap();

        let again = merge(&shop, first.clone()).await.unwrap();
        let otherwise = merge(&shop, request(&source, &target, MergePolicy::GuestWins)).await.unwrap();
        let grown = shop.add(named(&target.name), item("shoe", 1)).await;
        let later = merge(&shop, first).await.unwrap();

        assert_eq!(again, done);
        assert_eq!(otherwise, done);
        assert_eq!((&later.lines, &later.source), (&done.lines, &done.source));
        assert_eq!(later.cart, Some(grown));
    }

    async fn a_repeated_request_id_gets_the_same_answer(shop: Shop) {
        let owner = visitor();
        shop.add(of(&owner), item("shirt", 2)).await;
        let target = filled(&shop, &[("shirt", 3)]).await;
        let request_id = format!("merge-{}", unique());
        let call = MergeCartsRequest {
            source: of(&owner),
            target: named(&target.name),
            request_id: request_id.clone(),
            ..Default::default()
        };
        let done = merge(&shop, call.clone()).await.unwrap();
        shop.add(named(&target.name), item("shoe", 1)).await;
        shop.add(of(&owner), item("next", 1)).await;

        let again = merge(&shop, call.clone()).await.unwrap();
        let other = MergeCartsRequest { policy: MergePolicy::Max.into(), ..call };
        let reused = merge(&shop, other).await.unwrap_err();
        let add = pb::AddItemRequest {
            target: of(&owner),
            item: Some(item("shirt", 1)),
            request_id,
            ..Default::default()
        };
        let reused_elsewhere = shop.carts().add_item(add).await.unwrap_err();

        assert_eq!(again, done);
        for reused in [reused, reused_elsewhere] {
            assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);
        }
    }

    async fn concurrent_merges_merge_once(shop: Shop) {
        let source = filled(&shop, &[("shirt", 2)]).await;
        let target = filled(&shop, &[("shirt", 3)]).await;
        let calls = (0..20).map(|_| merge(&shop, request(&source, &target, MergePolicy::Sum)));

        let answers = join_all(calls).await;

        let first = answers[0].as_ref().unwrap();
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer == first)));
        let cart = shop.get(named(&target.name)).await;
        assert_eq!((lines(&cart), cart.version), (vec![("shirt", 5)], 2));
    }

    /// Neither call waits forever for the other, and no line is duplicated or lost.
    async fn two_concurrent_opposite_merges_leave_one_cart(shop: Shop) {
        let one = filled(&shop, &[("shirt", 2)]).await;
        let other = filled(&shop, &[("shirt", 3)]).await;

        let (there, back) = tokio::join!(
            merge(&shop, request(&one, &other, MergePolicy::Sum)),
            merge(&shop, request(&other, &one, MergePolicy::Sum)),
        );

        let (done, refused) = match (there, back) {
            (Ok(done), Err(refused)) | (Err(refused), Ok(done)) => (done, refused),
            both => panic!("one of two: {both:?}"),
        };
        assert_eq!(lines(done.cart.as_ref().unwrap()), [("shirt", 5)]);
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CartNotOpen);
        assert_eq!(metadata(&refused)["field"], "target");
    }

    async fn each_of_the_two_carts_has_one_new_version_with_its_cause(shop: Shop) {
        let source = filled(&shop, &[("shirt", 2), ("hat", 1)]).await;
        let target = filled(&shop, &[("shirt", 3)]).await;
        let options = pb::WatchOptions {
            delivery_mode: pb::DeliveryMode::Every.into(),
            ..Default::default()
        };
        let watch = pb::WatchCartsRequest { options: Some(options), ..Default::default() };
        let mut watch = CartWatch::open(&mut shop.carts(), watch).await.unwrap();
        watch.snapshot().await;

        merge(&shop, request(&source, &target, MergePolicy::Sum)).await.unwrap();
        let end = shop.add(of(&visitor()), item("the end", 1)).await;
        watch.until("the end", |watch| watch.carts.contains_key(&end.name)).await;

        let [into, from, _] = watch.changes.as_slice() else {
            panic!("one change of each cart: {:?}", watch.changes);
        };
        let causes = |change: &pb::CartChange| -> Vec<_> {
            change.causes.iter().map(|cause| (cause.kind(), cause.cart.clone())).collect()
        };
        use cart_cause::Kind;
        assert_eq!((&into.name, &from.name), (&target.name, &source.name));
        assert_eq!(
            causes(into),
            [
                (Kind::MergedFrom, source.name.clone()),
                (Kind::ItemAdded, String::new()),
                (Kind::ItemAdded, String::new()),
            ],
        );
        let added = &into.causes[1];
        assert_eq!((added.product.as_str(), added.quantity_before, added.quantity_after), ("shirt", 3, 5));
        assert_eq!(causes(from), [(Kind::Merged, target.name.clone())]);
    }

    async fn a_merged_cart_points_to_the_other_and_frees_its_slot(shop: Shop) {
        let owner = visitor();
        let source = shop.add(of(&owner), item("shirt", 1)).await;
        let target = filled(&shop, &[("hat", 1)]).await;
        merge(&shop, request(&source, &target, MergePolicy::Sum)).await.unwrap();

        let late = shop.try_add(named(&source.name), item("shoe", 1)).await.unwrap_err();
        let order = shop.try_order(named(&source.name), &format!("late-{}", unique())).await.unwrap_err();
        let next = shop.add(of(&owner), item("shoe", 1)).await;
        let further = filled(&shop, &[]).await;
        let elsewhere = merge(&shop, request(&source, &further, MergePolicy::Sum)).await.unwrap_err();

        for refused in [&late, &order, &elsewhere] {
            assert_refused(refused, Code::FailedPrecondition, ErrorReason::CartNotOpen);
            let metadata = metadata(refused);
            assert_eq!((metadata["state"].as_str(), &metadata["merged_into"]), ("STATE_MERGED", &target.name));
        }
        assert_eq!(metadata(&elsewhere)["field"], "source");
        assert_ne!(next.name, source.name);
        let listed = pb::ListCartsRequest { filter: "state = MERGED".into(), ..Default::default() };
        let listed = shop.carts().list_carts(listed).await.unwrap().into_inner().carts;
        assert_eq!(listed.len(), 1);
    }

    async fn carts_that_cannot_be_merged_stay_as_they_are(shop: Shop) {
        let owner = visitor();
        let open = shop.add(of(&owner), item("shirt", 1)).await;
        let ordered = filled(&shop, &[("hat", 1)]).await;
        let reference = format!("merge-{}", unique());
        let ordered = shop.try_order(named(&ordered.name), &reference).await.unwrap();
        let mut dollars = item("hat", 1);
        dollars.price = Some(price(Some(money("USD", EURO))));
        let dollars = shop.add(of(&visitor()), dollars).await;
        let other = filled(&shop, &[("shoe", 1)]).await;
        let stale = |source: &str, target: &str| MergeCartsRequest {
            source_etag: source.into(),
            target_etag: target.into(),
            ..request(&open, &other, MergePolicy::Sum)
        };
        let sum = |source, target| request(source, target, MergePolicy::Sum);
        let by_slot = MergeCartsRequest { target: of(&owner), ..sum(&open, &open) };
        let empty_slot = MergeCartsRequest { source: of(&in_slot(&owner, "gift")), ..sum(&open, &other) };
        let absent = Cart { name: "carts/none".into(), ..Default::default() };
        let cases = [
            (sum(&open, &open), Code::InvalidArgument, ErrorReason::InvalidField, ""),
            (by_slot, Code::InvalidArgument, ErrorReason::InvalidField, ""),
            (sum(&ordered, &open), Code::FailedPrecondition, ErrorReason::CartNotOpen, "source"),
            (sum(&open, &ordered), Code::FailedPrecondition, ErrorReason::CartNotOpen, "target"),
            (sum(&open, &dollars), Code::InvalidArgument, ErrorReason::CurrencyMismatch, "target"),
            (stale(&other.etag, ""), Code::Aborted, ErrorReason::EtagMismatch, "source"),
            (stale("", &open.etag), Code::Aborted, ErrorReason::EtagMismatch, "target"),
            (sum(&absent, &open), Code::NotFound, ErrorReason::NotFound, ""),
            (sum(&open, &absent), Code::NotFound, ErrorReason::NotFound, ""),
            (empty_slot, Code::NotFound, ErrorReason::NotFound, ""),
            (MergeCartsRequest { source: None, ..sum(&open, &other) }, Code::InvalidArgument, ErrorReason::InvalidField, ""),
            (MergeCartsRequest { target: None, ..sum(&open, &other) }, Code::InvalidArgument, ErrorReason::InvalidField, ""),
        ];

        for (call, code, reason, field) in cases {
            let refused = merge(&shop, call.clone()).await.expect_err(&format!("{call:?}"));
            assert_refused(&refused, code, reason);
            assert_eq!(metadata(&refused).get("field").map_or("", |field| field), field, "{call:?}");
        }
        let itself = merge(&shop, sum(&open, &open)).await.unwrap_err();
        assert_eq!(violations(&itself)[0].0, "target");
        for cart in [&open, &ordered, &dollars, &other] {
            assert_eq!(shop.get(named(&cart.name)).await, *cart);
        }
        let sound = stale(&open.etag, &other.etag);
        assert_eq!(lines(&merge(&shop, sound).await.unwrap().cart.unwrap()), [("shoe", 1), ("shirt", 1)]);
    }

    async fn carts_of_another_shop_are_not_found(shop: Shop) {
        let here = filled(&shop, &[("shirt", 1)]).await;
        let key = key_of_another_shop(&shop).await;
        let there = CreateCartRequest { owner: Some(visitor()), ..Default::default() };
        let there = shop.carts_as(&key).create_cart(there).await.unwrap().into_inner();

        for call in [request(&here, &there, MergePolicy::Sum), request(&there, &here, MergePolicy::Sum)] {
            for key in [&shop.admin_key, &key] {
                let refused = shop.carts_as(key).merge_carts(call.clone()).await.unwrap_err();
                assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
            }
        }
    }

    async fn a_merge_over_the_limit_is_refused_as_a_whole(shop: Shop) {
        let dear = |product: &str| {
            let largest = Some(money("EUR", clientela::limits::MICROS_MAX / EURO * EURO));
            pb::ItemInput { price: Some(price(largest)), ..item(product, 1) }
        };
        let source = shop.add(of(&visitor()), dear("ship")).await;
        let target = shop.add(of(&visitor()), dear("boat")).await;

        let refused = merge(&shop, request(&source, &target, MergePolicy::Sum)).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::AmountTooLarge);
        assert_eq!(shop.get(named(&source.name)).await, source);
        assert_eq!(shop.get(named(&target.name)).await, target);
    }
}
