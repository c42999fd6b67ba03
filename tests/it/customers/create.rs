//! Tests CreateCustomer.

use clientela::proto::pb::{self, ErrorReason, Role, customer};
use futures::future::join_all;
use tonic::Code;

use super::{
    client_as, create, creation, get, group, metadata, person, try_create, try_get, update,
};
use crate::harness::{assert_refused, repeated, unique, violations};
use crate::on_both_engines;

on_both_engines! {
    async fn a_created_customer_is_read_back_as_it_was_answered(shop: Shop) {
        let mut client = shop.customers();
        let sent = pb::Customer {
            last_name: "Lovelace".to_owned(),
            phone: "+44 20 7946 0000".to_owned(),
            website: "https://example.test/ada".to_owned(),
            credit_limit: Some(pb::Money { currency_code: "EUR".to_owned(), micros: 1_500_000 }),
            payment_days: Some(30),
            risk: customer::Risk::Low as i32,
            language_code: "en-GB".to_owned(),
            title: "titles/ms".to_owned(),
            newsletter: Some(pb::Consent { subscribed: true, ..Default::default() }),
            external_ids: vec![pb::ExternalId { system: "erp".to_owned(), id: "7".to_owned() }],
            ..person("Ada")
        };

        let created = create(&mut client, sent.clone()).await;

        assert_eq!(get(&mut client, &created.name).await, created);
        assert!(created.name.starts_with("customers/"));
        assert!(created.number.parse::<u64>().is_ok(), "{}", created.number);
        assert_eq!(created.account_type(), customer::AccountType::Customer);
        assert_eq!(created.kind(), customer::Kind::Registered);
        assert_eq!(created.state(), customer::State::Active);
        assert_eq!(created.groups, ["groups/customer"]);
        assert_eq!(created.default_group, "groups/customer");
        assert_eq!(created.create_time, created.update_time);
        assert!(created.newsletter.as_ref().is_some_and(|consent| consent.time.is_some()));
        assert_eq!(created.credit_limit, sent.credit_limit);
        assert_eq!(created.external_ids, sent.external_ids);
        assert_eq!((created.email, created.last_name), (sent.email, sent.last_name));
    }

    async fn chosen_ids_and_numbers_are_unique(shop: Shop) {
        let mut client = shop.customers();
        let chosen = pb::Customer { number: "C-1".to_owned(), ..person("Ada") };
        let request = pb::CreateCustomerRequest {
            customer_id: "ada".to_owned(),
            ..creation(chosen)
        };
        let created = client.create_customer(request.clone()).await.unwrap().into_inner();
        assert_eq!((created.name.as_str(), created.number.as_str()), ("customers/ada", "C-1"));

        let again = pb::CreateCustomerRequest { customer: Some(person("Bob")), ..request };
        let refused = client.create_customer(again).await.unwrap_err();

        assert_refused(&refused, Code::AlreadyExists, ErrorReason::NameTaken);
        assert_eq!(metadata(&refused, "name").as_deref(), Some("customers/ada"));
        let number = pb::Customer { number: "C-1".to_owned(), ..person("Bob") };
        let refused = try_create(&mut client, number).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::NumberTaken);
        assert_eq!(metadata(&refused, "name").as_deref(), Some("customers/ada"));
    }

    async fn a_generated_number_skips_chosen_ones(shop: Shop) {
        let mut client = shop.customers();
        let first: u64 = create(&mut client, person("Ada")).await.number.parse().unwrap();
        for number in first + 1..first + 4 {
            let chosen = pb::Customer { number: number.to_string(), ..person("Bob") };
            create(&mut client, chosen).await;
        }

        let drawn = create(&mut client, person("Cem")).await;

        assert_eq!(drawn.number, (first + 4).to_string());
    }

    async fn a_second_customer_with_the_same_email_is_refused(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let spelled = format!("  {} ", ada.email.to_uppercase());
        let other = pb::Customer { email: spelled, ..person("Bob") };

        let refused = try_create(&mut client, other.clone()).await.unwrap_err();

        assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
        assert_eq!(metadata(&refused, "customer"), Some(ada.name));
        let mut storefront = client_as(&shop, Role::Storefront).await;
        let refused = try_create(&mut storefront, other).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
        assert_eq!(metadata(&refused, "customer"), None);
    }

    async fn one_request_id_a_hundred_times_at_once_is_one_customer(shop: Shop) {
        let client = shop.customers();
        let request = pb::CreateCustomerRequest {
            request_id: format!("request-{}", unique()),
            addresses: vec![pb::Address { city: "Lyon".to_owned(), ..Default::default() }],
            ..creation(person("Ada"))
        };

        let answers = join_all((0..100).map(|_| {
            let call = || {
                let (mut client, request) = (client.clone(), request.clone());
                async move { client.create_customer(request).await }
            };
            async move { repeated(call).await.unwrap() }
        }))
        .await;

        assert!(answers.iter().all(|answer| *answer == answers[0]));
        let email = request.customer.unwrap().email;
        let mut client = client;
        let found = client.list_customers(pb::ListCustomersRequest {
            filter: format!("email = \"{email}\""),
            ..Default::default()
        });
        assert_eq!(found.await.unwrap().into_inner().customers, answers[..1]);
    }

    async fn a_request_id_with_other_contents_is_refused(shop: Shop) {
        let mut client = shop.customers();
        let request_id = format!("request-{}", unique());
        let request = |customer| pb::CreateCustomerRequest {
            request_id: request_id.clone(),
            ..creation(customer)
        };
        client.create_customer(request(person("Ada"))).await.unwrap();

        let refused = client.create_customer(request(person("Bob"))).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    async fn an_external_id_belongs_to_one_customer(shop: Shop) {
        let mut client = shop.customers();
        let with_id = |name: &str| pb::Customer {
            external_ids: vec![pb::ExternalId { system: "erp".to_owned(), id: "42".to_owned() }],
            ..person(name)
        };
        let ada = create(&mut client, with_id("Ada")).await;

        let refused = try_create(&mut client, with_id("Bob")).await.unwrap_err();

        assert_refused(&refused, Code::AlreadyExists, ErrorReason::ExternalIdTaken);
        assert_eq!(metadata(&refused, "customer"), Some(ada.name));
        assert_eq!(metadata(&refused, "system").as_deref(), Some("erp"));
    }

    async fn guests_may_share_an_email_and_are_in_the_group_of_guests(shop: Shop) {
        let mut client = shop.customers();
        let registered = create(&mut client, person("Ada")).await;
        let guest = pb::Customer {
            kind: customer::Kind::Guest as i32,
            email: registered.email.clone(),
            ..Default::default()
        };

        let first = create(&mut client, guest.clone()).await;
        let second = create(&mut client, guest).await;

        assert_ne!(first.name, second.name);
        assert_eq!(first.groups, ["groups/guest"]);
        assert_eq!(first.state(), customer::State::Active);
    }

    async fn guests_are_refused_by_a_shop_without_guests(shop: Shop) {
        let settings = pb::ShopSettings { guest_checkout: Some(false), ..Default::default() };
        let mask = prost_types::FieldMask { paths: vec!["guest_checkout".to_owned()] };
        let request = pb::UpdateShopSettingsRequest {
            settings: Some(settings),
            update_mask: Some(mask),
            ..Default::default()
        };
        shop.admin().update_shop_settings(request).await.unwrap();
        let guest = pb::Customer { kind: customer::Kind::Guest as i32, ..person("Ada") };

        let refused = try_create(&mut shop.customers(), guest).await.unwrap_err();

        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::GuestCheckoutDisabled);
    }

    async fn new_customers_have_the_state_of_the_settings_unless_they_name_one(shop: Shop) {
        let settings = pb::ShopSettings {
            new_customer_state: customer::State::PendingApproval as i32,
            ..Default::default()
        };
        let mask = prost_types::FieldMask { paths: vec!["new_customer_state".to_owned()] };
        let request = pb::UpdateShopSettingsRequest {
            settings: Some(settings),
            update_mask: Some(mask),
            ..Default::default()
        };
        shop.admin().update_shop_settings(request).await.unwrap();
        let mut client = shop.customers();

        let waiting = create(&mut client, person("Ada")).await;
        let invited = pb::Customer { state: customer::State::Invited as i32, ..person("Bob") };
        let invited = create(&mut client, invited).await;

        assert_eq!(waiting.state(), customer::State::PendingApproval);
        assert_eq!(invited.state(), customer::State::Invited);
    }

    async fn addresses_come_with_the_customer_and_the_first_is_the_default(shop: Shop) {
        let mut client = shop.customers();
        let address = |city: &str| pb::Address { city: city.to_owned(), ..Default::default() };
        let request = pb::CreateCustomerRequest {
            addresses: vec![address("Lyon"), address("Nice")],
            ..creation(person("Ada"))
        };

        let created = client.create_customer(request).await.unwrap().into_inner();

        let listed = client.list_addresses(pb::ListAddressesRequest {
            customer: created.name.clone(),
            ..Default::default()
        });
        let addresses = listed.await.unwrap().into_inner().addresses;
        let cities: Vec<&str> = addresses.iter().map(|address| address.city.as_str()).collect();
        assert_eq!(cities, ["Lyon", "Nice"]);
        assert_eq!(created.default_billing_address, addresses[0].name);
        assert_eq!(created.default_shipping_address, addresses[0].name);
        assert!(addresses[0].name.starts_with(&format!("{}/addresses/", created.name)));
    }

    async fn groups_are_chosen_with_their_default(shop: Shop) {
        let vip = group(&shop, "vip", pb::Group::default()).await;
        let mut client = shop.customers();
        let customer = "groups/customer".to_owned();

        let both = pb::Customer { groups: vec![vip.clone(), customer.clone()], ..person("Ada") };
        let both = create(&mut client, both).await;
        assert_eq!(both.groups, [customer.clone(), vip.clone()]);
        assert_eq!(both.default_group, customer);

        let only = pb::Customer { default_group: vip.clone(), ..person("Bob") };
        let only = create(&mut client, only).await;
        assert_eq!((only.groups, only.default_group), (vec![vip.clone()], vip.clone()));

        let foreign =
            pb::Customer { groups: vec![customer], default_group: vip.clone(), ..person("Cem") };
        let refused = try_create(&mut client, foreign).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::DefaultGroupNotMember);
        assert_eq!(metadata(&refused, "default_group"), Some(vip));
    }

    async fn groups_must_exist_and_be_for_the_account_type(shop: Shop) {
        let audience = pb::group::Audience::Staff as i32;
        let staff = group(&shop, "counter", pb::Group { audience, ..Default::default() }).await;
        let mut client = shop.customers();

        let unknown = pb::Customer { groups: vec!["groups/none".to_owned()], ..person("Ada") };
        let refused = try_create(&mut client, unknown).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused), [("customer.groups[0]".into(), "NOT_FOUND".into())]);
        let second = vec!["groups/customer".to_owned(), "groups/none".to_owned()];
        let second = pb::Customer { groups: second, ..person("Ada") };
        let refused = try_create(&mut client, second).await.unwrap_err();
        assert_eq!(violations(&refused), [("customer.groups[1]".into(), "NOT_FOUND".into())]);
        let default = pb::Customer { default_group: "groups/none".to_owned(), ..person("Ada") };
        let refused = try_create(&mut client, default).await.unwrap_err();
        assert_eq!(violations(&refused), [("customer.default_group".into(), "NOT_FOUND".into())]);

        let wrong = pb::Customer { groups: vec![staff.clone()], ..person("Ada") };
        let refused = try_create(&mut client, wrong.clone()).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::GroupNotForAccount);
        assert_eq!(metadata(&refused, "group"), Some(staff));
        let account_type = customer::AccountType::Staff as i32;
        create(&mut client, pb::Customer { account_type, ..wrong }).await;
    }

    async fn an_email_is_required_except_of_staff_and_of_imports(shop: Shop) {
        let nobody = pb::Customer { first_name: "Ada".to_owned(), ..Default::default() };
        let mut client = shop.customers();

        let refused = try_create(&mut client, nobody.clone()).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused), [("customer.email".into(), "REQUIRED".into())]);
        let account_type = customer::AccountType::Staff as i32;
        create(&mut client, pb::Customer { account_type, ..nobody.clone() }).await;
        let imported = create(&mut client_as(&shop, Role::Ingest).await, nobody).await;
        // An accepted field does not prevent other changes later.
        let phone = pb::Customer { phone: "1".to_owned(), ..imported };
        update(&mut client, phone, &["phone"]).await.unwrap();
    }

    async fn a_validation_answers_and_changes_nothing(shop: Shop) {
        let mut client = shop.customers();
        let request = pb::CreateCustomerRequest {
            customer_id: "ada".to_owned(),
            validate_only: true,
            ..creation(person("Ada"))
        };

        let answer = client.create_customer(request.clone()).await.unwrap().into_inner();

        assert_eq!(answer.name, "customers/ada");
        let absent = try_get(&mut client, "customers/ada").await.unwrap_err();
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
        let request = pb::CreateCustomerRequest { validate_only: false, ..request };
        client.create_customer(request.clone()).await.unwrap();
        let again = pb::CreateCustomerRequest { validate_only: true, ..request };
        let refused = client.create_customer(again).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::NameTaken);
    }
}
