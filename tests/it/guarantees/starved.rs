//! Tests that unread streams do not block other clients: they hold no connection to the database and no
//! reader. The clock stands still, so the server does not close them.

use std::time::Duration;

use clientela::proto::pb::{
    self, DeliveryMode, ErrorReason, Role, WatchCartFiguresRequest, WatchCartRequest,
    WatchCartsRequest, WatchOperationRequest, WatchOptions, cart_target::Target,
};
use futures::future::join_all;
use h2::RecvStream;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use super::watched::{Connection, Subject, Way};
use crate::contract::call::{self, allowed};
use crate::contract::messages::{reflect, set};
use crate::faults::health_turns;
use crate::harness::raw::Raw;
use crate::harness::{Setup, Shop, assert_refused, eventually};
use crate::on_both_engines;
use crate::specimens::Groups;
use crate::watch::{add, visitor};

/// More carts than one page of a snapshot.
const CARTS: usize = 250;
/// The window of each stream: it holds the beginning of a snapshot, or more of it.
const WINDOWS: [u32; 2] = [8, 64 * 1024];

fn held() -> Setup {
    Setup {
        drain_timeout: Duration::from_secs(1),
        ..Setup::held()
    }
}

fn options(delivery: DeliveryMode, resume_token: &str) -> Option<WatchOptions> {
    Some(WatchOptions {
        delivery_mode: delivery.into(),
        resume_token: resume_token.to_owned(),
        ..Default::default()
    })
}

fn named(name: &str) -> pb::CartTarget {
    pb::CartTarget {
        target: Some(Target::Cart(name.to_owned())),
    }
}

/// Returns the streams that a role may open.
fn methods(role: Role) -> impl Iterator<Item = MethodDescriptor> {
    let may = move |method: &MethodDescriptor| allowed(method).contains(&role);
    let streams = call::methods().into_iter();
    streams.filter(move |method| method.is_server_streaming() && may(method))
}

/// Opens the streams of a method in each mode and way, and returns them unread.
async fn open(raw: &Raw, key: &str, method: &MethodDescriptor, world: &World) -> Vec<RecvStream> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut bodies = Vec::new();
    for delivery in [DeliveryMode::Latest, DeliveryMode::Every] {
        let options = options(delivery, "");
        match method.name() {
            "WatchCart" => {
                for target in [visitor("without a cart"), named(&world.cart)] {
                    let request = WatchCartRequest {
                        target: Some(target),
                        options: options.clone(),
                    };
                    bodies.push(raw.open(key, &path, &request).await);
                }
            }
            "WatchCarts" => {
                for filter in ["", "item_count > 0", "update_time > now - 30m"] {
                    let request = WatchCartsRequest {
                        filter: filter.into(),
                        names: Vec::new(),
                        options: options.clone(),
                    };
                    bodies.push(raw.open(key, &path, &request).await);
                }
                let resumed = WatchCartsRequest {
                    options: self::options(delivery, &world.token),
                    ..Default::default()
                };
                bodies.push(raw.open(key, &path, &resumed).await);
            }
            "WatchCartFigures" => {
                let request = WatchCartFiguresRequest::default();
                bodies.push(raw.open(key, &path, &request).await);
            }
            "WatchOperation" => {
                let name = world.operation.clone();
                let request = WatchOperationRequest { name };
                bodies.push(raw.open(key, &path, &request).await);
            }
            _ => {
                let mut request = DynamicMessage::new(method.input());
                let options = options.as_ref().expect("the options are set");
                set(&mut request, "options", Value::Message(reflect(options)));
                bodies.push(raw.open(key, &path, &request).await);
            }
        }
    }
    bodies
}

/// The resources to watch.
struct World {
    cart: String,
    operation: String,
    /// A resume token of a watch of all carts.
    token: String,
}

/// Starts an operation and returns its name.
async fn operation(shop: &Shop) -> String {
    let group = Subject::make(shop, &Groups).await;
    let request = pb::DeleteGroupRequest {
        name: group.name.clone(),
        ..Default::default()
    };
    let deleted = shop.groups().delete_group(request).await.unwrap();
    let name = deleted.metadata().get("clientela-operation").unwrap();
    name.to_str().unwrap().to_owned()
}

on_both_engines! {
    async fn unread_streams_do_not_block_other_readers(shop: Shop with held()) {
        for _ in 0..CARTS / 25 {
            let adds = (0..25).map(|_| async {
                let owner = format!("{}", crate::harness::unique());
                add(&mut shop.carts(), &visitor(&owner), "mug").await
            });
            join_all(adds).await;
        }
        let subjects = Subject::of_each_kind(&shop).await;
        let mut seen = subjects[0].watch(&Connection::of(&shop), Way::All, WatchOptions::default()).await.unwrap();
        seen.snapshot().await;
        let request = pb::CreateApiKeyRequest {
            api_key: Some(pb::ApiKey { roles: vec![Role::Support.into()], ..Default::default() }),
            ..Default::default()
        };
        let to_end = shop.admin().create_api_key(request).await.unwrap().into_inner();

        let world = World {
            cart: subjects[0].name.clone(),
            operation: operation(&shop).await,
            token: seen.token.clone(),
        };
        let mut unread = Vec::new();
        for role in [Role::Storefront, Role::Support, Role::Ingest, Role::Monitor, Role::Admin] {
            let key = shop.key(&[role]).await;
            for window in WINDOWS {
                let raw = Raw::connect(shop.address, window).await;
                for method in methods(role) {
                    unread.extend(open(&raw, &key, &method, &world).await);
                }
                let service = "clientela.v1.CartService".into();
                let health = HealthCheckRequest { service };
                unread.push(raw.open(&key, "/grpc.health.v1.Health/Watch", &health).await);
            }
        }

        let connection = Connection::of(&shop);
        for _ in 0..20 {
            for subject in &subjects {
                let (version, _) = subject.write(&shop).await;
                assert_eq!(subject.read(&connection).await.unwrap(), version);
                assert_eq!(subject.list(&connection).await.unwrap(), version);
            }
        }
        let (last, _) = subjects[0].write(&shop).await;
        seen.until(last).await;
        for subject in &subjects {
            for way in subject.kind.ways() {
                subject.watch(&connection, *way, WatchOptions::default()).await.unwrap().snapshot().await;
            }
        }
        health_turns(&shop, ServingStatus::Serving).await;
        let revoke = pb::RevokeApiKeyRequest {
            name: to_end.api_key.unwrap().name,
            ..Default::default()
        };
        shop.admin().revoke_api_key(revoke).await.unwrap();
        let revoked = Connection::with_key(&shop, &to_end.secret);
        let refused = eventually("the refusal of the revoked key", || async {
            subjects[0].read(&revoked).await.err()
        });
        assert_refused(&refused.await, Code::Unauthenticated, ErrorReason::KeyMissing);
        drop(seen);
        let mut shop = shop;
        shop.stop().await;
        drop(unread);
    }
}
