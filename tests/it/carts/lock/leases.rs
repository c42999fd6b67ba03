//! Tests how a hold begins, is renewed by heartbeats, and expires.

use super::*;
use clientela::execute;
use clientela::store::Locks;
use futures::FutureExt as _;

use crate::harness::{eventually, violations};

on_both! {
    a_hold_is_taken_once_and_again_only_by_its_holder;
    a_heartbeat_extends_the_lease_and_makes_no_version;
    an_expired_lease_holds_nothing_and_its_end_is_sent_once;
    a_heartbeat_after_the_end_restores_no_hold;
    leases_expire_once_with_any_number_of_replicas;
    leases_on_unreadable_carts_delay_no_other_lease;
    leases_and_purposes_have_limits;
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
    // The same purpose is a heartbeat. Another purpose is a new version.
    assert_eq!(version_of(&again), version_of(&first));
    assert_eq!(otherwise.version, first.version + 1);
    let (was, is) = (first.lock.unwrap(), otherwise.lock.unwrap());
    assert_eq!(
        (is.purpose.as_str(), is.acquire_time),
        ("Complaint", was.acquire_time)
    );
}

async fn a_heartbeat_extends_the_lease_and_makes_no_version(shop: Shop) {
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
    // The hold continues past the first end. A version that is written meanwhile does not move the new end.
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
        causes(&watch, &cart.name),
        [(Kind::ItemAdded, "staff/anna".to_owned())]
    );
}

async fn an_expired_lease_holds_nothing_and_its_end_is_sent_once(shop: Shop) {
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
    // Either the write or the search finds the end. It is sent before the write, once, and without an actor.
    assert_eq!(
        causes(&watch, &cart.name),
        [
            (Kind::LockExpired, String::new()),
            (Kind::ItemAdded, ben()),
            (Kind::Locked, ben())
        ]
    );
}

/// The end of the lease may or may not be written already.
async fn a_heartbeat_after_the_end_restores_no_hold(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let (mut anna, mut ben) = (
        acting(&shop, "staff/anna").await,
        acting(&shop, "staff/ben").await,
    );
    take(&mut anna, &cart.name).await;
    shop.clock.advance(Duration::from_secs(120));

    let late = renew(&mut anna, &cart.name, 60).await.unwrap_err();
    let seen = shop.get(named(&cart.name)).await;
    let too_late = release(&mut anna, &cart.name, false).await.unwrap();
    let bens = take(&mut ben, &cart.name).await;
    let others = renew(&mut anna, &cart.name, 60).await.unwrap_err();
    let anothers = release(&mut anna, &cart.name, false).await.unwrap_err();

    assert_refused(&late, Code::FailedPrecondition, ErrorReason::CartNotLocked);
    assert_eq!((seen.lock, too_late.lock), (None, None));
    for refused in [others, anothers] {
        assert_locked(&refused);
        let metadata = refused.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["holder"], "staff/ben");
        assert_eq!(metadata["expire_time"], "2027-01-15T08:04:00Z");
    }
    assert_eq!(shop.get(named(&cart.name)).await, bens);
}

async fn leases_expire_once_with_any_number_of_replicas(shop: Shop) {
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
    // When the last lease has ended, every replica has searched again.
    shop.clock.advance(Duration::from_secs(60));
    watch
        .until("the end of the last", |seen| {
            seen.carts.values().all(|cart| cart.lock.is_none())
        })
        .await;

    for cart in held.iter().chain([&kept]) {
        assert_eq!(
            causes(&watch, &cart.name),
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

async fn leases_and_purposes_have_limits(shop: Shop) {
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

async fn leases_on_unreadable_carts_delay_no_other_lease(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    // These are more leases than one search processes.
    for _ in 0..70 {
        shop.add(of(&visitor()), item("shirt", 1)).await;
    }
    let held = take(&mut acting(&shop, "staff/anna").await, &cart.name).await;
    let id = cart.name.trim_start_matches("carts/").to_owned();
    let corrupted = shop.store().write_with(Locks::none(), id, |tx, id| {
        async move { Ok(execute!(tx, sqlx::query(CORRUPT).bind(id))?) }.boxed()
    });
    assert_eq!(corrupted.await.unwrap(), 70);

    shop.clock.advance(Duration::from_secs(121));

    eventually("the end of the lease", || async {
        let now = shop.get(named(&cart.name)).await;
        (now.version > held.version).then_some(())
    })
    .await;
}

/// Stores leases that expired long ago, on carts whose documents cannot be read.
const CORRUPT: &str = "UPDATE carts
    SET doc = '!' || doc, lock_holder = 'staff/ben', lock_expire_time = 1 WHERE id <> $1";
