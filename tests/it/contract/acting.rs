//! Tests that every change stores its key, its actor and the customer it was made for, and that answers
//! and streams show the actor.

use clientela::clock::Clock;
use clientela::on;
use clientela::proto::pb::{self, Role};
use clientela::store::{Store, StoreConfig};
use futures::FutureExt as _;
use prost::Message as _;
use prost_reflect::Value;

use super::call::{allowed, call_with, methods};
use super::messages::set;
use super::world::World;
use crate::carts::{Carts as _, euros, item, named, of, visitor};
use crate::harness::{CartWatch, Shop};
use crate::on_both_engines;

const ACTING: [(&str, &str); 2] = [
    ("clientela-actor", "staff/anna"),
    ("clientela-on-behalf-of", "customers/ada"),
];

/// Reads the request id, key, actor and `on_behalf_of` of each change that has a request id.
async fn log(store: &Store) -> Vec<(String, String, Option<String>, Option<String>)> {
    let rows = store.read(|conn| {
        async move {
            Ok(on!(conn, |e| sqlx::query_as(
                "SELECT request_id, key_id, actor, on_behalf_of FROM change_log
                 WHERE request_id IS NOT NULL ORDER BY request_id"
            )
            .fetch_all(e)
            .await)?)
        }
        .boxed()
    });
    rows.await.expect("the log can be read")
}

on_both_engines! {
    async fn every_change_stores_its_actor_and_the_customer_it_was_made_for(shop: Shop) {
        let mut shop = shop;
        let api_key = pb::ApiKey {
            display_name: "acting".into(),
            roles: vec![Role::Admin.into()],
            may_act: true,
            ..Default::default()
        };
        let request = pb::CreateApiKeyRequest { api_key: Some(api_key), ..Default::default() };
        let made = shop.admin().create_api_key(request).await.unwrap().into_inner();
        let mut expected = Vec::new();
        {
            let world = World::new(&shop, &shop.admin_key, "acting");
            for method in methods() {
                let mut request = world.request(method.name()).await;
                let takes_id = method.input().get_field_by_name("request_id").is_some();
                if !takes_id || !allowed(&method).contains(&Role::Admin) {
                    continue;
                }
                set(&mut request, "request_id", Value::String(method.name().into()));
                let bytes = request.encode_to_vec();
                let answer = call_with(&shop, &made.secret, &ACTING, &method, bytes).await;
                match answer {
                    // The operation may have ended.
                    Err(_) if method.name() == "CancelOperation" => continue,
                    Err(status) => panic!("{}: {status:?}", method.name()),
                    Ok(_) => expected.push(method.name().to_owned()),
                }
            }
        }
        expected.sort();
        assert!(expected.len() >= 30, "only {} RPCs change something", expected.len());

        shop.stop().await;
        let config = StoreConfig::new(shop.database());
        let store = Store::open(&config, Clock::system()).await.expect("the store is free");
        let log = log(&store).await;
        store.close().await;

        let key = made.api_key.unwrap().name.replace("apiKeys/", "");
        let mut kept = Vec::new();
        for (request, by, actor, on_behalf_of) in log {
            assert_eq!(by, key, "{request}");
            assert_eq!(actor.as_deref(), Some("staff/anna"), "{request}");
            assert_eq!(on_behalf_of.as_deref(), Some("customers/ada"), "{request}");
            kept.push(request);
        }
        kept.sort();
        assert_eq!(kept, expected);
    }

    async fn answers_and_streams_show_the_actor(shop: Shop) {
        let key = shop.key(&[Role::Admin]).await;
        let acting = Shop::with_key(&key).and("clientela-actor", "staff/anna");
        let world = World::new(&shop, &shop.admin_key, "acting");
        let mut carts = pb::cart_service_client::CartServiceClient::with_interceptor(
            shop.channel(),
            acting.clone(),
        );
        let mut groups = pb::group_service_client::GroupServiceClient::with_interceptor(
            shop.channel(),
            acting,
        );

        // The actor of a price override and of a cause.
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let watch = pb::WatchCartRequest { target: named(&cart.name), options: None };
        let watch = carts.watch_cart(watch).await.unwrap().into_inner();
        let mut watch = CartWatch::of(watch);
        watch.snapshot().await;
        let by_hand = pb::PriceOverride {
            amount: euros(1),
            reason: "a friend".into(),
            actor: "staff/somebody-else".into(),
            ..Default::default()
        };
        let request = pb::UpdateItemRequest {
            name: cart.items[0].name.clone(),
            price_override: Some(by_hand),
            ..Default::default()
        };
        let priced = carts.update_item(request).await.unwrap().into_inner();
        assert_eq!(priced.items[0].price_override.as_ref().unwrap().actor, "staff/anna");
        watch.until("the change of the price", |watch| !watch.changes.is_empty()).await;
        assert_eq!(watch.changes[0].causes[0].actor, "staff/anna");

        // The actor of a membership grant and of an operation.
        let request = pb::AddMembersRequest {
            group: world.name("groups/{id}").await,
            members: vec![world.name("customers/{id}").await],
            source: pb::MembershipSource::Order.into(),
            ..Default::default()
        };
        groups.add_members(request).await.unwrap();
        let request =
            pb::ListMembersRequest { group: world.name("groups/{id}").await, ..Default::default() };
        let members = groups.list_members(request).await.unwrap().into_inner().members;
        let of_order = |grant: &&pb::MembershipGrant| grant.source() == pb::MembershipSource::Order;
        let granted = members[0].grants.iter().find(of_order);
        assert_eq!(granted.unwrap().actor, "staff/anna");
        let name = world.name("groups/{id}").await;
        let delete = pb::DeleteGroupRequest { name, ..Default::default() };
        let deleted = groups.delete_group(delete).await.unwrap();
        let name = deleted.metadata().get("clientela-operation").unwrap().to_str().unwrap();
        let name = name.to_owned();
        let operation = shop.operations().get_operation(pb::GetOperationRequest { name }).await;
        assert_eq!(operation.unwrap().into_inner().actor, "staff/anna");
    }
}
