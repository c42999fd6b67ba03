//! Tests UpdateCustomer.

use clientela::proto::pb::{self, ErrorReason, Role, customer};
use futures::future::join_all;
use tonic::Code;

use super::{
    change, client_as, create, creation, delete, get, group, metadata, person, try_create, try_get,
    update,
};
use crate::harness::{assert_refused, unique, violations};
use crate::on_both_engines;

fn erp(id: &str) -> pb::ExternalId {
    pb::ExternalId {
        system: "erp".to_owned(),
        id: id.to_owned(),
    }
}

/// Returns an update of a customer named by an external id.
fn upsert(id: &str, customer: pb::Customer) -> pb::UpdateCustomerRequest {
    pb::UpdateCustomerRequest {
        customer: Some(customer),
        r#match: Some(erp(id)),
        allow_missing: true,
        ..Default::default()
    }
}

on_both_engines! {
    async fn an_update_changes_only_the_fields_of_its_mask(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let sent = pb::Customer {
            name: ada.name.clone(),
            first_name: "Augusta".to_owned(),
            phone: "1".to_owned(),
            ..Default::default()
        };

        let written = update(&mut client, sent, &["phone"]).await.unwrap();

        assert_eq!((written.first_name.as_str(), written.phone.as_str()), ("Ada", "1"));
        assert_ne!(written.etag, ada.etag);
        assert!(written.update_time.unwrap().seconds >= ada.update_time.unwrap().seconds);
        assert_eq!(get(&mut client, &ada.name).await, written);
    }

    async fn without_a_mask_the_set_fields_change(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, pb::Customer { phone: "1".to_owned(), ..person("Ada") }).await;
        let sent = pb::Customer {
            name: ada.name.clone(),
            last_name: "Lovelace".to_owned(),
            ..Default::default()
        };
        let request = pb::UpdateCustomerRequest { customer: Some(sent), ..Default::default() };

        let written = client.update_customer(request).await.unwrap().into_inner();

        assert_eq!((written.last_name.as_str(), written.phone.as_str()), ("Lovelace", "1"));
    }

    async fn a_star_replaces_every_field_that_may_be_empty(shop: Shop) {
        let mut client = shop.customers();
        let ada = pb::Customer {
            phone: "1".to_owned(),
            password: Some("correct horse".to_owned()),
            ..person("Ada")
        };
        let ada = create(&mut client, ada).await;
        let sent = pb::Customer {
            name: ada.name.clone(),
            email: ada.email.clone(),
            last_name: "Lovelace".to_owned(),
            ..Default::default()
        };

        let written = update(&mut client, sent, &["*"]).await.unwrap();

        assert_eq!((written.first_name.as_str(), written.phone.as_str()), ("", ""));
        assert_eq!(written.number, ada.number);
        assert_eq!(written.groups, ["groups/customer"]);
        let request = pb::VerifyPasswordRequest {
            email: ada.email,
            password: "correct horse".to_owned(),
        };
        client.verify_password(request).await.unwrap();
    }

    async fn both_spellings_of_a_path_are_understood(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let sent = |text: &str| pb::Customer {
            name: ada.name.clone(),
            vat_number: text.to_owned(),
            ..Default::default()
        };

        for (path, text) in [("vat_number", "FR1"), ("vatNumber", "FR2")] {
            let written = update(&mut client, sent(text), &[path]).await.unwrap();
            assert_eq!(written.vat_number, text);
        }
    }

    async fn an_update_with_an_empty_or_invalid_mask_is_refused(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let sent = pb::Customer { name: ada.name.clone(), ..Default::default() };

        for paths in [&[][..], &["shoe_size"], &["create_time"], &["phone", "first.name"]] {
            let refused = update(&mut client, sent.clone(), paths).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        }
        let request = pb::UpdateCustomerRequest { customer: Some(sent), ..Default::default() };
        let refused = client.update_customer(request).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let nobody = pb::Customer { phone: "1".to_owned(), ..Default::default() };
        let refused = update(&mut client, nobody, &["phone"]).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(get(&mut client, &ada.name).await, ada);
    }

    async fn an_update_without_a_change_makes_no_version(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, pb::Customer { phone: "1".to_owned(), ..person("Ada") }).await;

        let written = update(&mut client, ada.clone(), &["phone", "first_name", "groups"]).await;

        assert_eq!(written.unwrap(), ada);
    }

    async fn one_of_the_parallel_updates_with_one_etag_wins(shop: Shop) {
        let client = shop.customers();
        let ada = create(&mut client.clone(), person("Ada")).await;

        let outcomes = join_all((0..8).map(|phone| {
            let mut client = client.clone();
            let sent = pb::Customer { phone: phone.to_string(), ..ada.clone() };
            async move { update(&mut client, sent, &["phone"]).await }
        }))
        .await;

        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 7));
        let current = get(&mut client.clone(), &ada.name).await;
        for refused in lost {
            let refused = refused.unwrap_err();
            assert_refused(&refused, Code::Aborted, ErrorReason::EtagMismatch);
            assert_eq!(metadata(&refused, "current_etag").as_ref(), Some(&current.etag));
        }
    }

    async fn a_repeated_request_gets_the_first_answer(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let sent = |phone: &str| pb::Customer {
            name: ada.name.clone(),
            phone: phone.to_owned(),
            ..Default::default()
        };
        let request = pb::UpdateCustomerRequest {
            request_id: format!("request-{}", unique()),
            ..change(sent("1"), &["phone"])
        };
        let first = client.update_customer(request.clone()).await.unwrap().into_inner();
        update(&mut client, sent("2"), &["phone"]).await.unwrap();

        let again = client.update_customer(request).await.unwrap().into_inner();

        assert_eq!(again, first);
        assert_eq!(get(&mut client, &ada.name).await.phone, "2");
    }

    async fn an_absent_or_deleted_customer_is_not_updated(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        delete(&mut client, &ada.name).await;
        let phone = |name: &str| pb::Customer {
            name: name.to_owned(),
            phone: "1".to_owned(),
            ..Default::default()
        };

        let refused = update(&mut client, phone(&ada.name), &["phone"]).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CustomerDeleted);
        let refused = update(&mut client, phone("customers/nobody"), &["phone"]).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
    }

    async fn an_email_can_be_changed_to_a_free_one_and_frees_the_old(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let bob = create(&mut client, person("Bob")).await;
        let email = |email: &str| pb::Customer {
            name: ada.name.clone(),
            email: email.to_owned(),
            ..Default::default()
        };

        let refused = update(&mut client, email(&bob.email), &["email"]).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
        assert_eq!(metadata(&refused, "customer"), Some(bob.name));
        let refused = update(&mut client, email(""), &["email"]).await.unwrap_err();
        assert_eq!(violations(&refused), [("customer.email".into(), "REQUIRED".into())]);
        let renamed = update(&mut client, email("new.ada@example.test"), &["email"]).await;
        assert_eq!(renamed.unwrap().email, "new.ada@example.test");
        create(&mut client, pb::Customer { email: ada.email, ..person("Cem") }).await;
    }

    async fn numbers_and_external_ids_stay_unique(shop: Shop) {
        let mut client = shop.customers();
        let ada = pb::Customer { external_ids: vec![erp("1")], ..person("Ada") };
        let ada = create(&mut client, ada).await;
        let bob = create(&mut client, person("Bob")).await;

        let number = pb::Customer { number: ada.number.clone(), ..bob.clone() };
        let refused = update(&mut client, number, &["number"]).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::NumberTaken);
        let id = pb::Customer { external_ids: vec![erp("1")], ..bob.clone() };
        let refused = update(&mut client, id.clone(), &["external_ids"]).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::ExternalIdTaken);

        let moved = pb::Customer { external_ids: vec![erp("2")], ..ada };
        update(&mut client, moved, &["external_ids"]).await.unwrap();
        update(&mut client, id, &["external_ids"]).await.unwrap();
        let twice = pb::Customer { external_ids: vec![erp("3"), erp("4")], ..bob };
        let twice = pb::Customer { etag: String::new(), ..twice };
        let refused = update(&mut client, twice, &["external_ids"]).await.unwrap_err();
        let field = "customer.external_ids[1].system";
        assert_eq!(violations(&refused), [(field.into(), "DUPLICATE".into())]);
    }

    async fn the_kind_is_immutable(shop: Shop) {
        let mut client = shop.customers();
        let guest = pb::Customer { kind: customer::Kind::Guest as i32, ..person("Ada") };
        let guest = create(&mut client, guest).await;
        let turned = pb::Customer { kind: customer::Kind::Registered as i32, ..guest };

        let refused = update(&mut client, turned, &["kind"]).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused), [("customer.kind".into(), "IMMUTABLE".into())]);
    }

    async fn a_match_updates_or_creates_one_customer(shop: Shop) {
        let mut client = shop.customers();
        let ada = person("Ada");
        let request = upsert("77", ada.clone());

        let made = client.update_customer(request.clone()).await.unwrap().into_inner();
        let phone = pb::Customer { phone: "1".to_owned(), ..Default::default() };
        let updated = client.update_customer(upsert("77", phone)).await.unwrap().into_inner();

        assert_eq!(made.external_ids, [erp("77")]);
        assert_eq!((&updated.name, &updated.email), (&made.name, &ada.email));
        assert_eq!(updated.phone, "1");
        // The id that found the customer stays.
        let other = pb::ExternalId { system: "crm".to_owned(), id: "5".to_owned() };
        let ids = pb::Customer { external_ids: vec![other.clone()], ..Default::default() };
        let updated = client.update_customer(upsert("77", ids)).await.unwrap().into_inner();
        assert_eq!(updated.external_ids, [other, erp("77")]);
    }

    async fn a_match_without_a_customer_is_not_found_unless_it_may_be_missing(shop: Shop) {
        let mut client = shop.customers();
        let request =
            pb::UpdateCustomerRequest { allow_missing: false, ..upsert("77", person("Ada")) };

        let refused = client.update_customer(request.clone()).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);

        let named = pb::Customer { name: "customers/ada".to_owned(), ..person("Ada") };
        let both = pb::UpdateCustomerRequest { customer: Some(named.clone()), ..request };
        let refused = client.update_customer(both).await.unwrap_err();
        assert_eq!(violations(&refused), [("match".into(), "NOT_ALLOWED".into())]);
        let unmatched = pb::UpdateCustomerRequest {
            customer: Some(named),
            allow_missing: true,
            ..Default::default()
        };
        let refused = client.update_customer(unmatched).await.unwrap_err();
        assert_eq!(violations(&refused), [("allow_missing".into(), "NOT_ALLOWED".into())]);
    }

    async fn parallel_upserts_of_one_external_id_make_one_customer(shop: Shop) {
        let client = shop.customers();
        let ada = person("Ada");

        let outcomes = join_all((0..20).map(|phone| {
            let mut client = client.clone();
            let request = upsert("9", pb::Customer { phone: phone.to_string(), ..ada.clone() });
            async move { client.update_customer(request).await.unwrap().into_inner().name }
        }))
        .await;

        assert!(outcomes.iter().all(|name| *name == outcomes[0]), "{outcomes:?}");
    }

    async fn groups_are_replaced_and_the_default_stays_among_them(shop: Shop) {
        let vip = group(&shop, "vip", pb::Group { priority: 5, ..Default::default() }).await;
        let pro = group(&shop, "pro", pb::Group { priority: 3, ..Default::default() }).await;
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let sent = |groups: &[&String], default: &str| pb::Customer {
            name: ada.name.clone(),
            groups: groups.iter().map(|group| (*group).clone()).collect(),
            default_group: default.to_owned(),
            ..Default::default()
        };

        let both = update(&mut client, sent(&[&vip, &pro], ""), &["groups"]).await.unwrap();
        assert_eq!(both.groups, [pro.clone(), vip.clone()]);
        assert_eq!(both.default_group, pro);
        let default = update(&mut client, sent(&[], &vip), &["default_group"]).await.unwrap();
        assert_eq!(default.default_group, vip);
        let foreign = sent(&[], "groups/customer");
        let refused = update(&mut client, foreign, &["default_group"]).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::DefaultGroupNotMember);
        let paths = ["groups", "default_group"];
        let refused = update(&mut client, sent(&[&pro], "groups/customer"), &paths).await;
        let refused = refused.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::DefaultGroupNotMember);
        let unknown = "groups/none".to_owned();
        let refused = update(&mut client, sent(&[&unknown], ""), &["groups"]).await.unwrap_err();
        assert_eq!(violations(&refused), [("customer.groups[0]".into(), "NOT_FOUND".into())]);
        let none = update(&mut client, sent(&[], ""), &["groups"]).await.unwrap();
        assert_eq!(none.groups, ["groups/customer"]);
        assert_eq!(none.default_group, "groups/customer");
    }

    async fn storefronts_do_not_write_fields_for_staff(shop: Shop) {
        let ada = create(&mut shop.customers(), person("Ada")).await;
        let mut storefront = client_as(&shop, Role::Storefront).await;
        let sent = pb::Customer {
            name: ada.name.clone(),
            tax_exempt: true,
            groups: vec!["groups/customer".to_owned()],
            ..Default::default()
        };

        for path in ["tax_exempt", "groups", "state", "credit_limit", "accounting_number"] {
            let refused = update(&mut storefront, sent.clone(), &[path]).await.unwrap_err();
            assert_refused(&refused, Code::PermissionDenied, ErrorReason::FieldNotWritable);
        }
        let refused = try_create(&mut storefront, pb::Customer {
            tax_exempt: true,
            ..person("Bob")
        });
        let refused = refused.await.unwrap_err();
        assert_refused(&refused, Code::PermissionDenied, ErrorReason::FieldNotWritable);
    }

    async fn a_title_must_exist_when_it_is_chosen_and_may_go_later(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let titled = |title: &str| pb::Customer {
            name: ada.name.clone(),
            title: title.to_owned(),
            ..Default::default()
        };

        let refused = update(&mut client, titled("titles/dr"), &["title"]).await.unwrap_err();
        assert_eq!(violations(&refused), [("customer.title".into(), "NOT_FOUND".into())]);
        update(&mut client, titled("titles/miss"), &["title"]).await.unwrap();
        let request =
            pb::DeleteTitleRequest { name: "titles/miss".to_owned(), ..Default::default() };
        client.delete_title(request).await.unwrap();
        assert_eq!(get(&mut client, &ada.name).await.title, "titles/miss");
        let phone = pb::Customer { phone: "1".to_owned(), ..titled("titles/miss") };
        update(&mut client, phone, &["phone", "title"]).await.unwrap();
    }

    async fn consent_keeps_its_time_until_the_answer_changes(shop: Shop) {
        let mut client = shop.customers();
        let consent = |subscribed| Some(pb::Consent { subscribed, ..Default::default() });
        let ada = pb::Customer { newsletter: consent(true), ..person("Ada") };
        let ada = create(&mut client, ada).await;
        let since = ada.newsletter.as_ref().and_then(|consent| consent.time).unwrap();
        let sent = |newsletter| pb::Customer {
            name: ada.name.clone(),
            newsletter,
            ..Default::default()
        };

        let again = update(&mut client, sent(consent(true)), &["newsletter"]).await.unwrap();
        assert_eq!(again.newsletter.unwrap().time, Some(since));
        let withdrawn = update(&mut client, sent(consent(false)), &["newsletter"]).await.unwrap();
        let withdrawn = withdrawn.newsletter.unwrap();
        assert!(!withdrawn.subscribed && withdrawn.time.unwrap().seconds >= since.seconds);
        let unknown = update(&mut client, sent(None), &["newsletter"]).await.unwrap();
        assert_eq!(unknown.newsletter, None);
    }

    async fn a_validated_update_changes_nothing(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let sent = pb::Customer { phone: "1".to_owned(), ..ada.clone() };
        let request =
            pb::UpdateCustomerRequest { validate_only: true, ..change(sent, &["phone"]) };

        let answer = client.update_customer(request).await.unwrap().into_inner();

        assert_eq!(answer.phone, "1");
        assert_eq!(get(&mut client, &ada.name).await, ada);
        let missing = pb::UpdateCustomerRequest {
            validate_only: true,
            ..upsert("1", person("Bob"))
        };
        client.update_customer(missing.clone()).await.unwrap();
        let name = missing.customer.unwrap().name;
        assert_eq!(name, "");
        let lookup = pb::LookupCustomerRequest {
            key: Some(pb::CustomerKey { key: Some(pb::customer_key::Key::ExternalId(erp("1"))) }),
        };
        let absent = client.lookup_customer(lookup).await.unwrap_err();
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
    }

    async fn every_call_refuses_an_absent_name_alike(shop: Shop) {
        let mut client = shop.customers();
        let absent = try_get(&mut client, "customers/nobody").await.unwrap_err();
        let sent = pb::Customer {
            name: "customers/nobody".to_owned(),
            phone: "1".to_owned(),
            ..Default::default()
        };

        let updated = update(&mut client, sent, &["phone"]).await.unwrap_err();

        assert_eq!(updated.message(), absent.message());
        assert_eq!(updated.details(), absent.details());
        let created = client.create_customer(creation(person("Ada"))).await.unwrap().into_inner();
        assert_ne!(created.name, "customers/nobody");
    }
}
