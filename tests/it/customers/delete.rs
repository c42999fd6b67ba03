//! Tests DeleteCustomer and UndeleteCustomer.

use clientela::proto::pb::{
    self, ErrorReason, customer_key::Key, delete_customer_request::ReRegistration,
};
use tonic::{Code, Status};

use super::{Client, create, delete, get, group, metadata, person, try_create, update};
use crate::harness::{Shop, assert_refused, unique};
use crate::on_both_engines;

fn deletion(name: &str, re_registration: ReRegistration) -> pb::DeleteCustomerRequest {
    pb::DeleteCustomerRequest {
        name: name.to_owned(),
        re_registration: re_registration as i32,
        ..Default::default()
    }
}

async fn undelete(client: &mut Client, name: &str) -> Result<pb::Customer, Status> {
    let request = pb::UndeleteCustomerRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    Ok(client.undelete_customer(request).await?.into_inner())
}

async fn member_count(shop: &Shop, group: &str) -> i64 {
    let request = pb::GetGroupRequest {
        name: group.to_owned(),
        ..Default::default()
    };
    shop.groups()
        .get_group(request)
        .await
        .unwrap()
        .into_inner()
        .member_count
}

on_both_engines! {
    async fn a_deleted_customer_is_not_listed_and_is_restored_unchanged(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;

        delete(&mut client, &ada.name).await;

        let deleted = get(&mut client, &ada.name).await;
        assert!(deleted.delete_time.is_some());
        assert_ne!(deleted.etag, ada.etag);
        let list = client.list_customers(pb::ListCustomersRequest::default()).await.unwrap();
        assert_eq!(list.into_inner().customers, []);
        let shown = pb::ListCustomersRequest { show_deleted: true, ..Default::default() };
        let list = client.list_customers(shown).await.unwrap();
        assert_eq!(list.into_inner().customers, [deleted]);
        let back = undelete(&mut client, &ada.name).await.unwrap();
        assert_eq!(back, get(&mut client, &ada.name).await);
        let unversioned = |customer: pb::Customer| pb::Customer {
            etag: String::new(),
            update_time: None,
            ..customer
        };
        assert_eq!(unversioned(back), unversioned(ada));
    }

    async fn an_email_is_free_again_unless_the_request_forbids_it(shop: Shop) {
        let mut client = shop.customers();
        for (re_registration, free) in [
            (ReRegistration::Allow, true),
            (ReRegistration::Unspecified, true),
            (ReRegistration::Forbid, false),
        ] {
            let ada = create(&mut client, person("Ada")).await;
            client.delete_customer(deletion(&ada.name, re_registration)).await.unwrap();
            let again = pb::Customer { email: ada.email.clone(), ..person("Bob") };

            match try_create(&mut client, again).await {
                Ok(_) => assert!(free, "{re_registration:?}"),
                Err(refused) => {
                    assert!(!free, "{re_registration:?}");
                    assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
                    assert_eq!(metadata(&refused, "customer"), Some(ada.name));
                }
            }
        }
    }

    async fn the_settings_apply_to_a_deletion_without_a_choice(shop: Shop) {
        let settings = pb::ShopSettings {
            re_registration: ReRegistration::Forbid as i32,
            ..Default::default()
        };
        let request =
            pb::UpdateShopSettingsRequest { settings: Some(settings), ..Default::default() };
        shop.admin().update_shop_settings(request).await.unwrap();
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;

        delete(&mut client, &ada.name).await;

        let again = pb::Customer { email: ada.email, ..person("Bob") };
        let refused = try_create(&mut client, again).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
    }

    async fn deleting_again_changes_only_whether_the_email_is_free(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        client.delete_customer(deletion(&ada.name, ReRegistration::Forbid)).await.unwrap();
        let first = get(&mut client, &ada.name).await;

        client.delete_customer(deletion(&ada.name, ReRegistration::Unspecified)).await.unwrap();
        let email = pb::Customer { email: ada.email.clone(), ..person("Bob") };
        let refused = try_create(&mut client, email.clone()).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
        client.delete_customer(deletion(&ada.name, ReRegistration::Allow)).await.unwrap();

        assert_eq!(get(&mut client, &ada.name).await.delete_time, first.delete_time);
        let bob = create(&mut client, email).await;
        let forbid = deletion(&ada.name, ReRegistration::Forbid);
        let refused = client.delete_customer(forbid).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
        assert_eq!(metadata(&refused, "customer"), Some(bob.name));
    }

    async fn a_refused_undeletion_names_the_customer_with_the_email(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        delete(&mut client, &ada.name).await;
        let bob = pb::Customer { email: ada.email.clone(), ..person("Bob") };
        let bob = create(&mut client, bob).await;

        let refused = undelete(&mut client, &ada.name).await.unwrap_err();

        assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
        assert_eq!(metadata(&refused, "customer"), Some(bob.name.clone()));
        assert!(get(&mut client, &ada.name).await.delete_time.is_some());
        delete(&mut client, &bob.name).await;
        undelete(&mut client, &ada.name).await.unwrap();
        let key = Some(pb::CustomerKey { key: Some(Key::Email(ada.email)) });
        let found = client.lookup_customer(pb::LookupCustomerRequest { key }).await.unwrap();
        assert_eq!(found.into_inner().name, ada.name);
    }

    async fn only_a_deleted_customer_is_undeleted_and_only_an_existing_one_deleted(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;

        let refused = undelete(&mut client, &ada.name).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CustomerNotDeleted);
        let refused = undelete(&mut client, "customers/nobody").await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        let nobody = deletion("customers/nobody", ReRegistration::Allow);
        let refused = client.delete_customer(nobody).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
    }

    async fn a_stale_etag_stops_a_deletion_and_an_undeletion(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let phone = pb::Customer { phone: "1".to_owned(), ..ada.clone() };
        let current = update(&mut client, phone, &["phone"]).await.unwrap();
        let with = |etag: &str| pb::DeleteCustomerRequest {
            etag: etag.to_owned(),
            ..deletion(&ada.name, ReRegistration::Allow)
        };

        let refused = client.delete_customer(with(&ada.etag)).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, ErrorReason::EtagMismatch);
        assert_eq!(metadata(&refused, "current_etag"), Some(current.etag.clone()));
        client.delete_customer(with(&current.etag)).await.unwrap();
        let request =
            pb::UndeleteCustomerRequest { name: ada.name, etag: current.etag, ..Default::default() };
        let refused = client.undelete_customer(request).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, ErrorReason::EtagMismatch);
    }

    async fn a_repeated_deletion_does_not_delete_a_restored_customer(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let request = pb::DeleteCustomerRequest {
            request_id: format!("request-{}", unique()),
            ..deletion(&ada.name, ReRegistration::Allow)
        };
        client.delete_customer(request.clone()).await.unwrap();
        undelete(&mut client, &ada.name).await.unwrap();

        client.delete_customer(request).await.unwrap();

        assert_eq!(get(&mut client, &ada.name).await.delete_time, None);
    }

    async fn a_deleted_customer_is_not_counted_until_it_is_restored(shop: Shop) {
        let vip = group(&shop, "vip", pb::Group::default()).await;
        let mut client = shop.customers();
        let groups = vec!["groups/customer".to_owned(), vip.clone()];
        let ada = pb::Customer { groups, default_group: vip.clone(), ..person("Ada") };
        let ada = create(&mut client, ada).await;
        assert_eq!(member_count(&shop, &vip).await, 1);

        delete(&mut client, &ada.name).await;
        assert_eq!(member_count(&shop, &vip).await, 0);
        let back = undelete(&mut client, &ada.name).await.unwrap();

        assert_eq!(member_count(&shop, &vip).await, 1);
        assert_eq!((back.groups, back.default_group), (ada.groups, ada.default_group));
    }

    async fn a_customer_restored_after_its_groups_ended_is_in_the_special_group(shop: Shop) {
        let vip = group(&shop, "vip", pb::Group::default()).await;
        let mut client = shop.customers();
        let ada = pb::Customer { default_group: vip.clone(), ..person("Ada") };
        let ada = create(&mut client, ada).await;
        assert_eq!(ada.groups, std::slice::from_ref(&vip));
        delete(&mut client, &ada.name).await;
        let request = pb::DeleteGroupRequest { name: vip, ..Default::default() };
        shop.groups().delete_group(request).await.unwrap();

        let back = undelete(&mut client, &ada.name).await.unwrap();

        assert_eq!(back.groups, ["groups/customer"]);
        assert_eq!(back.default_group, "groups/customer");
    }
}
