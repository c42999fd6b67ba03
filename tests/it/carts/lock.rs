//! Tests carts that a member of staff holds, on both engines. The clock is held, so that a test decides when
//! leases expire.

mod leases;
mod surroundings;

use std::time::Duration;

use clientela::clock::Clock;
use clientela::proto::pb::{
    self, Cart, ErrorReason, Role, cart_cause::Kind, cart_service_client::CartServiceClient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Carts, item, lines, named, of, visitor};
use crate::harness::store::START;
use crate::harness::{CartWatch, Engine, Setup, Shop, Transport, assert_refused, unique};
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
                super::$name($crate::carts::lock::shop($crate::harness::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name($crate::carts::lock::shop($crate::harness::Engine::Postgres).await).await;
            }
        }
    )* };
}
use on_both;

on_both! {
    only_the_holder_changes_a_held_cart;
    changes_by_the_holder_name_the_acting_person;
    a_hold_is_ended_by_its_holder_or_by_force;
    a_repeated_hold_is_one_and_a_stale_or_absent_cart_is_refused;
}

/// Returns a client with a key of support that acts as this person.
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

/// Returns the seconds from the beginning of the test until the lease ends.
fn end(cart: &Cart) -> Option<i64> {
    let end = cart.lock.as_ref()?.expire_time.as_ref()?;
    Some(end.seconds - START / 1_000_000)
}

/// Returns the stored version of a cart, without the fields that are filled when it is read.
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

/// Returns the causes and actors that the watch received of a cart, in order.
fn causes(watch: &CartWatch, cart: &str) -> Vec<(Kind, String)> {
    let changes = watch.changes.iter().filter(|change| change.name == cart);
    changes
        .flat_map(|change| &change.causes)
        .map(|cause| (cause.kind(), cause.actor.clone()))
        .collect()
}

fn assert_locked(refused: &Status) {
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::CartLocked);
}

async fn only_the_holder_changes_a_held_cart(shop: Shop) {
    let owner = visitor();
    let cart = shop.add(of(&owner), item("shirt", 1)).await;
    let name = cart.name.as_str();
    let key = shop.key(&[Role::Support]).await;
    take(&mut acting_with(&shop, &key, "staff/anna"), name).await;
    let held = shop.get(named(name)).await;
    let line = cart.items[0].name.clone();

    // The clients are the shopper, a colleague with the same key, Anna with another key, and an admin.
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

/// Returns how the calls of a client are refused for a cart that another person holds.
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
    // The quantity is the current one: the call is refused even if it would change nothing.
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

async fn changes_by_the_holder_name_the_acting_person(shop: Shop) {
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
        causes(&watch, &cart.name),
        [
            (Kind::Locked, anna()),
            (Kind::ItemAdded, anna()),
            (Kind::Unlocked, anna())
        ]
    );
    assert_eq!(watch.changes[0].cart, Some(version_of(&held)));
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
        causes(&watch, &cart.name),
        [
            (Kind::Unlocked, "staff/chief".to_owned()),
            (Kind::Locked, "staff/ben".to_owned())
        ]
    );
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
