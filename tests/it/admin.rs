//! Tests AdminService: shops, their settings and their keys.

mod keys;
mod settings;

use clientela::on;
use clientela::proto::pb::{self, ErrorReason, Role};
use futures::FutureExt as _;
use tonic::Code;

use crate::harness::{Shop, assert_refused, eventually, violations};
use crate::on_both_engines;

fn shop_request(id: &str, request_id: &str) -> pb::CreateShopRequest {
    pb::CreateShopRequest {
        shop: Some(pb::Shop {
            display_name: "Trade".into(),
            ..Default::default()
        }),
        shop_id: id.into(),
        request_id: request_id.into(),
        ..Default::default()
    }
}

fn key_request(roles: &[Role], request_id: &str) -> pb::CreateApiKeyRequest {
    pb::CreateApiKeyRequest {
        api_key: Some(pb::ApiKey {
            display_name: "a test".into(),
            roles: roles.iter().map(|role| *role as i32).collect(),
            ..Default::default()
        }),
        request_id: request_id.into(),
    }
}

fn update(settings: pb::ShopSettings, paths: &[&str]) -> pb::UpdateShopSettingsRequest {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    pb::UpdateShopSettingsRequest {
        settings: Some(settings),
        update_mask: (!paths.is_empty()).then_some(prost_types::FieldMask { paths }),
        ..Default::default()
    }
}

on_both_engines! {
    async fn a_new_shop_begins_with_groups_titles_and_settings(shop: Shop) {
        let mut operator = shop.admin_as(&shop.operator_key);
        let made = operator.create_shop(shop_request("trade", "")).await.unwrap().into_inner();
        assert_eq!((made.name.as_str(), made.display_name.as_str()), ("shops/trade", "Trade"));

        let key = shop.key_of("trade", &[Role::Admin]).await;

        let settings =
            shop.admin_as(&key).get_shop_settings(pb::GetShopSettingsRequest {}).await.unwrap();
        assert_eq!(settings.get_ref().name, "shops/trade/settings");
        assert_eq!(settings.get_ref().default_currency_code, "EUR");
        assert_eq!(settings.get_ref().visitor_cart_retention_days, Some(90));
        let groups = shop.groups_as(&key).list_groups(pb::ListGroupsRequest::default()).await;
        let groups: Vec<String> =
            groups.unwrap().into_inner().groups.into_iter().map(|group| group.name).collect();
        assert_eq!(groups, ["groups/customer", "groups/guest", "groups/visitor"]);
        let titles = shop.customers_as(&key).list_titles(pb::ListTitlesRequest::default()).await;
        let titles: Vec<String> =
            titles.unwrap().into_inner().titles.into_iter().map(|title| title.name).collect();
        assert_eq!(titles, ["titles/miss", "titles/mr", "titles/ms", "titles/unknown"]);
        let of_before = shop.store().read(|conn| async move {
            let text = "SELECT id FROM shops WHERE customers_index = ''";
            Ok(on!(conn, |e| sqlx::query_scalar::<_, String>(text).fetch_all(e).await)?)
        }.boxed());
        assert_eq!(of_before.await.unwrap(), Vec::<String>::new(), "an index for its customers exists");
    }

    async fn a_shop_is_created_once(shop: Shop) {
        let mut operator = shop.admin_as(&shop.operator_key);
        let first = operator.create_shop(shop_request("trade", "r1")).await.unwrap().into_inner();

        let again = operator.create_shop(shop_request("default", "r2")).await.unwrap_err();
        let repeated = with_shop(&shop, "default")
            .create_shop(shop_request("trade", "r1"))
            .await
            .unwrap()
            .into_inner();

        assert_refused(&again, Code::AlreadyExists, ErrorReason::NameTaken);
        assert_eq!(repeated, first);
    }

    async fn a_validated_shop_is_not_created(shop: Shop) {
        let mut operator = shop.admin_as(&shop.operator_key);
        let tried = pb::CreateShopRequest { validate_only: true, ..shop_request("trade", "") };

        assert_eq!(operator.create_shop(tried).await.unwrap().into_inner().name, "shops/trade");

        let get = pb::GetShopRequest { name: "shops/trade".into() };
        let absent = operator.get_shop(get).await.unwrap_err();
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
    }

    async fn an_admin_key_sees_only_its_own_shop(shop: Shop) {
        let mut operator = shop.admin_as(&shop.operator_key);
        for id in ["a", "b", "c"] {
            operator.create_shop(shop_request(id, "")).await.unwrap();
        }

        let mut own = shop.admin();
        let listed = own.list_shops(pb::ListShopsRequest::default()).await.unwrap().into_inner();
        assert_eq!(listed.shops.len(), 1);
        assert_eq!(listed.shops[0].name, "shops/default");
        let nonsense = pb::ListShopsRequest { page_token: "x".into(), ..Default::default() };
        let refused = own.list_shops(nonsense).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidPageToken);
        let other = pb::GetShopRequest { name: "shops/a".into() };
        let refused = own.get_shop(other).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);

        let mut names = Vec::new();
        let mut page_token = String::new();
        loop {
            let page = pb::ListShopsRequest { page_size: 3, page_token };
            let page = operator.list_shops(page).await.unwrap().into_inner();
            names.extend(page.shops.into_iter().map(|shop| shop.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(names, ["shops/a", "shops/b", "shops/c", "shops/default"]);
    }

    async fn settings_change_by_mask_and_by_etag(shop: Shop) {
        let mut admin = shop.admin();
        let before =
            admin.get_shop_settings(pb::GetShopSettingsRequest {}).await.unwrap().into_inner();
        let sent = pb::ShopSettings {
            time_zone: "Europe/Paris".into(),
            default_currency_code: "CHF".into(),
            etag: before.etag.clone(),
            ..Default::default()
        };

        let after =
            admin.update_shop_settings(update(sent.clone(), &["timeZone"])).await.unwrap();
        let stale = admin.update_shop_settings(update(sent, &[])).await.unwrap_err();

        let after = after.into_inner();
        assert_eq!(after.time_zone, "Europe/Paris");
        assert_eq!(after.default_currency_code, "EUR");
        assert_ne!(after.etag, before.etag);
        assert_refused(&stale, Code::Aborted, ErrorReason::EtagMismatch);
        let now = admin.get_shop_settings(pb::GetShopSettingsRequest {}).await.unwrap();
        assert_eq!(now.into_inner(), after);
    }

    async fn validated_settings_do_not_change(shop: Shop) {
        let mut admin = shop.admin();
        let sent = pb::ShopSettings { time_zone: "Asia/Tokyo".into(), ..Default::default() };
        let tried = pb::UpdateShopSettingsRequest { validate_only: true, ..update(sent, &[]) };

        let answer = admin.update_shop_settings(tried).await.unwrap().into_inner();

        assert_eq!(answer.time_zone, "Asia/Tokyo");
        let now = admin.get_shop_settings(pb::GetShopSettingsRequest {}).await.unwrap();
        assert_eq!(now.into_inner().time_zone, "UTC");
    }

    async fn a_special_group_must_exist(shop: Shop) {
        let sent = pb::ShopSettings { guest_group: "groups/nobody".into(), ..Default::default() };

        let refused = shop.admin().update_shop_settings(update(sent, &[])).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let named = violations(&refused);
        assert_eq!(named, [("settings.guest_group".to_owned(), "NOT_FOUND".to_owned())]);
    }

    async fn a_group_that_becomes_special_shows_it(shop: Shop) {
        let group = pb::CreateGroupRequest {
            group: Some(pb::Group {
                display_names: [("en".to_owned(), "Walk-in".to_owned())].into(),
                ..Default::default()
            }),
            group_id: "walk-in".into(),
            ..Default::default()
        };
        shop.groups().create_group(group).await.unwrap();

        let sent = pb::ShopSettings { guest_group: "groups/walk-in".into(), ..Default::default() };
        shop.admin().update_shop_settings(update(sent, &[])).await.unwrap();

        let kinds = async |name: &str| {
            let request = pb::GetGroupRequest { name: name.into(), ..Default::default() };
            shop.groups().get_group(request).await.unwrap().into_inner().special_kinds
        };
        assert_eq!(kinds("groups/walk-in").await, [pb::group::SpecialKind::Guest as i32]);
        assert_eq!(kinds("groups/guest").await, [0_i32; 0]);
    }

    async fn the_secret_of_a_key_is_shown_once_and_works_at_once(shop: Shop) {
        let mut admin = shop.admin();
        let made = admin.create_api_key(key_request(&[Role::Monitor], "k1")).await.unwrap();
        let made = made.into_inner();

        let repeated = admin.create_api_key(key_request(&[Role::Monitor], "k1")).await.unwrap_err();

        assert_refused(&repeated, Code::AlreadyExists, ErrorReason::AnswerNotStored);
        let mut groups = shop.groups_as(&made.secret);
        assert!(groups.list_groups(pb::ListGroupsRequest::default()).await.is_ok());
        let listed = admin.list_api_keys(pb::ListApiKeysRequest::default()).await.unwrap();
        let listed = listed.into_inner().api_keys;
        assert_eq!(listed.first(), made.api_key.as_ref());
        assert!(listed.iter().all(|key| key.shop == "shops/default"));
    }

    async fn an_admin_key_makes_no_operator_key(shop: Shop) {
        let refused =
            shop.admin().create_api_key(key_request(&[Role::Operator], "")).await.unwrap_err();
        let mixed = shop
            .admin_as(&shop.operator_key)
            .create_api_key(key_request(&[Role::Operator, Role::Admin], ""))
            .await
            .unwrap_err();

        assert_refused(&refused, Code::PermissionDenied, ErrorReason::FieldNotWritable);
        assert_refused(&mixed, Code::InvalidArgument, ErrorReason::InvalidField);
    }

    async fn a_revoked_key_is_refused(shop: Shop) {
        let mut admin = shop.admin();
        let made = admin.create_api_key(key_request(&[Role::Monitor], "")).await.unwrap();
        let made = made.into_inner();
        let name = made.api_key.unwrap().name;

        let revoke = pb::RevokeApiKeyRequest { name: name.clone(), request_id: String::new() };
        admin.revoke_api_key(revoke.clone()).await.unwrap();
        admin.revoke_api_key(revoke).await.unwrap();

        let refused = eventually("the end of the key", || async {
            let mut groups = shop.groups_as(&made.secret);
            groups.list_groups(pb::ListGroupsRequest::default()).await.err()
        });
        let refused = refused.await;
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);
        let listed = admin.list_api_keys(pb::ListApiKeysRequest::default()).await.unwrap();
        assert!(listed.into_inner().api_keys.iter().all(|key| key.name != name));
        let all = pb::ListApiKeysRequest { show_revoked: true, ..Default::default() };
        let all = admin.list_api_keys(all).await.unwrap().into_inner().api_keys;
        assert!(all.iter().any(|key| key.name == name && key.revoke_time.is_some()));
    }

    async fn a_key_of_another_shop_is_not_found(shop: Shop) {
        let mut operator = shop.admin_as(&shop.operator_key);
        operator.create_shop(shop_request("trade", "")).await.unwrap();
        shop.key_of("trade", &[Role::Admin]).await;
        let listed = operator.list_api_keys(pb::ListApiKeysRequest::default());
        let operators = listed.await.unwrap().into_inner().api_keys;
        let operators: Vec<&str> = operators.iter().map(|key| key.name.as_str()).collect();

        for name in operators.into_iter().chain(["apiKeys/none"]) {
            let revoke = pb::RevokeApiKeyRequest { name: name.into(), request_id: String::new() };
            let refused = shop.admin().revoke_api_key(revoke).await.unwrap_err();
            assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        }
    }

    async fn keys_are_listed_page_by_page_newest_first(shop: Shop) {
        let mut admin = shop.admin();
        let mut made = Vec::new();
        for _ in 0..5 {
            let key = admin.create_api_key(key_request(&[Role::Ingest], "")).await.unwrap();
            made.push(key.into_inner().api_key.unwrap().name);
        }
        made.reverse();

        let mut names = Vec::new();
        let mut page_token = String::new();
        loop {
            let page = pb::ListApiKeysRequest { page_size: 2, page_token, ..Default::default() };
            let page = admin.list_api_keys(page).await.unwrap().into_inner();
            names.extend(page.api_keys.into_iter().map(|key| key.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }

        assert_eq!(names.len(), 6, "including the key of the first start");
        assert_eq!(names[..5], made);
    }
}

/// Returns a client of AdminService with the operator key and a named shop.
fn with_shop(
    shop: &Shop,
    id: &str,
) -> pb::admin_service_client::AdminServiceClient<crate::harness::Transport> {
    let keyed = Shop::with_key(&shop.operator_key).and("clientela-shop", id);
    pb::admin_service_client::AdminServiceClient::with_interceptor(shop.channel(), keyed)
}
