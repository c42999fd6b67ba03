//! Tests when a cart was last changed, when it counts as abandoned, and how it is recovered.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::proto::pb::cart::{Abandonment, State};
use clientela::proto::pb::cart_cause::Kind;
use clientela::proto::pb::{self, CartOwner, DeliveryMode, WatchCartsRequest, WatchOptions};
use clientela::store::{Conn, Store, StoreConfig, Tx};
use clientela::{execute, on};
use futures::FutureExt as _;

use super::upkeep::{operations, set_discount};
use super::{Carts, customer, in_slot, item, named, of, set, visitor};
use crate::harness::{CartWatch, Engine, PATIENCE, Setup, Shop, eventually, store::START, unique};
use crate::on_both_engines;

const MINUTE: Duration = Duration::from_secs(60);
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub const MICRO: Duration = Duration::from_micros(1);

/// Opens a watch that receives every version from now on.
pub async fn watch(shop: &Shop) -> CartWatch {
    let options = WatchOptions {
        delivery_mode: DeliveryMode::Every.into(),
        ..Default::default()
    };
    let request = WatchCartsRequest {
        options: Some(options),
        ..Default::default()
    };
    let mut watch = CartWatch::open(&mut shop.carts(), request).await.unwrap();
    watch.snapshot().await;
    watch
}

/// Returns the causes of each change of a cart that the watch received.
pub fn causes(watch: &CartWatch, name: &str) -> Vec<Vec<Kind>> {
    let changes = watch.changes.iter().filter(|change| change.name == name);
    changes
        .map(|change| change.causes.iter().map(pb::CartCause::kind).collect())
        .collect()
}

pub(super) async fn abandoned(shop: &Shop, name: &str) -> pb::Cart {
    let look = || async {
        let cart = shop.get(named(name)).await;
        (cart.abandonment() == Abandonment::Abandoned).then_some(cart)
    };
    eventually("the cart is abandoned", look).await
}

/// Waits until a cart that is younger than all others is abandoned. Then every other due cart is abandoned
/// too, because the carts that were idle longest come first.
async fn after_a_search(shop: &Shop) {
    let cart = shop.add(of(&visitor()), item("sentinel", 1)).await;
    shop.clock.advance(DAY + MICRO);
    abandoned(shop, &cart.name).await;
}

fn micros(time: Option<&prost_types::Timestamp>) -> i64 {
    clientela::feed::micros(time.expect("a time"))
}

async fn a_customer(shop: &Shop, name: &str) -> pb::Customer {
    let request = pb::CreateCustomerRequest {
        customer: Some(pb::Customer {
            email: format!("{name}.{}@example.test", unique()),
            first_name: name.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    shop.customers()
        .create_customer(request)
        .await
        .unwrap()
        .into_inner()
}

/// The clock is held, and no job does anything.
fn without_jobs() -> Setup {
    let mut setup = Setup::held();
    setup.jobs.workers = 0;
    setup
}

/// Stops the server, stores a hold by staff until `until` in the cart, and starts the server again.
pub async fn hold_until(shop: &mut Shop, name: &str, until: i64) {
    shop.stop().await;
    let config = StoreConfig::new(shop.database());
    let store = Store::open(&config, Clock::held_at(START)).await.unwrap();
    let id = name.rsplit('/').next().unwrap().to_owned();
    let written = store
        .write(clientela::store::Locks::none(), move |tx| {
            let id = id.clone();
            async move { hold(tx, &id, until).await }.boxed()
        })
        .await;
    written.unwrap();
    store.close().await;
    let setup = Setup {
        clock: shop.clock.clone(),
        ..Setup::default()
    };
    shop.start_again(setup).await;
}

async fn hold(tx: &mut Tx, id: &str, until: i64) -> Result<(), clientela::error::Error> {
    let doc = doc(tx, id).await?;
    let mut doc: serde_json::Value = serde_json::from_str(&doc).unwrap();
    doc["lock"] = serde_json::json!({"holder": "staff/anna", "key_id": "k", "acquire_time": START});
    let doc = doc.to_string();
    execute!(
        tx,
        sqlx::query(
            "UPDATE carts SET doc = $1, lock_holder = 'staff/anna', lock_expire_time = $2
             WHERE id = $3"
        )
        .bind(&doc)
        .bind(until)
        .bind(id)
    )?;
    Ok(())
}

async fn doc(conn: &mut Conn, id: &str) -> Result<String, clientela::error::Error> {
    Ok(on!(conn, |e| sqlx::query_scalar(
        "SELECT doc FROM carts WHERE id = $1"
    )
    .bind(id)
    .fetch_one(e)
    .await)?)
}

on_both_engines! {
    /// Calls with a request id and without one. The requested state exists already, or the call undoes its
    /// own change.
    async fn a_call_that_changes_nothing_recovers_no_cart(shop: Shop with Setup::held()) {
        let cart = shop.add(of(&visitor()), item("bread", 1)).await;
        shop.clock.advance(DAY + MICRO);
        let left = abandoned(&shop, &cart.name).await;
        shop.clock.advance(MINUTE);
        let mut watch = watch(&shop).await;
        let mut carts = shop.carts();
        let line = &cart.items[0].name;
        let set = |quantity| pb::CartEdit {
            edit: Some(pb::cart_edit::Edit::Set(pb::cart_edit::SetQuantity {
                item: line.clone(),
                quantity,
            })),
        };

        for request_id in ["", "again"] {
            let id = |call: &str| match request_id {
                "" => String::new(),
                id => format!("{call} {id}"),
            };
            let request = pb::UnlockCartRequest {
                name: cart.name.clone(),
                request_id: id("unlock"),
                ..Default::default()
            };
            let answer = carts.unlock_cart(request).await.unwrap().into_inner();
            assert_eq!(answer, left);
            let request = pb::UnfreezeCartRequest {
                target: named(&cart.name),
                request_id: id("unfreeze"),
                ..Default::default()
            };
            carts.unfreeze_cart(request).await.unwrap();
            let request = pb::UpdateItemRequest {
                name: line.clone(),
                quantity: Some(1),
                request_id: id("update"),
                ..Default::default()
            };
            carts.update_item(request).await.unwrap();
            let request = pb::EditCartRequest {
                target: named(&cart.name),
                edits: vec![set(3), set(1)],
                request_id: id("edit"),
                ..Default::default()
            };
            let answer = carts.edit_cart(request).await.unwrap().into_inner();
            assert_eq!(answer, left);
        }

        let sentinel = shop.add(of(&visitor()), item("sentinel", 1)).await;
        watch.until("the sentinel", |watch| watch.carts.contains_key(&sentinel.name)).await;
        assert_eq!(causes(&watch, &cart.name), Vec::<Vec<Kind>>::new());
        assert_eq!(shop.get(named(&cart.name)).await, left);
    }

    /// The write finds a changed discount of the group. The caller did not cause that change.
    async fn a_refresh_by_the_service_recovers_no_cart(shop: Shop with without_jobs()) {
        let cart = shop.add(of(&visitor()), item("bread", 1)).await;
        let since = cart.activity_time;
        shop.clock.advance(MINUTE);
        set_discount(&shop, "groups/visitor", "50").await;

        let request = pb::UnlockCartRequest { name: cart.name.clone(), ..Default::default() };
        let answer = shop.carts().unlock_cart(request).await.unwrap().into_inner();

        assert_eq!(answer.version, cart.version + 1);
        assert_eq!(answer.activity_time, since);
        assert!(answer.update_time != cart.update_time);
    }

    async fn a_cart_that_nobody_changes_is_abandoned_once(shop: Shop with Setup::held()) {
        let mut watch = watch(&shop).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(DAY + MICRO);

        let left = abandoned(&shop, &cart.name).await;
        after_a_search(&shop).await;

        assert_eq!((cart.version, left.version), (1, 2));
        assert_eq!(left.activity_time, cart.activity_time);
        assert_eq!(micros(left.abandon_time.as_ref()), START + 86_400_000_001);
        assert_eq!(left.abandon_time, left.update_time);
        assert_eq!(left.recover_time, None);
        assert_eq!(shop.get(named(&cart.name)).await, left);
        watch.until("the sentinel", |watch| watch.changes.len() >= 4).await;
        assert_eq!(
            causes(&watch, &cart.name),
            [vec![Kind::Created, Kind::ItemAdded], vec![Kind::Abandoned]]
        );
        let cause = &watch.changes[1].causes[0];
        assert_eq!(cause.actor, "");
        assert_eq!(watch.carts[&cart.name], left);
    }

    async fn a_cart_is_not_abandoned_before_its_time(shop: Shop with Setup::held()) {
        let older = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(MICRO);
        let younger = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(DAY);

        abandoned(&shop, &older.name).await;

        assert_eq!(shop.get(named(&younger.name)).await, younger);
    }

    async fn work_of_the_service_is_no_activity_and_recovers_no_cart(shop: Shop with Setup::held()) {
        let ada = a_customer(&shop, "Ada").await;
        let cart = shop.add(of(&customer(&ada.name)), item("shirt", 1)).await;
        let rename = |name: &str| pb::UpdateCustomerRequest {
            customer: Some(pb::Customer {
                name: ada.name.clone(),
                first_name: name.into(),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["first_name".into()] }),
            ..Default::default()
        };
        let renamed = |name: &'static str| {
            let (shop, cart) = (&shop, &cart);
            eventually("the cart shows the new name", move || async move {
                let cart = shop.get(named(&cart.name)).await;
                let shown = cart.customer_summary.as_ref()?.display_name.clone();
                (shown == name).then_some(cart)
            })
        };
        shop.clock.advance(MINUTE);

        shop.customers().update_customer(rename("Grace")).await.unwrap();
        let open = renamed("Grace").await;
        shop.clock.advance(DAY);
        abandoned(&shop, &cart.name).await;
        shop.customers().update_customer(rename("Edsger")).await.unwrap();
        let left = renamed("Edsger").await;

        assert!(open.version > cart.version);
        assert_eq!(open.activity_time, cart.activity_time);
        assert_ne!(open.update_time, cart.update_time);
        assert_eq!(left.activity_time, cart.activity_time);
        assert_eq!(left.abandonment(), Abandonment::Abandoned);
        assert_eq!(left.recover_time, None);
    }

    async fn the_next_change_by_a_caller_recovers_a_cart_once_and_it_can_be_abandoned_again(shop: Shop with Setup::held()) {
        let mut watch = watch(&shop).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(DAY + MICRO);
        let first = abandoned(&shop, &cart.name).await;
        shop.clock.advance(MINUTE);

        let back = shop.add(named(&cart.name), item("hat", 1)).await;
        let again = shop.add(named(&cart.name), item("hat", 1)).await;
        shop.clock.advance(DAY + MICRO);
        let second = abandoned(&shop, &cart.name).await;

        assert_eq!(back.version, first.version + 1);
        assert_eq!(back.abandonment(), Abandonment::Recovered);
        assert_eq!((back.recover_time, back.activity_time), (back.update_time, back.update_time));
        assert_eq!(back.abandon_time, first.abandon_time);
        assert_eq!(again.abandonment(), Abandonment::Recovered);
        assert_eq!(second.recover_time, back.recover_time);
        assert_ne!(second.abandon_time, first.abandon_time);
        watch.until("all changes", |watch| watch.changes.len() >= 5).await;
        assert_eq!(
            causes(&watch, &cart.name),
            [
                vec![Kind::Created, Kind::ItemAdded],
                vec![Kind::Abandoned],
                vec![Kind::Recovered, Kind::ItemAdded],
                vec![Kind::ItemAdded],
                vec![Kind::Abandoned],
            ]
        );
    }

    async fn an_order_of_an_abandoned_cart_sends_both_causes_in_one_change(shop: Shop with Setup::held()) {
        let mut watch = watch(&shop).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(DAY + MICRO);
        abandoned(&shop, &cart.name).await;

        let ordered = shop.try_order(named(&cart.name), "order-1").await.unwrap();

        assert_eq!(ordered.state(), State::Ordered);
        assert_eq!(ordered.abandonment(), Abandonment::Recovered);
        assert_eq!(ordered.recover_time, ordered.order_time);
        watch.until("all changes", |watch| watch.changes.len() >= 3).await;
        let causes = causes(&watch, &cart.name).pop().unwrap();
        assert_eq!(causes, [Kind::Recovered, Kind::Ordered]);
    }

    async fn an_update_recovers_a_cart_too(shop: Shop with Setup::held()) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(DAY + MICRO);
        abandoned(&shop, &cart.name).await;

        let request = pb::UpdateCartRequest {
            cart: Some(pb::Cart {
                name: cart.name.clone(),
                note: "soon".into(),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["note".into()] }),
            ..Default::default()
        };
        let updated = shop.carts().update_cart(request).await.unwrap().into_inner();

        assert_eq!(updated.abandonment(), Abandonment::Recovered);
    }

    async fn empty_saved_and_ordered_carts_are_never_abandoned(shop: Shop with Setup::held()) {
        let request = pb::CreateCartRequest { owner: Some(visitor()), ..Default::default() };
        set(&shop, &["empty_cart_retention_hours"], pb::ShopSettings {
            empty_cart_retention_hours: Some(0),
            ..Default::default()
        }).await;
        let empty = shop.carts().create_cart(request).await.unwrap().into_inner();
        let saved = shop.add(of(&in_slot(&visitor(), "saved")), item("shirt", 1)).await;
        let saved_beside = shop.add(of(&in_slot(&visitor(), "saved-2")), item("shirt", 1)).await;
        let ordered = shop.add(of(&visitor()), item("shirt", 1)).await;
        let ordered = shop.try_order(named(&ordered.name), "order-2").await.unwrap();
        shop.clock.advance(DAY + MICRO);

        after_a_search(&shop).await;

        for cart in [empty, saved, saved_beside, ordered] {
            assert_eq!(shop.get(named(&cart.name)).await, cart);
        }
    }

    async fn the_setting_acts_at_once_and_zero_means_never(shop: Shop with Setup::held()) {
        let after = |minutes| pb::ShopSettings {
            cart_abandoned_after_minutes: Some(minutes),
            ..Default::default()
        };
        let path = ["cart_abandoned_after_minutes"];
        set(&shop, &path, after(0)).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(30 * DAY);
        let empty = pb::CreateCartRequest { owner: Some(visitor()), ..Default::default() };
        let empty = shop.carts().create_cart(empty).await.unwrap().into_inner();
        shop.clock.advance(DAY);
        // The other searches for due carts have run, and abandoned nothing.
        eventually("the empty cart is gone", || async {
            shop.try_get(named(&empty.name)).await.err()
        }).await;
        let kept = shop.get(named(&cart.name)).await;

        set(&shop, &path, after(1)).await;

        abandoned(&shop, &cart.name).await;
        assert_eq!(kept, cart);
    }

    async fn a_cart_that_staff_holds_is_abandoned_only_after_the_hold_ends(shop: Shop with Setup::held()) {
        let mut shop = shop;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        hold_until(&mut shop, &cart.name, START + 3 * 86_400_000_000).await;
        shop.clock.advance(DAY + MICRO);

        after_a_search(&shop).await;
        let held = shop.get(named(&cart.name)).await;
        shop.clock.advance(DAY);
        abandoned(&shop, &cart.name).await;

        assert_eq!(held.abandonment(), Abandonment::Unspecified);
        assert!(held.lock.is_some());
    }

    async fn a_clock_that_jumps_back_abandons_nothing_twice_and_moves_no_time_back(shop: Shop with Setup::held()) {
        let mut shop = shop;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(DAY + MICRO);
        let left = abandoned(&shop, &cart.name).await;
        // A job that is running now would start again when its time comes by the new clock.
        eventually("the work is done", || async {
            let request = pb::ListOperationsRequest {
                filter: "state = PENDING OR state = RUNNING".into(),
                ..Default::default()
            };
            let live = shop.operations().list_operations(request).await.unwrap();
            live.into_inner().operations.is_empty().then_some(())
        }).await;
        shop.stop().await;
        shop.start_again(Setup::held_at(START - 86_400_000_000)).await;

        let back = shop.add(named(&cart.name), item("hat", 1)).await;
        after_a_search(&shop).await;

        assert_eq!(back.update_time, left.update_time);
        assert_eq!(back.activity_time, left.update_time);
        assert_eq!(back.recover_time, left.update_time);
        // Its activity time is in the future by this clock.
        assert_eq!(shop.get(named(&cart.name)).await, back);
    }

    async fn many_carts_are_abandoned_in_several_transactions(shop: Shop with Setup::held()) {
        let owner = visitor();
        let mut names = Vec::new();
        for slot in 0..70 {
            let owner: CartOwner = in_slot(&owner, &format!("slot-{slot}"));
            names.push(shop.add(of(&owner), item("shirt", 1)).await.name);
        }
        shop.clock.advance(DAY + MICRO);

        for name in &names {
            let left = abandoned(&shop, name).await;
            assert_eq!(left.version, 2);
        }
        eventually("the work leaves no operation behind", || async {
            operations(&shop, "kind = ABANDON_CARTS").await.is_empty().then_some(())
        }).await;
    }
}

/// Replicas share the work, and one of them stops while it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_come_and_go_abandon_each_cart_once() {
    let setup = Setup::held();
    let shop = Shop::start_with(Engine::Postgres, setup.clone()).await;
    let mut watch = watch(&shop).await;
    let owner = visitor();
    let mut names = Vec::new();
    for slot in 0..100 {
        let owner = in_slot(&owner, &format!("slot-{slot}"));
        names.push(shop.add(of(&owner), item("shirt", 1)).await.name);
    }
    let (first, second) = (shop.replica(setup.clone()).await, shop.replica(setup).await);

    shop.clock.advance(DAY + MICRO);
    first.stop().await;

    let all = |watch: &CartWatch| {
        let left = |cart: &pb::Cart| cart.abandonment() == Abandonment::Abandoned;
        watch.carts.values().filter(|cart| left(cart)).count() == 100
    };
    tokio::time::timeout(PATIENCE, watch.until("all are abandoned", all))
        .await
        .unwrap();
    after_a_search(&shop).await;
    watch
        .until("the sentinel", |watch| watch.changes.len() >= 202)
        .await;
    second.stop().await;
    for name in names {
        let causes = causes(&watch, &name);
        assert_eq!(causes.len(), 2, "{causes:?}");
        assert_eq!(causes[1], [Kind::Abandoned]);
    }
}
