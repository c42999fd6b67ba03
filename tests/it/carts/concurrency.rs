//! Tests many concurrent calls: no write is lost or done twice, and no owner gets two carts.

use std::collections::HashSet;

use clientela::proto::pb::{self, AddItemRequest, Cart, CartTarget};
use futures::future::join_all;
use tonic::{Code, Status};

use super::{Carts, item, named, of, visitor};
use crate::harness::{CartWatch, Shop, assert_refused, reason, repeated, unique};
use crate::on_both_engines;
use crate::watch::{every, listed};
use pb::ErrorReason;

/// Sends the same addition many times at once and repeats it when the database is too busy. Each addition has
/// its own request id unless one is given.
async fn add_at_once(
    shop: &Shop,
    times: usize,
    target: Option<CartTarget>,
    request_id: Option<&str>,
) -> Vec<Result<Cart, Status>> {
    let calls = (0..times).map(|_| {
        let request_id = request_id.map_or_else(|| format!("r-{}", unique()), str::to_owned);
        let request = AddItemRequest {
            target: target.clone(),
            item: Some(item("shirt", 1)),
            request_id,
            ..Default::default()
        };
        let client = shop.carts();
        async move {
            let call = || {
                let (mut client, request) = (client.clone(), request.clone());
                async move { client.add_item(request).await }
            };
            repeated(call).await
        }
    });
    join_all(calls).await
}

/// Returns whether a change opens a cart.
fn opens(change: &pb::CartChange) -> bool {
    let mut causes = change.causes.iter();
    causes.any(|cause| cause.kind() == pb::cart_cause::Kind::Created)
}

on_both_engines! {
    async fn a_thousand_additions_at_once_are_a_thousand(shop: Shop) {
        let request = pb::CreateCartRequest { owner: Some(visitor()), ..Default::default() };
        let cart = shop.carts().create_cart(request).await.unwrap().into_inner();

        let answers = add_at_once(&shop, 1_000, named(&cart.name), None).await;

        let made = answers.into_iter().map(|cart| {
            let cart = cart.unwrap();
            (cart.version, i64::from(cart.items[0].quantity))
        });
        // Each addition made one version, and each answer is that version.
        let made: HashSet<(i64, i64)> = made.collect();
        assert_eq!(made, (1..=1_000).map(|added| (added + 1, added)).collect());
        let cart = shop.get(named(&cart.name)).await;
        assert_eq!((cart.items[0].quantity, cart.version), (1_000, 1_001));
    }

    async fn fifty_first_additions_at_once_open_one_cart(shop: Shop) {
        let owner = visitor();
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;

        let answers = add_at_once(&shop, 50, of(&owner), None).await;

        let names: HashSet<String> = answers.into_iter().map(|cart| cart.unwrap().name).collect();
        assert_eq!(names.len(), 1);
        let cart = shop.get(of(&owner)).await;
        assert_eq!((cart.items[0].quantity, cart.version), (50, 50));
        assert_eq!(listed(&shop).await, [cart], "no other cart was opened");
        let created = |watch: &CartWatch| watch.changes.iter().filter(|change| opens(change)).count();
        watch.until("every version", |watch| watch.changes.len() == 50).await;
        assert_eq!(created(&watch), 1);
    }

    async fn one_request_id_a_hundred_times_at_once_is_one_addition(shop: Shop) {
        let owner = visitor();
        let id = format!("request-{}", unique());

        let answers = add_at_once(&shop, 100, of(&owner), Some(&id)).await;

        let answers: Vec<Cart> = answers.into_iter().map(|cart| cart.unwrap()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!((answers[0].version, answers[0].item_count), (1, 1));
        assert_eq!(shop.get(of(&owner)).await, answers[0]);
        assert_eq!(listed(&shop).await, answers[..1]);
        let other = AddItemRequest {
            target: of(&owner),
            item: Some(item("hat", 1)),
            request_id: id,
            ..Default::default()
        };
        let reused = shop.carts().add_item(other).await.unwrap_err();
        assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    /// Orders race with additions by owner: an addition goes into the cart before it is ordered, or
    /// into the next one, and is never lost.
    async fn additions_that_race_with_orders_are_never_lost(shop: Shop) {
        let owner = visitor();
        shop.add(of(&owner), item("shirt", 1)).await;
        let orders = async {
            let mut ordered = 0_i64;
            for number in 0..20 {
                let reference = format!("race-{}-{number}", unique());
                match shop.try_order(of(&owner), &reference).await {
                    Ok(cart) => ordered += cart.item_count,
                    Err(status) => assert_eq!(reason(&status), "NOT_FOUND"),
                }
            }
            ordered
        };

        let (answers, ordered) = tokio::join!(add_at_once(&shop, 200, of(&owner), None), orders);

        assert!(answers.into_iter().all(|answer| answer.is_ok()));
        let open = shop.try_get(of(&owner)).await.map_or(0, |cart| cart.item_count);
        assert_eq!(ordered + open, 201);
    }

    async fn creations_and_reopenings_at_once_leave_one_open_cart(shop: Shop) {
        let owner = visitor();
        let cart = shop.add(of(&owner), item("shirt", 1)).await;
        shop.try_order(of(&owner), &format!("reopen-{}", unique())).await.unwrap();
        let reopen = || {
            let mut client = shop.carts();
            let request = pb::ReopenCartRequest { name: cart.name.clone(), ..Default::default() };
            async move { client.reopen_cart(request).await }
        };
        let create = || {
            let mut client = shop.carts();
            let owner = Some(owner.clone());
            let request = pb::CreateCartRequest { owner, ..Default::default() };
            async move { client.create_cart(request).await }
        };

        let (created, reopened) = tokio::join!(
            join_all((0..10).map(|_| create())),
            join_all((0..10).map(|_| reopen())),
        );

        let answers = created.into_iter().chain(reopened);
        let opened = answers.filter(|answer| answer.is_ok()).count();
        assert_eq!(opened, 1);
    }
}
