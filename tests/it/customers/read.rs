//! Tests GetCustomer, BatchGetCustomers, LookupCustomer and BatchLookupCustomers, and derived fields.

use std::collections::BTreeSet;
use std::time::Duration;

use clientela::clock::Clock;
use clientela::proto::pb::{self, ErrorReason, Role, customer, customer_key::Key};
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use tonic::{Code, Status};

use super::{
    Client, client_as, create, creation, delete, get, group, metadata, person, try_get, update,
};
use crate::harness::{Engine, Setup, Shop, assert_refused, eventually, violations};
use crate::on_both_engines;

async fn lookup(client: &mut Client, key: Key) -> Result<pb::Customer, Status> {
    let request = pb::LookupCustomerRequest {
        key: Some(pb::CustomerKey { key: Some(key) }),
    };
    Ok(client.lookup_customer(request).await?.into_inner())
}

fn erp(id: &str) -> pb::ExternalId {
    pb::ExternalId {
        system: "erp".to_owned(),
        id: id.to_owned(),
    }
}

on_both_engines! {
    async fn an_absent_name_is_not_found(shop: Shop) {
        let refused = try_get(&mut shop.customers(), "customers/nobody").await.unwrap_err();

        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        assert_eq!(metadata(&refused, "type").as_deref(), Some("customer"));
    }

    async fn a_read_after_a_write_returns_it(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        for round in 0..50 {
            let phone = pb::Customer { phone: round.to_string(), ..ada.clone() };
            let phone = pb::Customer { etag: String::new(), ..phone };
            let written = update(&mut client, phone, &["phone"]).await.unwrap();

            assert_eq!(get(&mut client, &ada.name).await, written);
        }
    }

    async fn concurrent_reads_never_return_older_versions(shop: Shop) {
        let client = shop.customers();
        let ada = create(&mut client.clone(), person("Ada")).await;
        let writes = async {
            let mut client = client.clone();
            for round in 1..=100 {
                let phone = round.to_string();
                let phone = pb::Customer { name: ada.name.clone(), phone, ..Default::default() };
                update(&mut client, phone, &[]).await.unwrap_err();
                let phone = pb::Customer {
                    name: ada.name.clone(),
                    phone: round.to_string(),
                    ..Default::default()
                };
                let written = update(&mut client, phone, &["phone"]).await.unwrap();
                // A caller with the answer to a write reads that write.
                assert_eq!(get(&mut client, &ada.name).await.phone, written.phone);
            }
        };
        let reads = join_all((0..4).map(|_| {
            let mut client = client.clone();
            let name = ada.name.clone();
            async move {
                let mut last = 0;
                while last < 100 {
                    let phone = get(&mut client, &name).await.phone;
                    let seen = phone.parse().unwrap_or(0);
                    assert!(seen >= last, "{seen} was read after {last}");
                    last = seen;
                }
            }
        }));

        tokio::join!(writes, reads);
    }

    async fn a_batch_is_in_the_order_of_its_names_and_whole_or_refused(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let bob = create(&mut client, person("Bob")).await;
        let request = |names: &[&str]| pb::BatchGetCustomersRequest {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };

        let both = client.batch_get_customers(request(&[&bob.name, &ada.name])).await;
        assert_eq!(both.unwrap().into_inner().customers, [bob.clone(), ada.clone()]);

        let missing = client.batch_get_customers(request(&[&ada.name, "customers/nobody"])).await;
        assert_refused(&missing.unwrap_err(), Code::NotFound, ErrorReason::NotFound);
        let twice = client.batch_get_customers(request(&[&ada.name, &ada.name])).await;
        let twice = twice.unwrap_err();
        assert_refused(&twice, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&twice), [("names[1]".into(), "DUPLICATE".into())]);
        let none = client.batch_get_customers(request(&[])).await.unwrap_err();
        assert_refused(&none, Code::InvalidArgument, ErrorReason::InvalidField);
    }

    async fn a_customer_is_looked_up_by_every_unique_field(shop: Shop) {
        let mut client = shop.customers();
        let ada = pb::Customer { external_ids: vec![erp("7")], ..person("Ada") };
        let ada = create(&mut client, ada).await;

        for key in [
            Key::Email(format!(" {} ", ada.email.to_uppercase())),
            Key::Number(ada.number.clone()),
            Key::ExternalId(erp("7")),
        ] {
            assert_eq!(lookup(&mut client, key).await.unwrap(), ada);
        }
        for key in [
            Key::Email("nobody@example.test".to_owned()),
            Key::Email("no address".to_owned()),
            Key::Number("0".to_owned()),
            Key::ExternalId(erp("8")),
        ] {
            let refused = lookup(&mut client, key).await.unwrap_err();
            assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        }
    }

    async fn a_deleted_customer_is_not_found_by_its_email_but_by_its_ids(shop: Shop) {
        let mut client = shop.customers();
        let ada = pb::Customer { external_ids: vec![erp("7")], ..person("Ada") };
        let ada = create(&mut client, ada).await;
        delete(&mut client, &ada.name).await;

        let by_email = lookup(&mut client, Key::Email(ada.email)).await.unwrap_err();
        let by_id = lookup(&mut client, Key::ExternalId(erp("7"))).await.unwrap();

        assert_refused(&by_email, Code::NotFound, ErrorReason::NotFound);
        assert!(by_id.delete_time.is_some());
    }

    /// Common clients take no answer over 4 MiB, and a call that fails in the client would not say why.
    async fn a_batch_that_is_too_large_for_an_answer_is_refused(shop: Shop) {
        let mut client = shop.customers();
        let value = prost_types::value::Kind::StringValue("x".repeat(15_000));
        let attributes = prost_types::Struct {
            fields: [("long".to_owned(), prost_types::Value { kind: Some(value) })].into(),
        };
        let large = |name: String| pb::Customer { attributes: Some(attributes.clone()), ..person(&name) };
        let creations = stream::iter(0..280).map(|number| {
            let (mut client, large) = (client.clone(), large(format!("Ada{number}")));
            async move { create(&mut client, large).await.name }
        });
        let names: Vec<String> = creations.buffered(8).collect().await;

        let request = pb::BatchGetCustomersRequest { names: names.clone() };
        let refused = client.batch_get_customers(request).await.unwrap_err();
        assert_refused(&refused, Code::ResourceExhausted, ErrorReason::AnswerTooLarge);
        assert_eq!(metadata(&refused, "limit").as_deref(), Some("4194304"));
        let request = pb::BatchGetCustomersRequest { names: names[..270].to_vec() };
        let answer = client.batch_get_customers(request).await.unwrap().into_inner();
        assert_eq!(answer.customers.len(), 270);

        let email = get(&mut client, &names[0]).await.email;
        let keys = vec![pb::CustomerKey { key: Some(Key::Email(email)) }; 280];
        let request = pb::BatchLookupCustomersRequest { keys };
        let refused = client.batch_lookup_customers(request).await.unwrap_err();
        assert_refused(&refused, Code::ResourceExhausted, ErrorReason::AnswerTooLarge);
    }

    async fn a_batch_of_lookups_answers_each(shop: Shop) {
        let mut client = shop.customers();
        let ada = pb::Customer { external_ids: vec![erp("7")], ..person("Ada") };
        let ada = create(&mut client, ada).await;
        let bob = create(&mut client, person("Bob")).await;
        let keys = [
            Key::Email(bob.email.clone()),
            Key::Email("nobody@example.test".to_owned()),
            Key::ExternalId(erp("7")),
            Key::Number(ada.number.clone()),
            Key::ExternalId(erp("8")),
        ];
        let keys = keys.into_iter().map(|key| pb::CustomerKey { key: Some(key) }).collect();

        let answer = client.batch_lookup_customers(pb::BatchLookupCustomersRequest { keys }).await;

        let results = answer.unwrap().into_inner().results;
        let found: Vec<Option<&str>> = results
            .iter()
            .map(|result| result.customer.as_ref().map(|customer| customer.name.as_str()))
            .collect();
        let (ada, bob) = (Some(ada.name.as_str()), Some(bob.name.as_str()));
        assert_eq!(found, [bob, None, ada, ada, None]);
    }

    async fn hidden_groups_are_not_shown_to_storefronts(shop: Shop) {
        let state = pb::group::State::Hidden as i32;
        let secret = group(&shop, "secret", pb::Group { state, ..Default::default() }).await;
        let groups = vec!["groups/customer".to_owned(), secret.clone()];
        let in_both = pb::Customer { groups, default_group: secret.clone(), ..person("Ada") };
        let ada = create(&mut shop.customers(), in_both).await;
        assert_eq!(ada.default_group, secret);

        let mut storefront = client_as(&shop, Role::Storefront).await;

        let seen = get(&mut storefront, &ada.name).await;
        assert_eq!((seen.groups, seen.default_group.as_str()), (ada.groups.clone()[..1].to_vec(), ""));
        let request = pb::BatchGetCustomersRequest { names: vec![ada.name.clone()] };
        let batch = storefront.batch_get_customers(request).await.unwrap().into_inner();
        assert_eq!(batch.customers[0].groups, ["groups/customer"]);
        let phone = pb::Customer {
            name: ada.name.clone(),
            phone: "1".to_owned(),
            ..Default::default()
        };
        let written = update(&mut storefront, phone, &["phone"]).await.unwrap();
        assert_eq!(written.groups, ["groups/customer"]);
        // A change of the group changes at once whether it is hidden.
        let shown = pb::UpdateGroupRequest {
            group: Some(pb::Group {
                name: secret.clone(),
                state: pb::group::State::Active as i32,
                ..Default::default()
            }),
            ..Default::default()
        };
        shop.groups().update_group(shown).await.unwrap();
        assert_eq!(get(&mut storefront, &ada.name).await.groups, ["groups/customer", "groups/secret"]);
        assert_eq!(get(&mut shop.customers(), &ada.name).await.default_group, secret);
    }

    async fn fields_for_staff_are_not_shown_to_others(shop: Shop) {
        let ada = pb::Customer {
            credit_limit: Some(pb::Money { currency_code: "EUR".to_owned(), micros: 1 }),
            accounting_number: "4711".to_owned(),
            risk: customer::Risk::High as i32,
            ..person("Ada")
        };
        let ada = create(&mut shop.customers(), ada).await;

        let storefront = get(&mut client_as(&shop, Role::Storefront).await, &ada.name).await;
        let monitor = get(&mut client_as(&shop, Role::Monitor).await, &ada.name).await;

        assert_eq!((storefront.accounting_number.as_str(), storefront.risk), ("", 0));
        assert_eq!(storefront.credit_limit, ada.credit_limit);
        assert_eq!(monitor.credit_limit, None);
    }

    async fn a_sign_in_is_the_last_visit_and_no_new_version(shop: Shop) {
        let mut client = shop.customers();
        let ada = pb::Customer { password: Some("correct horse".to_owned()), ..person("Ada") };
        let ada = create(&mut client, ada).await;
        assert_eq!(get(&mut client, &ada.name).await.last_visit_time, None);
        let request = pb::VerifyPasswordRequest {
            email: ada.email.clone(),
            password: "correct horse".to_owned(),
        };

        let signed_in = client.verify_password(request).await.unwrap().into_inner();

        let seen = get(&mut client, &ada.name).await;
        assert!(seen.last_visit_time.is_some());
        assert_eq!(seen.etag, ada.etag);
        assert_eq!(signed_in.customer, Some(seen.clone()));
        let listed = client.list_customers(pb::ListCustomersRequest::default()).await.unwrap();
        assert_eq!(listed.into_inner().customers, [seen]);
    }
}

/// 2026-03-01T00:30:00Z
const HALF_PAST_MIDNIGHT: i64 = 1_772_325_000_000_000;

async fn ages_follow_the_clock_and_the_zone_of_the_shop(engine: Engine) {
    let clock = Clock::held_at(HALF_PAST_MIDNIGHT);
    let setup = Setup {
        clock: clock.clone(),
        ..Setup::default()
    };
    let shop = Shop::start_with(engine, setup).await;
    let mut client = shop.customers();
    let born = pb::Customer {
        birth_date: "2000-03-02".to_owned(),
        ..person("Ada")
    };
    let ada = client
        .create_customer(creation(born))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(ada.age, Some(25));
    assert_eq!(get(&mut client, &ada.name).await.age, Some(25));

    clock.advance(Duration::from_secs(24 * 60 * 60));

    let today = get(&mut client, &ada.name).await;
    assert_eq!((today.age, today.etag), (Some(26), ada.etag));
    let settings = pb::ShopSettings {
        time_zone: "America/New_York".to_owned(),
        ..Default::default()
    };
    let request = pb::UpdateShopSettingsRequest {
        settings: Some(settings),
        ..Default::default()
    };
    shop.admin().update_shop_settings(request).await.unwrap();
    assert_eq!(get(&mut client, &ada.name).await.age, Some(25));
    let list = client
        .list_customers(pb::ListCustomersRequest::default())
        .await
        .unwrap();
    assert_eq!(list.into_inner().customers[0].age, Some(25));
    let unknown = create(&mut client, person("Bob")).await;
    assert_eq!(get(&mut client, &unknown.name).await.age, None);
}

mod an_age_follows_the_clock_and_the_zone_of_the_shop {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_sqlite() {
        ages_follow_the_clock_and_the_zone_of_the_shop(Engine::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_postgres() {
        ages_follow_the_clock_and_the_zone_of_the_shop(Engine::Postgres).await;
    }
}

on_both_engines! {
    async fn customers_with_a_recent_sign_in_or_cart_change_are_online(shop: Shop with Setup::held()) {
        let mut client = shop.customers();
        let ada = pb::Customer { password: Some("correct horse".to_owned()), ..person("Ada") };
        let ada = create(&mut client, ada).await;
        let grace = create(&mut client, person("Grace")).await;
        let never = create(&mut client, person("Edsger")).await;
        let request = pb::VerifyPasswordRequest {
            email: ada.email.clone(),
            password: "correct horse".to_owned(),
        };
        let signed_in = client.verify_password(request).await.unwrap().into_inner();
        let owner = pb::CartOwner {
            owner: Some(pb::cart_owner::Owner::Customer(grace.name.clone())),
            slot: String::new(),
        };
        let add = pb::AddItemRequest {
            target: Some(pb::CartTarget { target: Some(pb::cart_target::Target::Owner(owner)) }),
            item: Some(pb::ItemInput {
                product: "shirt".into(),
                quantity: 1,
                price: Some(pb::ItemPrice {
                    list_price: Some(pb::Money { currency_code: "EUR".into(), micros: 1 }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let storefront = shop.key(&[Role::Storefront]).await;
        shop.carts_as(&storefront).add_item(add).await.unwrap();
        eventually("the visit is noted", || async {
            let grace = shop.customers().get_customer(pb::GetCustomerRequest { name: grace.name.clone() }).await;
            grace.unwrap().into_inner().online.then_some(())
        }).await;
        let online = || async {
            let listed = shop.customers().list_customers(pb::ListCustomersRequest::default()).await;
            let listed = listed.unwrap().into_inner().customers;
            let online = listed.into_iter().filter(|customer| customer.online);
            online.map(|customer| customer.name).collect::<BTreeSet<_>>()
        };

        let both = online().await;
        shop.clock.advance(Duration::from_secs(5 * 60) - Duration::from_micros(1));
        let still = online().await;
        let seen = get(&mut client, &ada.name).await;
        shop.clock.advance(Duration::from_micros(1));
        let none = online().await;

        assert!(signed_in.customer.unwrap().online && seen.online);
        assert_eq!(both, BTreeSet::from([ada.name.clone(), grace.name]));
        assert_eq!(still, both);
        assert_eq!(none, BTreeSet::new());
        // The visit makes neither a version nor a change.
        let gone = get(&mut client, &ada.name).await;
        assert_eq!((gone.etag, gone.online), (ada.etag, false));
        assert!(!get(&mut client, &never.name).await.online);
    }
}
