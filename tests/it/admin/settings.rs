//! Tests the effect of each setting of a shop on the calls of the other services.

mod groups;
mod time;

use clientela::proto::pb::{self, ErrorReason, customer};
use tonic::Code;

use super::update;
use crate::carts::{Carts, customer as of_customer, item, named, of, visitor};
use crate::customers::{create, person, try_create};
use crate::harness::{Shop, assert_refused, violations};
use crate::on_both_engines;

async fn set(shop: &Shop, settings: pb::ShopSettings, paths: &[&str]) -> pb::ShopSettings {
    let request = update(settings, paths);
    let answer = shop.admin().update_shop_settings(request).await;
    answer.expect("the settings are accepted").into_inner()
}

on_both_engines! {
    async fn carts_without_a_currency_have_the_shops(shop: Shop) {
        let default_currency_code = "CHF".to_owned();
        let settings = pb::ShopSettings { default_currency_code, ..Default::default() };
        set(&shop, settings, &[]).await;

        let request = pb::CreateCartRequest { owner: Some(visitor()), ..Default::default() };
        let created = shop.carts().create_cart(request).await.unwrap().into_inner();
        let attributes = pb::cart_edit::Edit::SetAttributes(prost_types::Struct::default());
        let request = pb::EditCartRequest {
            target: of(&visitor()),
            edits: vec![pb::CartEdit { edit: Some(attributes) }],
            ..Default::default()
        };
        let opened = shop.carts().edit_cart(request).await.unwrap().into_inner();
        let euros = shop.add(of(&visitor()), item("shirt", 1)).await;

        for cart in [&created, &opened] {
            assert_eq!(cart.currency_code, "CHF");
            assert_eq!(cart.total.as_ref().unwrap().currency_code, "CHF");
        }
        assert_eq!(euros.currency_code, "EUR", "the line has this currency");
        let refused = shop.try_add(named(&created.name), item("shirt", 1)).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::CurrencyMismatch);
        set(&shop, pb::ShopSettings::default(), &["default_currency_code"]).await;
        let request = pb::CreateCartRequest { owner: Some(visitor()), ..Default::default() };
        let created = shop.carts().create_cart(request).await.unwrap().into_inner();
        assert_eq!(created.currency_code, "EUR");
    }

    async fn names_of_groups_fall_back_in_the_order_of_the_languages(shop: Shop) {
        let names = [("de", "Großhandel"), ("fr", "Gros"), ("it", "Ingrosso")];
        let display_names = names.map(|(tag, name)| (tag.to_owned(), name.to_owned())).into();
        let request = pb::CreateGroupRequest {
            group: Some(pb::Group { display_names, ..Default::default() }),
            group_id: "wholesale".into(),
            ..Default::default()
        };
        shop.groups().create_group(request).await.unwrap();
        let shown = async |language_code: &str| {
            let request = pb::GetGroupRequest {
                name: "groups/wholesale".into(),
                language_code: language_code.into(),
            };
            let got = shop.groups().get_group(request).await.unwrap().into_inner().display_name;
            let request = pb::ListGroupsRequest {
                filter: "name = wholesale".into(),
                language_code: language_code.into(),
                ..Default::default()
            };
            let listed = shop.groups().list_groups(request).await.unwrap().into_inner();
            assert_eq!(listed.groups[0].display_name, got);
            got
        };

        for (languages, expected) in [
            (vec!["fr", "de"], "Gros"),
            (vec!["es", "it", "fr"], "Ingrosso"),
            (vec!["de-AT"], "Großhandel"),
        ] {
            let language_codes = languages.into_iter().map(str::to_owned).collect();
            set(&shop, pb::ShopSettings { language_codes, ..Default::default() }, &[]).await;
            assert_eq!(shown("").await, expected);
            assert_eq!(shown("pt").await, expected, "no group has a name in Portuguese");
            assert_eq!(shown("it").await, "Ingrosso", "the requested language comes first");
        }
    }

    async fn a_shop_accepts_or_refuses_guests(shop: Shop) {
        let mut customers = shop.customers();
        let guest = || pb::Customer { kind: customer::Kind::Guest.into(), ..person("Bob") };
        let early = create(&mut customers, guest()).await;
        let settings = pb::ShopSettings { guest_checkout: Some(false), ..Default::default() };
        set(&shop, settings, &[]).await;

        let plain = pb::CreateCustomerRequest { customer: Some(guest()), ..Default::default() };
        let tried = pb::CreateCustomerRequest { validate_only: true, ..plain.clone() };
        let erp = pb::ExternalId { system: "erp".into(), id: "1".into() };
        let upsert = pb::UpdateCustomerRequest {
            customer: Some(guest()),
            r#match: Some(erp),
            allow_missing: true,
            ..Default::default()
        };
        for refused in [
            customers.create_customer(plain.clone()).await.unwrap_err(),
            customers.create_customer(tried).await.unwrap_err(),
            customers.update_customer(upsert.clone()).await.unwrap_err(),
        ] {
            let disabled = ErrorReason::GuestCheckoutDisabled;
            assert_refused(&refused, Code::FailedPrecondition, disabled);
        }
        // Registered customers and earlier guests continue.
        create(&mut customers, person("Ada")).await;
        shop.add(of(&of_customer(&early.name)), item("shirt", 1)).await;

        set(&shop, pb::ShopSettings::default(), &["guest_checkout"]).await;
        customers.create_customer(plain).await.expect("guests are accepted again");
        customers.update_customer(upsert).await.expect("guests are accepted again");
    }

    async fn a_customer_that_waits_for_approval_does_not_sign_in(shop: Shop) {
        let new_customer_state = customer::State::PendingApproval.into();
        set(&shop, pb::ShopSettings { new_customer_state, ..Default::default() }, &[]).await;
        let mut customers = shop.customers();
        let password = "a password of hers".to_owned();

        let ada = pb::Customer { password: Some(password.clone()), ..person("Ada") };
        let ada = create(&mut customers, ada).await;
        let guest = pb::Customer { kind: customer::Kind::Guest.into(), ..person("Bob") };
        let guest = create(&mut customers, guest).await;

        assert_eq!(ada.state(), customer::State::PendingApproval);
        assert_eq!(guest.state(), customer::State::Active, "a guest needs no approval");
        let verify = pb::VerifyPasswordRequest { email: ada.email.clone(), password };
        let refused = customers.verify_password(verify.clone()).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::WrongCredentials);
        let approved = pb::Customer { state: customer::State::Active.into(), ..ada };
        let approved = crate::customers::update(&mut customers, approved, &["state"]).await;
        assert_eq!(approved.unwrap().state(), customer::State::Active);
        customers.verify_password(verify).await.expect("an approved customer signs in");

        let new_customer_state = customer::State::Invited.into();
        let sent = pb::ShopSettings { new_customer_state, ..Default::default() };
        let refused = shop.admin().update_shop_settings(update(sent, &[])).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused)[0].0, "settings.new_customer_state");
    }

    async fn the_setting_decides_whether_a_deletion_frees_the_email(shop: Shop) {
        use pb::delete_customer_request::ReRegistration;
        let mut customers = shop.customers();
        let free = async |again: &str| {
            let customer = pb::Customer { email: again.into(), ..person("Bob") };
            match try_create(&mut shop.customers(), customer).await {
                Ok(_) => true,
                Err(refused) => {
                    assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
                    false
                }
            }
        };
        for (setting, asked, expected) in [
            (ReRegistration::Unspecified, ReRegistration::Unspecified, true),
            (ReRegistration::Forbid, ReRegistration::Unspecified, false),
            (ReRegistration::Forbid, ReRegistration::Allow, true),
            (ReRegistration::Allow, ReRegistration::Unspecified, true),
            (ReRegistration::Allow, ReRegistration::Forbid, false),
        ] {
            let re_registration = setting.into();
            let settings = pb::ShopSettings { re_registration, ..Default::default() };
            set(&shop, settings, &["re_registration"]).await;
            let ada = create(&mut customers, person("Ada")).await;
            let delete = pb::DeleteCustomerRequest {
                name: ada.name,
                re_registration: asked.into(),
                ..Default::default()
            };
            customers.delete_customer(delete).await.unwrap();
            assert_eq!(free(&ada.email).await, expected, "{setting:?}, {asked:?}");
        }
    }
}
