//! Tests that a write without an effect creates no version and no change, and that its repeat gets the
//! same answer. The cases are generated from the contract and from a valid request for each RPC.

use bytes::Bytes;
use clientela::contract::TABLES;
use clientela::on;
use clientela::proto::pb::{self, ErrorReason, Role, cart_edit};
use futures::FutureExt as _;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::{Code, Status};

use super::call::{allowed, method, methods, send};
use super::messages::{has, reflect, set};
use super::world::World;
use crate::carts::{euros, named};
use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;

/// Returns whether each call with the same request has an effect. CreateCart is refused the second time,
/// because its slot is taken, and CreateShop is a dry run here.
/// first time, and the shop is only tried.
fn adds(rpc: &str) -> bool {
    let once = ["CreateCart", "CreateShop"];
    ["AddItem", "EditCart"].contains(&rpc) || rpc.starts_with("Create") && !once.contains(&rpc)
}

/// RPCs that have an effect and change no resource.
const WITHOUT_ID: [&str; 3] = ["CreateRecoveryLink", "RenewCartLock", "VerifyPassword"];

/// The kind of log rows that only record a request id.
const RECORD: i64 = 10;

/// Reads the changes that streams send: the kind, the resource and the version of each.
async fn log(shop: &Shop) -> Vec<(i64, String, i64)> {
    let rows = shop.store().read(|conn| {
        async move {
            Ok(on!(conn, |e| sqlx::query_as(
                "SELECT kind, resource_id, version FROM change_log WHERE kind <> $1
                 ORDER BY xid, seq"
            )
            .bind(RECORD)
            .fetch_all(e)
            .await)?)
        }
        .boxed()
    });
    rows.await.expect("the log can be read")
}

/// Calls an RPC, with the request id unless it is empty or the RPC takes none.
async fn ask(
    shop: &Shop,
    method: &MethodDescriptor,
    request: &DynamicMessage,
    id: &str,
) -> Result<Option<Bytes>, Status> {
    let mut request = request.clone();
    if !id.is_empty() && method.input().get_field_by_name("request_id").is_some() {
        set(&mut request, "request_id", Value::String(id.into()));
    }
    let key = match allowed(method).contains(&Role::Admin) {
        true => &shop.admin_key,
        false => &shop.operator_key,
    };
    send(shop, key, method, &request).await
}

/// Returns requests without an effect that the repeats of valid requests do not cover.
async fn idle(world: &World) -> Vec<(&'static str, DynamicMessage)> {
    let cart = world.cart("").await;
    let line = &cart.items[0].name;
    let quantity = |quantity| pb::CartEdit {
        edit: Some(cart_edit::Edit::Set(cart_edit::SetQuantity {
            item: line.clone(),
            quantity,
        })),
    };
    let customer = world.name("customers/{id}").await;
    let of_customer = |customer: pb::Customer, path: &str| {
        let paths = vec![path.to_owned()];
        reflect(&pb::UpdateCustomerRequest {
            customer: Some(customer),
            update_mask: Some(prost_types::FieldMask { paths }),
            ..Default::default()
        })
    };
    let bare = pb::Customer {
        name: customer,
        ..Default::default()
    };
    let groups = vec![
        "groups/customer".to_owned(),
        world.name("groups/{id}").await,
    ];
    vec![
        (
            "EditCart",
            reflect(&pb::EditCartRequest {
                target: named(&cart.name),
                edits: vec![quantity(5), quantity(1)],
                ..Default::default()
            }),
        ),
        (
            "UpdateItem",
            reflect(&pb::UpdateItemRequest {
                name: line.clone(),
                price_override: Some(pb::PriceOverride {
                    amount: euros(5),
                    reason: "a friend".into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
        ),
        // The customer has no password.
        ("UpdateCustomer", of_customer(bare.clone(), "password")),
        (
            "UpdateCustomer",
            of_customer(pb::Customer { groups, ..bare }, "groups"),
        ),
    ]
}

on_both_engines! {
    async fn a_write_without_an_effect_creates_no_version_and_no_change(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "same");
        let mut all: Vec<(String, DynamicMessage)> =
            idle(&world).await.into_iter().map(|(rpc, request)| (rpc.to_owned(), request)).collect();
        let idle = all.len();
        for method in methods() {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let known = TABLES.method(&path).expect("every RPC is in the tables");
            let takes_id = method.input().get_field_by_name("request_id").is_some();
            // These RPCs change no resource and take no request id.
            assert!(takes_id || known.reads_only || WITHOUT_ID.contains(&method.name()));
            if takes_id {
                let rpc = path.rsplit('/').next().unwrap().to_owned();
                let request = world.request(&rpc).await;
                all.push((rpc, request));
            }
        }
        assert!(all.len() >= 30, "only {} requests", all.len());

        for (at, (rpc, request)) in all.into_iter().enumerate() {
            let method = method(&rpc);
            let first = ask(&shop, &method, &request, "").await;
            if at < idle {
                first.unwrap_or_else(|status| panic!("{rpc}: {status:?}"));
            }
            let before = world.state().await;
            let logged = log(&shop).await;
            if adds(&rpc) && at >= idle {
                continue;
            }

            let plain = ask(&shop, &method, &request, "").await;
            let id = format!("the {at}th request");
            let second = ask(&shop, &method, &request, &id).await;
            let third = ask(&shop, &method, &request, &id).await;

            assert_eq!(plain.is_ok(), second.is_ok(), "{rpc}: {plain:?}, {second:?}");
            // A dry run stores no request id, and its answer has the time of the call.
            let tries = has(&request, "validate_only");
            if let (Ok(second), Ok(third), false) = (&second, &third, tries) {
                assert_eq!(second, third, "{rpc}");
            }
            assert_eq!(log(&shop).await, logged, "{rpc}");
            // The lease of the holder restarts. Lists show that, but it is no new version.
            if rpc != "LockCart" {
                world.state().await.assert_unchanged(&before);
            }
        }
    }

    async fn a_repeated_write_without_an_effect_gets_the_same_answer(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "again");
        let cart = world.cart("").await;
        let mut carts = shop.carts();
        let unlock = pb::UnlockCartRequest {
            name: cart.name.clone(),
            request_id: "unlock".into(),
            ..Default::default()
        };
        let first = carts.unlock_cart(unlock.clone()).await.unwrap().into_inner();
        assert_eq!(first, cart);
        let lock = pb::LockCartRequest { target: named(&cart.name), ..Default::default() };
        let locked = carts.lock_cart(lock.clone()).await.unwrap().into_inner();
        let lock = pb::LockCartRequest { request_id: "lock".into(), ..lock };
        let held = carts.lock_cart(lock.clone()).await.unwrap().into_inner();
        assert_eq!(held.version, locked.version);

        assert_eq!(carts.unlock_cart(unlock).await.unwrap().into_inner(), first);
        let get = pb::GetCartRequest { target: named(&cart.name) };
        let now = carts.get_cart(get).await.unwrap().into_inner();
        assert!(now.lock.is_some(), "the cart stays locked");
        assert_eq!(carts.lock_cart(lock).await.unwrap().into_inner(), held);
        let other = pb::UnlockCartRequest {
            name: cart.name.clone(),
            force: true,
            request_id: "unlock".into(),
        };
        let reused = carts.unlock_cart(other).await.unwrap_err();
        assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);

        let name = world.name("customers/{id}").await;
        let update = |phone: &str, request_id: &str| {
            let customer = pb::Customer {
                name: name.clone(),
                phone: phone.into(),
                ..Default::default()
            };
            let request = pb::UpdateCustomerRequest {
                customer: Some(customer),
                request_id: request_id.into(),
                ..Default::default()
            };
            let mut customers = shop.customers();
            async move { customers.update_customer(request).await.unwrap().into_inner() }
        };
        let one = update("1", "one").await;
        let same = update("1", "same").await;
        assert_eq!(same.etag, one.etag);
        let two = update("2", "two").await;
        assert_ne!(two.etag, one.etag);
        assert_eq!(update("1", "same").await, same);
        assert_eq!(update("2", "").await.etag, two.etag);
    }
}
