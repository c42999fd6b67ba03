//! Tests that a cart or customer that cannot be written does not block background work on the others. It is
//! reported and tried again.

use std::time::Duration;

use clientela::execute;
use clientela::proto::pb::cart::Abandonment;
use clientela::proto::pb::{self, operation};
use clientela::store::Locks;
use futures::FutureExt as _;

use super::{discounting, member, open, operations, set_discount};
use crate::carts::abandonment::{DAY, abandoned};
use crate::carts::retention::{gone, keep_days};
use crate::carts::{Carts, EURO, customer, item, named, of, total, visitor};
use crate::customers::{self, person};
use crate::harness::{Setup, Shop, eventually, store::START};
use crate::on_both_engines;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs a statement on the row of a resource, unnoticed by the server.
async fn run(shop: &Shop, statement: &'static str, name: &str) {
    let id = name.rsplit('/').next().unwrap().to_owned();
    let done = shop
        .store()
        .write_with(Locks::none(), id, move |tx, id| {
            async move { Ok(execute!(tx, sqlx::query(statement).bind(id))?) }.boxed()
        })
        .await;
    assert_eq!(done.unwrap(), 1);
}

/// Makes the document of a cart unreadable.
async fn corrupt(shop: &Shop, cart: &str) {
    run(
        shop,
        "UPDATE carts SET doc = '!' || doc WHERE id = $1",
        cart,
    )
    .await;
}

async fn repair(shop: &Shop, cart: &str) {
    run(
        shop,
        "UPDATE carts SET doc = substr(doc, 2) WHERE id = $1",
        cart,
    )
    .await;
}

async fn corrupt_customer(shop: &Shop, name: &str) {
    run(
        shop,
        "UPDATE customers SET doc = '!' || doc WHERE id = $1",
        name,
    )
    .await;
}

async fn repair_customer(shop: &Shop, name: &str) {
    run(
        shop,
        "UPDATE customers SET doc = substr(doc, 2) WHERE id = $1",
        name,
    )
    .await;
}

/// Waits for the operation that reports one skipped resource.
async fn reports(shop: &Shop, kind: &str, skipped: &str) -> pb::Operation {
    let filter = format!("kind = {kind}");
    let operation = eventually("the report of the skipped resource", || async {
        let found = operations(shop, &filter).await;
        found.into_iter().find(|operation| {
            operation.skipped == 1 && operation.state() != operation::State::Running
        })
    })
    .await;
    assert_eq!(operation.error, format!("{skipped}: INTERNAL"));
    operation
}

async fn wait_for_success(shop: &Shop, operation: &pb::Operation) {
    let ended = eventually("the end of the work", || async {
        let request = pb::GetOperationRequest {
            name: operation.name.clone(),
        };
        let shown = shop.operations().get_operation(request).await.unwrap();
        let shown = shown.into_inner();
        (shown.state() == operation::State::Done).then_some(shown)
    })
    .await;
    assert_eq!((ended.skipped, ended.error.as_str()), (0, ""));
}

async fn wait_for_total(shop: &Shop, cart: &str, euros: i64) {
    eventually("the new price", || async {
        let cart = shop.get(named(cart)).await;
        (cart.version > 1 && total(&cart) == euros * EURO).then_some(())
    })
    .await;
}

/// Makes the customer a member of a new group until the clock has moved by an hour.
async fn trial(shop: &Shop, name: &str) {
    let seconds = START / 1_000_000 + 3_600;
    let request = pb::AddMembersRequest {
        group: "groups/trial".to_owned(),
        members: vec![name.to_owned()],
        expire_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..Default::default()
    };
    shop.groups().add_members(request).await.unwrap();
}

async fn groups_of(shop: &Shop, name: &str) -> Vec<String> {
    let request = pb::GetCustomerRequest {
        name: name.to_owned(),
    };
    let found = shop.customers().get_customer(request).await.unwrap();
    found.into_inner().groups
}

async fn leaves(shop: &Shop, name: &str, group: &str) {
    eventually("the end of the membership", || async {
        let groups = groups_of(shop, name).await;
        (!groups.iter().any(|each| each == group)).then_some(())
    })
    .await;
}

on_both_engines! {
    async fn an_unreadable_cart_blocks_no_repricing_of_others(shop: Shop with Setup::held()) {
        let vip = discounting(&shop, "vip", "10").await;
        let ada = member(&shop, &vip).await;
        let carts = open(&shop, &customer(&ada.name), 70).await;
        let bad = &carts[20].name;
        corrupt(&shop, bad).await;

        set_discount(&shop, &vip, "40").await;

        for cart in carts.iter().filter(|cart| cart.name != *bad) {
            wait_for_total(&shop, &cart.name, 6).await;
        }
        let operation = reports(&shop, "REPRICE_CARTS", bad).await;
        assert_eq!((operation.state(), operation.progress), (operation::State::Pending, 69));
        repair(&shop, bad).await;
        shop.clock.advance(MINUTE);
        wait_for_success(&shop, &operation).await;
        wait_for_total(&shop, bad, 6).await;
    }

    async fn an_unreadable_cart_is_retried_until_it_is_readable(shop: Shop with Setup::held()) {
        let vip = discounting(&shop, "vip", "10").await;
        let ada = member(&shop, &vip).await;
        let carts = open(&shop, &customer(&ada.name), 2).await;
        let bad = &carts[0].name;
        corrupt(&shop, bad).await;
        set_discount(&shop, &vip, "40").await;
        let operation = reports(&shop, "REPRICE_CARTS", bad).await;

        for attempts in [2, 3] {
            shop.clock.advance(HOUR);
            eventually("another attempt", || async {
                let again = reports(&shop, "REPRICE_CARTS", bad).await;
                (i64::from(again.attempts) >= attempts).then_some(())
            }).await;
        }

        // The newer job takes over the skipped carts of the older one, so one job is left.
        set_discount(&shop, &vip, "30").await;
        wait_for_total(&shop, &carts[1].name, 7).await;
        eventually("the end of the older job", || async {
            shop.clock.advance(MINUTE);
            let waiting = operations(&shop, "kind = REPRICE_CARTS AND state = PENDING").await;
            (waiting.len() == 1 && waiting[0].name != operation.name).then_some(())
        }).await;
    }

    async fn an_unreadable_cart_blocks_no_refresh_of_the_customer_s_name_in_others(shop: Shop with Setup::held()) {
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let carts = open(&shop, &customer(&ada.name), 3).await;
        let bad = &carts[0].name;
        corrupt(&shop, bad).await;
        let request = pb::UpdateCustomerRequest {
            customer: Some(pb::Customer { last_name: "Byron".to_owned(), ..ada.clone() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["last_name".to_owned()] }),
            ..Default::default()
        };
        shop.customers().update_customer(request).await.unwrap();

        let refreshed = |name: String| {
            let shop = &shop;
            async move {
                eventually("the new name", || async {
                    let cart = shop.get(named(&name)).await;
                    let summary = cart.customer_summary.unwrap();
                    (cart.version > 1 && summary.display_name.contains("Byron")).then_some(())
                }).await;
            }
        };
        refreshed(carts[1].name.clone()).await;
        refreshed(carts[2].name.clone()).await;
        let operation = reports(&shop, "REFRESH_CUSTOMER", bad).await;
        assert_eq!(operation.state(), operation::State::Pending);
        repair(&shop, bad).await;
        shop.clock.advance(MINUTE);
        refreshed(bad.clone()).await;
    }

    async fn an_unreadable_cart_blocks_no_deletion_of_others_with_their_customer(shop: Shop with Setup::held()) {
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let carts = open(&shop, &customer(&ada.name), 3).await;
        let bad = &carts[0].name;
        corrupt(&shop, bad).await;

        customers::delete(&mut shop.customers(), &ada.name).await;

        gone(&shop, &carts[1].name).await;
        gone(&shop, &carts[2].name).await;
        let operation = reports(&shop, "DELETE_CUSTOMER_CARTS", bad).await;
        repair(&shop, bad).await;
        shop.clock.advance(MINUTE);
        wait_for_success(&shop, &operation).await;
        gone(&shop, bad).await;
    }

    async fn an_unreadable_cart_blocks_no_abandonment_of_others(shop: Shop with Setup::held()) {
        let bad = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        let good = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        corrupt(&shop, &bad).await;

        shop.clock.advance(DAY + MINUTE);
        abandoned(&shop, &good).await;

        let operation = reports(&shop, "ABANDON_CARTS", &bad).await;
        assert_eq!(operation.state(), operation::State::Done);
        repair(&shop, &bad).await;
        shop.clock.advance(2 * MINUTE);
        assert_eq!(abandoned(&shop, &bad).await.abandonment(), Abandonment::Abandoned);
    }

    async fn an_unreadable_cart_blocks_no_retention_of_others(shop: Shop with Setup::held()) {
        keep_days(&shop, 2, 0).await;
        let bad = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        let good = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        // The cart is not abandoned before, as that would skip it too.
        corrupt(&shop, &bad).await;

        shop.clock.advance(2 * DAY + MINUTE);
        gone(&shop, &good).await;

        reports(&shop, "PURGE", &bad).await;
        repair(&shop, &bad).await;
        shop.clock.advance(2 * MINUTE);
        gone(&shop, &bad).await;
    }

    async fn an_unreadable_customer_keeps_no_other_in_a_deleted_group(shop: Shop with Setup::held()) {
        let vip = discounting(&shop, "vip", "10").await;
        let bad = member(&shop, &vip).await.name;
        let good = member(&shop, &vip).await.name;
        corrupt_customer(&shop, &bad).await;
        let request = pb::DeleteGroupRequest { name: vip.clone(), ..Default::default() };
        shop.groups().delete_group(request).await.unwrap();

        leaves(&shop, &good, &vip).await;
        let operation = reports(&shop, "DELETE_GROUP", &bad).await;
        assert_eq!(operation.state(), operation::State::Pending);
        repair_customer(&shop, &bad).await;
        shop.clock.advance(MINUTE);
        wait_for_success(&shop, &operation).await;
        leaves(&shop, &bad, &vip).await;
    }

    async fn an_unreadable_customer_keeps_no_other_in_a_temporary_membership(shop: Shop with Setup::held()) {
        let trial_group = discounting(&shop, "trial", "10").await;
        let bad = customers::create(&mut shop.customers(), person("Ada")).await.name;
        let good = customers::create(&mut shop.customers(), person("Grace")).await.name;
        trial(&shop, &bad).await;
        trial(&shop, &good).await;
        corrupt_customer(&shop, &bad).await;

        shop.clock.advance(HOUR);

        leaves(&shop, &good, &trial_group).await;
        reports(&shop, "EXPIRE_MEMBERSHIPS", &bad).await;
        repair_customer(&shop, &bad).await;
        shop.clock.advance(MINUTE);
        leaves(&shop, &bad, &trial_group).await;
    }

    async fn unreadable_settings_of_a_shop_block_no_upkeep_of_others(shop: Shop with Setup::held()) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        let other = pb::CreateShopRequest {
            shop: Some(pb::Shop { display_name: "Other".to_owned(), ..Default::default() }),
            shop_id: "another".to_owned(),
            ..Default::default()
        };
        shop.admin_as(&shop.operator_key).create_shop(other).await.unwrap();
        run(&shop, "UPDATE shops SET doc = '!' || doc WHERE id = $1", "shops/another").await;

        shop.clock.advance(DAY + MINUTE);

        abandoned(&shop, &cart).await;
    }
}
