//! Tests that a key of one shop cannot see the resources of another: an RPC answers as if they did not
//! exist.

mod names;

use clientela::proto::pb::{self, ErrorReason, Role};
use prost::Message as _;
use tonic::Code;

use super::call::{method, next, open};
use super::messages::reflect;
use super::world::World;
use crate::carts::{item, of, visitor};
use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;

/// A text that is part of every text of the other shop, and of none of the caller's.
const TAG: &str = "zanzibar";

fn names_the_other(bytes: &[u8]) -> bool {
    bytes
        .windows(TAG.len())
        .any(|window| window == TAG.as_bytes())
}

/// Creates another shop and returns a key of it.
async fn other_shop(shop: &Shop) -> String {
    let request = pb::CreateShopRequest {
        shop: Some(pb::Shop::default()),
        shop_id: "other".into(),
        ..Default::default()
    };
    shop.admin_as(&shop.operator_key)
        .create_shop(request)
        .await
        .expect("another shop");
    shop.key_of("other", &[Role::Admin]).await
}

on_both_engines! {
    async fn keys_of_a_customer_find_nobody_in_another_shop(shop: Shop) {
        let theirs = World::new(&shop, &shop.admin_key, TAG);
        let key = other_shop(&shop).await;
        let request = pb::GetCustomerRequest { name: theirs.name("customers/{id}").await };
        let customer = shop.customers().get_customer(request).await.unwrap().into_inner();
        let keys = [
            pb::customer_key::Key::Email(customer.email.clone()),
            pb::customer_key::Key::Number(customer.number.clone()),
            pb::customer_key::Key::ExternalId(customer.external_ids[0].clone()),
        ];
        let keys = keys.map(|key| pb::CustomerKey { key: Some(key) });
        let nobody = pb::customer_key::Key::Number("0".into());
        let nobody = pb::LookupCustomerRequest { key: Some(pb::CustomerKey { key: Some(nobody) }) };
        let absent = shop.customers_as(&key).lookup_customer(nobody).await.unwrap_err();

        for known in &keys {
            let request = pb::LookupCustomerRequest { key: Some(known.clone()) };
            assert!(shop.customers().lookup_customer(request.clone()).await.is_ok());
            let refused = shop.customers_as(&key).lookup_customer(request).await.unwrap_err();
            assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
            assert_eq!(refused.details(), absent.details());
            assert_eq!(refused.message(), absent.message());
        }
        let request = pb::BatchLookupCustomersRequest { keys: keys.to_vec() };
        let found = shop.customers_as(&key).batch_lookup_customers(request).await.unwrap();
        assert!(found.into_inner().results.iter().all(|result| result.customer.is_none()));
        let members = vec![customer.email.clone()];
        let group = "groups/guest".to_owned();
        let request = pb::AddMembersRequest { group, members, ..Default::default() };
        let added = shop.groups_as(&key).add_members(request).await.unwrap().into_inner();
        assert_eq!(added.results[0].outcome(), pb::member_result::Outcome::NotFound);
        let matching = pb::UpdateCustomerRequest {
            customer: Some(pb::Customer { phone: "1".into(), ..Default::default() }),
            r#match: Some(customer.external_ids[0].clone()),
            ..Default::default()
        };
        let refused = shop.customers_as(&key).update_customer(matching).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);

        // Values are unique within one shop only.
        let same = pb::Customer {
            email: customer.email,
            number: customer.number,
            external_ids: customer.external_ids,
            ..Default::default()
        };
        let request = pb::CreateCustomerRequest {
            customer: Some(same),
            customer_id: format!("{TAG}-customer"),
            ..Default::default()
        };
        shop.customers_as(&key).create_customer(request).await.expect("a customer of its own");
    }

    async fn a_visitor_and_a_password_belong_to_one_shop(shop: Shop) {
        let key = other_shop(&shop).await;
        let visitor = visitor();
        let add = pb::AddItemRequest {
            target: of(&visitor),
            item: Some(item("shirt", 1)),
            ..Default::default()
        };
        let here = shop.carts().add_item(add.clone()).await.unwrap().into_inner();
        let get = pb::GetCartRequest { target: of(&visitor) };
        let refused = shop.carts_as(&key).get_cart(get).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        let there = shop.carts_as(&key).add_item(add).await.unwrap().into_inner();
        assert_ne!((&here.name, &here.visitor_id), (&there.name, &there.visitor_id));

        let customer = pb::Customer {
            email: "ada@example.test".into(),
            password: Some("a password of hers".into()),
            ..Default::default()
        };
        let create = pb::CreateCustomerRequest { customer: Some(customer), ..Default::default() };
        shop.customers().create_customer(create).await.unwrap();
        let verify = pb::VerifyPasswordRequest {
            email: "ada@example.test".into(),
            password: "a password of hers".into(),
        };
        assert!(shop.customers().verify_password(verify.clone()).await.is_ok());
        let refused = shop.customers_as(&key).verify_password(verify).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::WrongCredentials);
    }

    async fn request_ids_belong_to_one_shop(shop: Shop) {
        let key = other_shop(&shop).await;
        let request = |name: &str| pb::CreateTitleRequest {
            title: Some(pb::Title {
                display_names: [("en".to_owned(), name.to_owned())].into(),
                ..Default::default()
            }),
            title_id: "dr".into(),
            request_id: "the same in both".into(),
            ..Default::default()
        };

        let here = shop.customers().create_title(request("Dr.")).await.unwrap().into_inner();
        let there = shop.customers_as(&key).create_title(request("Prof.")).await.unwrap();

        assert_eq!(here.display_names["en"], "Dr.");
        assert_eq!(there.into_inner().display_names["en"], "Prof.");
    }

    /// A watch with names of both shops and a watch of all carts send only changes of the caller's shop.
    async fn a_watch_sends_nothing_of_another_shop(shop: Shop) {
        let theirs = World::new(&shop, &shop.admin_key, TAG);
        let key = other_shop(&shop).await;
        let ours = World::new(&shop, &key, "lindgren");
        let cart = "carts/{id}";
        let named = pb::WatchCartsRequest {
            names: vec![theirs.name(cart).await, ours.name(cart).await],
            ..Default::default()
        };
        let watches = [
            (method("WatchCarts"), reflect(&named)),
            (method("WatchCarts"), reflect(&pb::WatchCartsRequest::default())),
        ];
        let mut streams = Vec::new();
        for (method, request) in &watches {
            let mut stream = open(&shop, &key, method, request.encode_to_vec()).await.unwrap();
            loop {
                let message = next(&mut stream).await.unwrap().unwrap();
                assert!(!names_the_other(&message), "{message:?}");
                let message = pb::WatchCartsResponse::decode(message).unwrap();
                if let Some(pb::watch_carts_response::Signal::SnapshotEnd(_)) = message.signal {
                    break;
                }
            }
            streams.push(stream);
        }

        for (world, key) in [(&theirs, &shop.admin_key), (&ours, &key)] {
            let change = pb::UpdateCartRequest {
                cart: Some(pb::Cart {
                    name: world.name(cart).await,
                    shipping_method: "bicycle".into(),
                    ..Default::default()
                }),
                ..Default::default()
            };
            shop.carts_as(key).update_cart(change).await.unwrap();
        }

        for stream in &mut streams {
            let changes = loop {
                let message = next(stream).await.unwrap().unwrap();
                assert!(!names_the_other(&message), "{message:?}");
                let message = pb::WatchCartsResponse::decode(message).unwrap();
                if !message.changes.is_empty() {
                    break message.changes;
                }
            };
            assert_eq!(changes[0].name, ours.name(cart).await);
        }
    }

    async fn tokens_belong_to_one_shop(shop: Shop) {
        let key = other_shop(&shop).await;
        let request = pb::ListTitlesRequest { page_size: 1, ..Default::default() };
        let page = shop.customers().list_titles(request.clone()).await.unwrap().into_inner();
        let next_page = pb::ListTitlesRequest { page_token: page.next_page_token, ..request };
        let refused = shop.customers_as(&key).list_titles(next_page).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidPageToken);

        let watch =
            shop.groups().watch_groups(pb::WatchGroupsRequest::default()).await.unwrap();
        let mut watch = watch.into_inner();
        let resume_token = loop {
            let message = watch.message().await.unwrap().unwrap();
            if !message.resume_token.is_empty() {
                break message.resume_token;
            }
        };
        let options = Some(pb::WatchOptions { resume_token, ..Default::default() });
        let resume = pb::WatchGroupsRequest { options, ..Default::default() };
        assert!(shop.groups().watch_groups(resume.clone()).await.is_ok());
        let refused = shop.groups_as(&key).watch_groups(resume).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidResumeToken);
    }
}
