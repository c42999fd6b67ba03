//! Carts that a member of staff holds, on both engines; the clock is held too, so that leases run out
//! when a test says so.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::proto::pb::{
    self, Cart, ErrorReason, Role, cart_cause::Kind, cart_service_client::CartServiceClient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Carts, EURO, customer, item, lines, named, of, total, visitor};
use crate::harness::store::START;
use crate::harness::{
    CartWatch, Engine, Setup, Shop, Transport, assert_refused, eventually, unique, violations,
};
use crate::watch::every;

type Client = CartServiceClient<Transport>;

/// A shop whose clock is held.
async fn shop(engine: Engine) -> Shop {
    Shop::start_with(engine, setup(Clock::held_at(START))).await
}

fn setup(clock: Clock) -> Setup {
    Setup {
        clock,
        ..Setup::default()
    }
}

/// Runs tests on both engines.
macro_rules! on_both {
    ($($name:ident;)*) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(super::shop(super::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(super::shop(super::Engine::Postgres).await).await;
            }
        }
    )* };
}

on_both! {
    who_does_not_hold_a_cart_changes_nothing_in_it;
    what_the_holder_does_is_told_with_the_acting_person;
    a_hold_is_taken_once_and_again_only_by_its_holder;
    a_heartbeat_moves_the_end_and_is_no_news;
    a_lease_that_ran_out_holds_nothing_and_its_end_is_told_once;
    leases_run_out_by_themselves_once_however_many_look;
    a_hold_is_ended_by_its_holder_or_by_force;
    work_of_the_service_goes_on_in_a_held_cart;
    held_carts_are_found_and_show_until_when;
    a_lease_has_its_range_and_a_purpose_its_length;
    a_repeated_hold_is_one_and_a_stale_or_absent_cart_is_refused;
    an_order_ends_the_hold_of_who_orders;
    a_held_cart_is_not_expired;
    who_registers_while_the_cart_is_held_leaves_it_the_visitor_s;
}

/// A client with a key of support, acting as somebody.
async fn acting(shop: &Shop, person: &str) -> Client {
    let key = shop.key(&[Role::Support]).await;
    acting_with(shop, &key, person)
}

fn acting_with(shop: &Shop, key: &str, person: &str) -> Client {
    let keyed = Shop::with_key(key).and("clientela-actor", person);
    CartServiceClient::with_interceptor(shop.channel(), keyed)
}

fn taking(cart: &str, purpose: &str) -> pb::LockCartRequest {
    pb::LockCartRequest {
        target: named(cart),
        purpose: purpose.into(),
        ..Default::default()
    }
}

async fn take(client: &mut Client, cart: &str) -> Cart {
    let answer = client.lock_cart(taking(cart, "Telephone order")).await;
    answer.expect("the cart is free").into_inner()
}

async fn renew(client: &mut Client, cart: &str, seconds: i64) -> Result<Cart, Status> {
    let request = pb::RenewCartLockRequest {
        name: cart.into(),
        lease: Some(prost_types::Duration { seconds, nanos: 0 }),
    };
    Ok(client.renew_cart_lock(request).await?.into_inner())
}

async fn release(client: &mut Client, cart: &str, force: bool) -> Result<Cart, Status> {
    let request = pb::UnlockCartRequest {
        name: cart.into(),
        force,
        ..Default::default()
    };
    Ok(client.unlock_cart(request).await?.into_inner())
}

fn adding(cart: &str, product: &str) -> pb::AddItemRequest {
    pb::AddItemRequest {
        target: named(cart),
        item: Some(item(product, 1)),
        ..Default::default()
    }
}

/// Seconds from the beginning of the test until the lease ends.
fn end(cart: &Cart) -> Option<i64> {
    let end = cart.lock.as_ref()?.expire_time.as_ref()?;
    Some(end.seconds - START / 1_000_000)
}

/// The cart as a version of it, without what only a look at it tells.
fn version_of(cart: &Cart) -> Cart {
    let mut cart = cart.clone();
    if let Some(lock) = &mut cart.lock {
        lock.expire_time = None;
    }
    cart
}

async fn watched(shop: &Shop) -> CartWatch {
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;
    watch
}

/// What was told of a cart and of whom, in its order.
fn told(watch: &CartWatch, cart: &str) -> Vec<(Kind, String)> {
    let changes = watch.changes.iter().filter(|change| change.name == cart);
    changes
        .flat_map(|change| &change.causes)
        .map(|cause| (cause.kind(), cause.actor.clone()))
        .collect()
}

fn assert_locked(refused: &Status) {
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::CartLocked);
}

async fn who_does_not_hold_a_cart_changes_nothing_in_it(shop: Shop) {
    let owner = visitor();
    let cart = shop.add(of(&owner), item("shirt", 1)).await;
    let name = cart.name.as_str();
    let key = shop.key(&[Role::Support]).await;
    take(&mut acting_with(&shop, &key, "staff/anna"), name).await;
    let held = shop.get(named(name)).await;
    let line = cart.items[0].name.clone();

    // The shopper, a colleague with the same key, Anna with another key, and an admin.
    let storefront = shop.key(&[Role::Storefront]).await;
    let mut shopper = shop.carts_as(&storefront);
    let refused = shopper
        .add_item(pb::AddItemRequest {
            target: of(&owner),
            ..adding("", "hat")
        })
        .await
        .unwrap_err();
    assert_locked(&refused);
    let metadata = refused.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["holder"], "staff/anna");
    assert_eq!(metadata["purpose"], "Telephone order");
    assert_eq!(metadata["expire_time"], "2027-01-15T08:02:00Z");
    let colleague = acting_with(&shop, &key, "staff/ben");
    let elsewhere = acting(&shop, "staff/anna").await;
    for client in [shopper, colleague, elsewhere, shop.carts()] {
        for refused in refusals(client, name, &line).await {
            assert_locked(&refused);
        }
    }

    assert_eq!(shop.get(named(name)).await, held);
}

/// What everybody may call is told of a cart that another holds.
async fn refusals(mut client: Client, name: &str, line: &str) -> Vec<Status> {
    let target = || named(name);
    let cart = Some(Cart {
        name: name.into(),
        note: "x".into(),
        ..Default::default()
    });
    let update = pb::UpdateCartRequest {
        cart,
        ..Default::default()
    };
    let check = pb::UpdateCartRequest {
        validate_only: true,
        ..update.clone()
    };
    // The quantity that it has: who may not edit is told so, also where nothing would change.
    let set = pb::UpdateItemRequest {
        name: line.into(),
        quantity: Some(1),
        ..Default::default()
    };
    let remove = pb::RemoveItemRequest {
        name: line.into(),
        ..Default::default()
    };
    let clear = pb::ClearCartRequest {
        target: target(),
        ..Default::default()
    };
    let assign = pb::AssignCartRequest {
        target: target(),
        customer: "customers/nobody".into(),
        ..Default::default()
    };
    let order = pb::OrderCartRequest {
        target: target(),
        order_reference: "held".into(),
        ..Default::default()
    };
    let freeze = pb::FreezeCartRequest {
        target: target(),
        ..Default::default()
    };
    let unfreeze = pb::UnfreezeCartRequest {
        target: target(),
        ..Default::default()
    };
    let delete = pb::DeleteCartRequest {
        target: target(),
        ..Default::default()
    };
    vec![
        client.add_item(adding(name, "hat")).await.unwrap_err(),
        client.update_cart(update).await.unwrap_err(),
        client.update_cart(check).await.unwrap_err(),
        client.update_item(set).await.unwrap_err(),
        client.remove_item(remove).await.unwrap_err(),
        client.clear_cart(clear).await.unwrap_err(),
        client.assign_cart(assign).await.unwrap_err(),
        client.order_cart(order).await.unwrap_err(),
        client.freeze_cart(freeze).await.unwrap_err(),
        client.unfreeze_cart(unfreeze).await.unwrap_err(),
        client.delete_cart(delete).await.unwrap_err(),
    ]
}

async fn what_the_holder_does_is_told_with_the_acting_person(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let mut watch = watched(&shop).await;

    let held = take(&mut anna, &cart.name).await;
    let grown = anna
        .add_item(adding(&cart.name, "hat"))
        .await
        .unwrap()
        .into_inner();
    let free = release(&mut anna, &cart.name, false).await.unwrap();

    let lock = held.lock.as_ref().unwrap();
    assert_eq!(
        (lock.holder.as_str(), lock.purpose.as_str()),
        ("staff/anna", "Telephone order")
    );
    assert!(lock.api_key.starts_with("apiKeys/"));
    assert_eq!(lock.acquire_time, held.update_time);
    assert_eq!(lines(&grown), [("shirt", 1), ("hat", 1)]);
    assert_eq!(free.lock, None);
    watch
        .until("the end of the hold", |seen| seen.carts[&cart.name] == free)
        .await;
    let anna = || "staff/anna".to_owned();
    assert_eq!(
        told(&watch, &cart.name),
        [
            (Kind::Locked, anna()),
            (Kind::ItemAdded, anna()),
            (Kind::Unlocked, anna())
        ]
    );
    assert_eq!(watch.changes[0].cart, Some(version_of(&held)));
}

async fn a_hold_is_taken_once_and_again_only_by_its_holder(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let (mut anna, mut ben) = (
        acting(&shop, "staff/anna").await,
        acting(&shop, "staff/ben").await,
    );
    let first = take(&mut anna, &cart.name).await;
    shop.clock.advance(Duration::from_secs(60));

    let taken = ben.lock_cart(taking(&cart.name, "")).await.unwrap_err();
    let again = take(&mut anna, &cart.name).await;
    let otherwise = anna
        .lock_cart(taking(&cart.name, "Complaint"))
        .await
        .unwrap()
        .into_inner();

    assert_locked(&taken);
    assert_eq!(
        (end(&first), end(&again), end(&otherwise)),
        (Some(120), Some(180), Some(180))
    );
    // The same purpose is a heartbeat; another one is a version.
    assert_eq!(version_of(&again), version_of(&first));
    assert_eq!(otherwise.version, first.version + 1);
    let (was, is) = (first.lock.unwrap(), otherwise.lock.unwrap());
    assert_eq!(
        (is.purpose.as_str(), is.acquire_time),
        ("Complaint", was.acquire_time)
    );
}

async fn a_heartbeat_moves_the_end_and_is_no_news(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let (mut anna, mut ben) = (
        acting(&shop, "staff/anna").await,
        acting(&shop, "staff/ben").await,
    );
    let free = renew(&mut anna, &cart.name, 60).await.unwrap_err();
    let held = take(&mut anna, &cart.name).await;
    let mut watch = watched(&shop).await;
    shop.clock.advance(Duration::from_secs(100));

    let renewed = renew(&mut anna, &cart.name, 60).await.unwrap();
    let others = renew(&mut ben, &cart.name, 60).await.unwrap_err();
    let absent = renew(&mut ben, "carts/nobody", 60).await.unwrap_err();

    assert_refused(&free, Code::FailedPrecondition, ErrorReason::CartNotLocked);
    assert_locked(&others);
    assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
    assert_eq!((end(&held), end(&renewed)), (Some(120), Some(160)));
    assert_eq!(version_of(&renewed), version_of(&held));
    assert_eq!(shop.get(named(&cart.name)).await, renewed);
    // Past the first end the hold goes on, and a version that is written meanwhile does not move it.
    shop.clock.advance(Duration::from_secs(30));
    let grown = anna
        .add_item(adding(&cart.name, "hat"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(grown.version, held.version + 1);
    assert_eq!(end(&shop.get(named(&cart.name)).await), Some(160));
    watch
        .until("the edit", |seen| seen.carts[&cart.name] == grown)
        .await;
    assert_eq!(
        told(&watch, &cart.name),
        [(Kind::ItemAdded, "staff/anna".to_owned())]
    );
}

async fn a_lease_that_ran_out_holds_nothing_and_its_end_is_told_once(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let (mut anna, mut ben) = (
        acting(&shop, "staff/anna").await,
        acting(&shop, "staff/ben").await,
    );
    take(&mut anna, &cart.name).await;
    let mut watch = watched(&shop).await;
    shop.clock.advance(Duration::from_micros(119_999_999));
    assert_locked(&ben.add_item(adding(&cart.name, "hat")).await.unwrap_err());

    shop.clock.advance(Duration::from_micros(1));
    let grown = ben
        .add_item(adding(&cart.name, "hat"))
        .await
        .unwrap()
        .into_inner();
    let late = renew(&mut anna, &cart.name, 60).await.unwrap_err();
    let bens = take(&mut ben, &cart.name).await;

    assert_eq!(grown.lock, None);
    assert_refused(&late, Code::FailedPrecondition, ErrorReason::CartNotLocked);
    watch
        .until("the new hold", |seen| {
            seen.carts[&cart.name] == version_of(&bens)
        })
        .await;
    let ben = || "staff/ben".to_owned();
    // Whether the write or the look found it: before the write, once, and nobody's doing.
    assert_eq!(
        told(&watch, &cart.name),
        [
            (Kind::LockExpired, String::new()),
            (Kind::ItemAdded, ben()),
            (Kind::Locked, ben())
        ]
    );
}

async fn leases_run_out_by_themselves_once_however_many_look(shop: Shop) {
    let mut anna = acting(&shop, "staff/anna").await;
    let mut replicas = Vec::new();
    if shop.engine == Engine::Postgres {
        for _ in 0..2 {
            replicas.push(shop.replica(setup(shop.clock.clone())).await);
        }
    }
    let mut held = Vec::new();
    for _ in 0..20 {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        held.push(take(&mut anna, &cart.name).await);
    }
    let kept = held.pop().unwrap();
    let mut watch = watched(&shop).await;
    let before = shop.get(named(&held[0].name)).await;
    renew(&mut anna, &kept.name, 180).await.unwrap();

    shop.clock.advance(Duration::from_secs(120));
    watch
        .until("the end of all leases but one", |seen| {
            seen.carts
                .values()
                .filter(|cart| cart.lock.is_some())
                .count()
                == 1
        })
        .await;
    // Everybody has looked again when what ran out later has ended as well.
    shop.clock.advance(Duration::from_secs(60));
    watch
        .until("the end of the last", |seen| {
            seen.carts.values().all(|cart| cart.lock.is_none())
        })
        .await;

    for cart in held.iter().chain([&kept]) {
        assert_eq!(
            told(&watch, &cart.name),
            [(Kind::LockExpired, String::new())]
        );
        assert_eq!(shop.get(named(&cart.name)).await.version, cart.version + 1);
    }
    let after = shop.get(named(&held[0].name)).await;
    assert_eq!(after.activity_time, before.activity_time);
    for replica in replicas {
        replica.stop().await;
    }
}

async fn a_hold_is_ended_by_its_holder_or_by_force(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let (mut anna, mut ben) = (
        acting(&shop, "staff/anna").await,
        acting(&shop, "staff/ben").await,
    );
    take(&mut anna, &cart.name).await;
    let mut watch = watched(&shop).await;

    let others = release(&mut ben, &cart.name, false).await.unwrap_err();
    let by_force = release(&mut ben, &cart.name, true).await.unwrap_err();
    let held_by_anna = release(&mut shop.carts(), &cart.name, false)
        .await
        .unwrap_err();
    let key = shop.admin_key.clone();
    let free = release(
        &mut acting_with(&shop, &key, "staff/chief"),
        &cart.name,
        true,
    )
    .await
    .unwrap();
    let again = release(&mut ben, &cart.name, false).await.unwrap();
    let absent = release(&mut ben, "carts/nobody", false).await.unwrap_err();
    let bens = take(&mut ben, &cart.name).await;

    assert_locked(&others);
    assert_locked(&held_by_anna);
    assert_refused(
        &by_force,
        Code::PermissionDenied,
        ErrorReason::FieldNotWritable,
    );
    assert_eq!((&free.lock, &again), (&None, &free));
    assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
    assert_eq!(bens.lock.as_ref().unwrap().holder, "staff/ben");
    watch
        .until("the new hold", |seen| {
            seen.carts[&cart.name] == version_of(&bens)
        })
        .await;
    assert_eq!(
        told(&watch, &cart.name),
        [
            (Kind::Unlocked, "staff/chief".to_owned()),
            (Kind::Locked, "staff/ben".to_owned())
        ]
    );
}

async fn work_of_the_service_goes_on_in_a_held_cart(shop: Shop) {
    let group = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: [("en".to_owned(), "Trade".to_owned())].into(),
            ..Default::default()
        }),
        group_id: "trade".into(),
        ..Default::default()
    };
    shop.groups().create_group(group).await.unwrap();
    let registration = pb::CreateCustomerRequest {
        customer: Some(pb::Customer {
            email: "ada@example.test".into(),
            groups: vec!["groups/trade".into()],
            default_group: "groups/trade".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let ada = shop
        .customers()
        .create_customer(registration)
        .await
        .unwrap()
        .into_inner();
    let cart = shop.add(of(&customer(&ada.name)), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let held = take(&mut anna, &cart.name).await;
    let mut watch = watched(&shop).await;
    shop.clock.advance(Duration::from_secs(60));

    let change = pb::UpdateGroupRequest {
        group: Some(pb::Group {
            name: "groups/trade".into(),
            discount_percent: "50".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    shop.groups().update_group(change).await.unwrap();
    watch
        .until("the new price", |seen| {
            total(&seen.carts[&cart.name]) == 5 * EURO
        })
        .await;

    let repriced = shop.get(named(&cart.name)).await;
    assert_eq!(repriced.lock, held.lock);
    assert_eq!(watch.changes[0].causes[0].kind(), Kind::Repriced);
    // The work of the service is nobody's activity, whoever made it necessary.
    assert_eq!(repriced.activity_time, held.activity_time);
    assert_ne!(repriced.update_time, held.update_time);
}

async fn held_carts_are_found_and_show_until_when(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let filter = "lock.holder = \"staff/anna\"";
    let request = pb::WatchCartsRequest {
        filter: filter.into(),
        ..every()
    };
    let mut watch = CartWatch::open(&mut shop.carts(), request).await.unwrap();
    assert_eq!(watch.snapshot().await, 0);

    let held = take(&mut anna, &cart.name).await;
    let list = |filter: &str| pb::ListCartsRequest {
        filter: filter.into(),
        ..Default::default()
    };
    let page = shop
        .carts()
        .list_carts(list(filter))
        .await
        .unwrap()
        .into_inner();
    let others = shop
        .carts()
        .list_carts(list("lock.holder = \"staff/ben\""))
        .await
        .unwrap();

    assert_eq!(end(&held), Some(120));
    assert_eq!(page.carts, std::slice::from_ref(&held));
    assert!(others.into_inner().carts.is_empty());
    watch
        .until("the held cart", |seen| seen.carts.len() == 1)
        .await;
    assert_eq!(watch.carts[&cart.name], version_of(&held));
    release(&mut anna, &cart.name, false).await.unwrap();
    watch.until("its end", |seen| seen.carts.is_empty()).await;
}

async fn a_lease_has_its_range_and_a_purpose_its_length(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let lease = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let with = |lease| pb::LockCartRequest {
        lease,
        ..taking(&cart.name, "")
    };

    for (seconds, nanos) in [(0, 0), (9, 999_999_999), (900, 1), (-60, 0), (i64::MAX, 0)] {
        let lock = anna
            .lock_cart(with(lease(seconds, nanos)))
            .await
            .unwrap_err();
        let request = pb::RenewCartLockRequest {
            name: cart.name.clone(),
            lease: lease(seconds, nanos),
        };
        let renewal = anna.renew_cart_lock(request).await.unwrap_err();
        for refused in [lock, renewal] {
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
            assert_eq!(
                violations(&refused),
                [("lease".to_owned(), "OUT_OF_RANGE".to_owned())]
            );
        }
    }
    let long = anna
        .lock_cart(taking(&cart.name, &"é".repeat(256)))
        .await
        .unwrap_err();
    assert_refused(&long, Code::InvalidArgument, ErrorReason::InvalidField);
    assert_eq!(violations(&long)[0].0, "purpose");
    let no_name = renew(&mut anna, "", 60).await.unwrap_err();
    assert_refused(&no_name, Code::InvalidArgument, ErrorReason::InvalidField);
    assert_eq!(shop.get(named(&cart.name)).await, cart);

    let shortest = anna
        .lock_cart(with(lease(10, 0)))
        .await
        .unwrap()
        .into_inner();
    let longest = anna
        .lock_cart(with(lease(900, 0)))
        .await
        .unwrap()
        .into_inner();
    let purpose = "é".repeat(255);
    let wordy = anna
        .lock_cart(taking(&cart.name, &purpose))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (end(&shortest), end(&longest), end(&wordy)),
        (Some(10), Some(900), Some(120))
    );
    assert_eq!(wordy.lock.unwrap().purpose, purpose);
}

async fn a_repeated_hold_is_one_and_a_stale_or_absent_cart_is_refused(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let request = pb::LockCartRequest {
        lease: Some(prost_types::Duration {
            seconds: 300,
            nanos: 0,
        }),
        etag: cart.etag.clone(),
        request_id: format!("lock-{}", unique()),
        ..taking(&cart.name, "Telephone order")
    };

    let first = anna.lock_cart(request.clone()).await.unwrap().into_inner();
    shop.clock.advance(Duration::from_secs(60));
    let second = anna.lock_cart(request.clone()).await.unwrap().into_inner();
    let stale = pb::LockCartRequest {
        request_id: String::new(),
        ..request.clone()
    };
    let stale = anna.lock_cart(stale).await.unwrap_err();
    let other = pb::LockCartRequest {
        purpose: "Complaint".into(),
        ..request
    };
    let other = anna.lock_cart(other).await.unwrap_err();
    let absent = anna
        .lock_cart(taking("carts/nobody", ""))
        .await
        .unwrap_err();
    let no_cart = pb::LockCartRequest {
        target: of(&visitor()),
        ..Default::default()
    };
    let no_cart = anna.lock_cart(no_cart).await.unwrap_err();

    assert_eq!((&first, end(&first)), (&second, Some(300)));
    assert_eq!(shop.get(named(&cart.name)).await, first);
    assert_refused(&stale, Code::Aborted, ErrorReason::EtagMismatch);
    assert_refused(&other, Code::InvalidArgument, ErrorReason::RequestIdReused);
    for absent in [absent, no_cart] {
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
    }
    let unlock = pb::UnlockCartRequest {
        name: cart.name.clone(),
        request_id: format!("unlock-{}", unique()),
        ..Default::default()
    };
    let free = anna.unlock_cart(unlock.clone()).await.unwrap().into_inner();
    take(&mut anna, &cart.name).await;
    assert_eq!(anna.unlock_cart(unlock).await.unwrap().into_inner(), free);
    assert!(shop.get(named(&cart.name)).await.lock.is_some());
}

async fn an_order_ends_the_hold_of_who_orders(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    take(&mut anna, &cart.name).await;
    let mut watch = watched(&shop).await;
    let order = pb::OrderCartRequest {
        target: named(&cart.name),
        order_reference: "by telephone".into(),
        ..Default::default()
    };

    let ordered = anna.order_cart(order).await.unwrap().into_inner();
    let lock = anna.lock_cart(taking(&cart.name, "")).await.unwrap_err();
    let renewal = renew(&mut anna, &cart.name, 60).await.unwrap_err();
    let release = release(&mut anna, &cart.name, false).await.unwrap_err();

    assert_eq!(ordered.lock, None);
    for closed in [lock, renewal, release] {
        assert_refused(&closed, Code::FailedPrecondition, ErrorReason::CartNotOpen);
    }
    watch
        .until("the order", |seen| seen.carts[&cart.name] == ordered)
        .await;
    let kinds: Vec<Kind> = told(&watch, &cart.name)
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, [Kind::Ordered, Kind::Unlocked]);
}

async fn a_held_cart_is_not_expired(shop: Shop) {
    let settings = pb::UpdateShopSettingsRequest {
        settings: Some(pb::ShopSettings {
            name: "shops/default/settings".into(),
            visitor_cart_retention_days: Some(1),
            ..Default::default()
        }),
        ..Default::default()
    };
    shop.admin().update_shop_settings(settings).await.unwrap();
    let held = shop.add(of(&visitor()), item("shirt", 1)).await;
    let free = shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let lease = Some(prost_types::Duration {
        seconds: 900,
        nanos: 0,
    });
    let request = pb::LockCartRequest {
        lease,
        ..taking(&held.name, "")
    };
    let held = anna.lock_cart(request).await.unwrap().into_inner();

    for _ in 0..25 * 4 {
        shop.clock.advance(Duration::from_secs(899));
        renew(&mut anna, &held.name, 900).await.unwrap();
    }

    eventually("the end of the free cart", || async {
        shop.try_get(named(&free.name)).await.err()
    })
    .await;
    let kept = shop.get(named(&held.name)).await;
    assert_eq!(version_of(&kept), version_of(&held));
}

async fn who_registers_while_the_cart_is_held_leaves_it_the_visitor_s(shop: Shop) {
    let owner = visitor();
    let cart = shop.add(of(&owner), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let held = take(&mut anna, &cart.name).await;
    let Some(pb::cart_owner::Owner::Visitor(token)) = owner.owner else {
        panic!("a visitor")
    };
    let request = pb::CreateCustomerRequest {
        customer: Some(pb::Customer {
            email: "ada@example.test".into(),
            ..Default::default()
        }),
        visitor: token,
        ..Default::default()
    };

    shop.customers().create_customer(request).await.unwrap();

    assert_eq!(shop.get(named(&cart.name)).await, held);
}
