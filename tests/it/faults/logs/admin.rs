//! Calls about groups, saved filters, shops and keys, and calls without a valid key.

use clientela::proto::pb::{self, ErrorReason, Role};
use tonic_types::StatusExt as _;

use super::driver::Driver;
use crate::harness::Shop;
use crate::saved_filters;
use crate::specimens::text;

pub async fn drive(driver: &mut Driver) {
    groups(driver).await;
    saved_filters(driver).await;
    keys(driver).await;
    strangers(driver).await;
}

async fn groups(driver: &mut Driver) {
    let create = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: [("en".to_owned(), "Friends of Zebra".to_owned())].into(),
            ..Default::default()
        }),
        group_id: "friends".into(),
        ..Default::default()
    };
    driver.done("CreateGroup", &create).await;
    driver
        .refused("CreateGroup", ErrorReason::NameTaken, &create)
        .await;
    let add = pb::AddMembersRequest {
        group: "groups/friends".into(),
        members: vec![super::plain::EMAIL.into(), "no.zebra@example.test".into()],
        ..Default::default()
    };
    driver.done("AddMembers", &add).await;
    let list = pb::ListMembersRequest {
        group: "groups/friends".into(),
        ..Default::default()
    };
    driver.done("ListMembers", &list).await;
    let delete = pb::DeleteGroupRequest {
        name: "groups/friends".into(),
        ..Default::default()
    };
    driver.done("DeleteGroup", &delete).await;
    let list = pb::ListOperationsRequest::default();
    driver.done("ListOperations", &list).await;
}

async fn saved_filters(driver: &mut Driver) {
    let mut saved_filter = saved_filters::sent("Filter of Zebra", false);
    saved_filter.filter = "display_name = zebra".into();
    let create = pb::CreateSavedFilterRequest {
        saved_filter: Some(saved_filter),
        ..Default::default()
    };
    driver.done("CreateSavedFilter", &create).await;
    let mut create = create;
    create.saved_filter.as_mut().unwrap().filter = "zebra = 1".into();
    driver
        .refused("CreateSavedFilter", ErrorReason::InvalidFilter, &create)
        .await;
    let list = pb::ListSavedFiltersRequest::default();
    driver.done("ListSavedFilters", &list).await;
}

async fn keys(driver: &mut Driver) {
    let create = pb::CreateApiKeyRequest {
        api_key: Some(pb::ApiKey {
            display_name: "the key of Zebra".into(),
            roles: vec![Role::Storefront.into()],
            ..Default::default()
        }),
        request_id: "a key".into(),
    };
    let made = driver.done("CreateApiKey", &create).await;
    let secret = text(&made, "secret");
    driver.secrets.push(secret.clone());
    driver
        .refused("CreateApiKey", ErrorReason::AnswerNotStored, &create)
        .await;
    let list = pb::ListApiKeysRequest::default();
    driver.done("ListApiKeys", &list).await;
    let narrow = driver.with(Shop::with_key(&secret));
    driver
        .refused_by(&narrow, "ListApiKeys", ErrorReason::RoleNotAllowed, &list)
        .await;
    let name = text(&made, "api_key.name");
    let revoke = pb::RevokeApiKeyRequest {
        name,
        ..Default::default()
    };
    driver.done("RevokeApiKey", &revoke).await;
    let create = pb::CreateShopRequest {
        shop: Some(pb::Shop {
            display_name: "Zebra's".into(),
            ..Default::default()
        }),
        shop_id: "second".into(),
        ..Default::default()
    };
    let operator = driver.operator.clone();
    driver
        .call_by(&operator, "CreateShop", &create)
        .await
        .unwrap();
}

/// A call without a valid key is not noted, because its log line has no key.
async fn strangers(driver: &mut Driver) {
    let secret = format!("clt_{}", "zebra".repeat(9).get(..43).unwrap());
    let stranger = driver.with(Shop::with_key(&secret));
    driver.secrets.push(secret);
    let list = pb::ListApiKeysRequest::default();
    let refused = stranger
        .admin()
        .list_api_keys(list.clone())
        .await
        .unwrap_err();
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.reason, ErrorReason::KeyMissing.as_str_name());
    let elsewhere = driver.connection.clone().and("clientela-shop", "zebra");
    driver
        .refused_by(&elsewhere, "ListApiKeys", ErrorReason::NotFound, &list)
        .await;
}
