//! Tests that e-mail addresses, languages and time zones are stored in one canonical spelling.

use clientela::proto::pb::{self, ErrorReason};
use tonic::Code;

use crate::carts::visitor;
use crate::harness::{assert_refused, unique, violations};
use crate::on_both_engines;

/// Names in two languages.
fn names(one: &str, other: &str) -> std::collections::BTreeMap<String, String> {
    [
        (one.to_owned(), "One".to_owned()),
        (other.to_owned(), "Other".to_owned()),
    ]
    .into()
}

on_both_engines! {
    async fn an_e_mail_address_is_stored_without_outer_blanks(shop: Shop) {
        let address = format!("Ada{}@example.test", unique());
        let request = pb::CreateCustomerRequest {
            customer: Some(pb::Customer {
                email: format!(" \u{a0}{address} "),
                ..Default::default()
            }),
            ..Default::default()
        };

        let made = shop.customers().create_customer(request).await.unwrap().into_inner();
        assert_eq!(made.email, address);
        let update = pb::UpdateCustomerRequest {
            customer: Some(pb::Customer {
                name: made.name.clone(),
                email: format!("{address}\u{3000}"),
                ..Default::default()
            }),
            ..Default::default()
        };
        let updated = shop.customers().update_customer(update).await.unwrap().into_inner();
        assert_eq!((updated.email, updated.etag), (made.email, made.etag), "nothing has changed");
    }

    async fn languages_are_stored_in_their_canonical_case(shop: Shop) {
        let language_code = "ZH-yue-hant-hk";
        let canonical = "zh-yue-Hant-HK";
        let request = pb::CreateCustomerRequest {
            customer: Some(pb::Customer {
                email: format!("ada{}@example.test", unique()),
                language_code: language_code.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let customer = shop.customers().create_customer(request).await.unwrap().into_inner();
        assert_eq!(customer.language_code, canonical);
        let request = pb::CreateCartRequest {
            owner: Some(visitor()),
            cart: Some(pb::Cart { language_code: language_code.into(), ..Default::default() }),
            ..Default::default()
        };
        let cart = shop.carts().create_cart(request).await.unwrap().into_inner();
        assert_eq!(cart.language_code, canonical);
        let group = pb::Group { display_names: names("PT-br", "FR"), ..Default::default() };
        let request = pb::CreateGroupRequest { group: Some(group), ..Default::default() };
        let group = shop.groups().create_group(request).await.unwrap().into_inner();
        assert_eq!(group.display_names, names("pt-BR", "fr"));
        let title = pb::Title { display_names: names("PT-br", "FR"), ..Default::default() };
        let request = pb::CreateTitleRequest { title: Some(title), ..Default::default() };
        let title = shop.customers().create_title(request).await.unwrap().into_inner();
        assert_eq!(title.display_names, names("pt-BR", "fr"));

        let find = pb::ListCustomersRequest {
            filter: format!("language_code = \"{language_code}\""),
            ..Default::default()
        };
        let found = shop.customers().list_customers(find).await.unwrap().into_inner();
        assert_eq!(found.customers.len(), 1, "{canonical}");
        for filter in ["display_names:PT-br", "display_names.FR = Other"] {
            let find = pb::ListGroupsRequest { filter: filter.into(), ..Default::default() };
            let found = shop.groups().list_groups(find).await.unwrap().into_inner();
            let found: Vec<&str> = found.groups.iter().map(|group| group.name.as_str()).collect();
            assert_eq!(found, [&group.name], "{filter}");
        }
        let get = pb::GetGroupRequest { name: group.name.clone(), language_code: "pt-BR".into() };
        let shown = shop.groups().get_group(get).await.unwrap().into_inner();
        assert_eq!(shown.display_name, "One");
        let again = pb::Group {
            name: group.name.clone(),
            display_names: names("pt-br", "Fr"),
            ..Default::default()
        };
        let request = pb::UpdateGroupRequest { group: Some(again), ..Default::default() };
        let updated = shop.groups().update_group(request).await.unwrap().into_inner();
        assert_eq!(updated.etag, group.etag, "nothing has changed");
    }

    async fn a_language_in_two_spellings_is_a_duplicate(shop: Shop) {
        let group = pb::Group { display_names: names("pt-BR", "pt-br"), ..Default::default() };
        let request = pb::CreateGroupRequest { group: Some(group), ..Default::default() };
        let refused = shop.groups().create_group(request).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let field = |field: &str| vec![(field.to_owned(), "DUPLICATE".to_owned())];
        assert_eq!(violations(&refused), field("group.display_names"));
        let title = pb::Title { display_names: names("fr", "FR"), ..Default::default() };
        let request = pb::CreateTitleRequest { title: Some(title), ..Default::default() };
        let refused = shop.customers().create_title(request).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused), field("title.display_names"));
        let settings = pb::ShopSettings {
            language_codes: vec!["de-CH".into(), "DE-ch".into()],
            ..Default::default()
        };
        let request =
            pb::UpdateShopSettingsRequest { settings: Some(settings), ..Default::default() };
        let refused = shop.admin().update_shop_settings(request).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused), field("settings.language_codes"));
    }

    async fn settings_have_canonical_languages_and_time_zones(shop: Shop) {
        let settings = pb::ShopSettings {
            language_codes: vec!["DE-ch".into(), "x-Our-Own".into()],
            time_zone: "america/port-AU-prince".into(),
            ..Default::default()
        };
        let request =
            pb::UpdateShopSettingsRequest { settings: Some(settings), ..Default::default() };

        let stored = shop.admin().update_shop_settings(request).await.unwrap().into_inner();

        assert_eq!(stored.language_codes, ["de-CH", "x-our-own"]);
        assert_eq!(stored.time_zone, "America/Port-au-Prince");
    }
}
