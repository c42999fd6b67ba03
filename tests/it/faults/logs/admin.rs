//! Calls about groups, saved filters, shops and keys, and those that no key opens.

use clientela::proto::pb::admin_service_client::AdminServiceClient;
use clientela::proto::pb::group_service_client::GroupServiceClient;
use clientela::proto::pb::operation_service_client::OperationServiceClient;
use clientela::proto::pb::saved_filter_service_client::SavedFilterServiceClient;
use clientela::proto::pb::{self, ErrorReason, Role};
use tonic_types::StatusExt as _;

use super::Driver;
use crate::harness::Shop;
use crate::saved_filters;

pub async fn drive(driver: &mut Driver) {
    groups(driver).await;
    saved_filters(driver).await;
    keys(driver).await;
    strangers(driver).await;
}

async fn groups(driver: &mut Driver) {
    let mut client =
        GroupServiceClient::with_interceptor(driver.channel.clone(), driver.key.clone());
    let create = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: [("en".to_owned(), "Friends of Zebra".to_owned())].into(),
            ..Default::default()
        }),
        group_id: "friends".into(),
        ..Default::default()
    };
    driver
        .call(
            "GroupService/CreateGroup",
            client.create_group(create.clone()),
        )
        .await
        .unwrap();
    let call = client.create_group(create);
    driver
        .refused("GroupService/CreateGroup", ErrorReason::NameTaken, call)
        .await;
    let add = pb::AddMembersRequest {
        group: "groups/friends".into(),
        members: vec![super::plain::EMAIL.into(), "no.zebra@example.test".into()],
        ..Default::default()
    };
    driver
        .call("GroupService/AddMembers", client.add_members(add))
        .await
        .unwrap();
    let list = pb::ListMembersRequest {
        group: "groups/friends".into(),
        ..Default::default()
    };
    driver
        .call("GroupService/ListMembers", client.list_members(list))
        .await
        .unwrap();
    let delete = pb::DeleteGroupRequest {
        name: "groups/friends".into(),
        ..Default::default()
    };
    driver
        .call("GroupService/DeleteGroup", client.delete_group(delete))
        .await
        .unwrap();
    let mut client =
        OperationServiceClient::with_interceptor(driver.channel.clone(), driver.key.clone());
    let list = pb::ListOperationsRequest::default();
    driver
        .call(
            "OperationService/ListOperations",
            client.list_operations(list),
        )
        .await
        .unwrap();
}

async fn saved_filters(driver: &mut Driver) {
    let mut client =
        SavedFilterServiceClient::with_interceptor(driver.channel.clone(), driver.key.clone());
    let mut saved_filter = saved_filters::sent("Filter of Zebra", false);
    saved_filter.filter = "display_name = zebra".into();
    let create = pb::CreateSavedFilterRequest {
        saved_filter: Some(saved_filter),
        ..Default::default()
    };
    let method = "SavedFilterService/CreateSavedFilter";
    let call = client.create_saved_filter(create.clone());
    driver.call(method, call).await.unwrap();
    let mut create = create;
    create.saved_filter.as_mut().unwrap().filter = "zebra = 1".into();
    let call = client.create_saved_filter(create);
    driver
        .refused(method, ErrorReason::InvalidFilter, call)
        .await;
    let list = pb::ListSavedFiltersRequest::default();
    let method = "SavedFilterService/ListSavedFilters";
    driver
        .call(method, client.list_saved_filters(list))
        .await
        .unwrap();
}

async fn keys(driver: &mut Driver) {
    let mut client =
        AdminServiceClient::with_interceptor(driver.channel.clone(), driver.key.clone());
    let create = pb::CreateApiKeyRequest {
        api_key: Some(pb::ApiKey {
            display_name: "the key of Zebra".into(),
            roles: vec![Role::Storefront.into()],
            ..Default::default()
        }),
        request_id: "a key".into(),
    };
    let method = "AdminService/CreateApiKey";
    let made = driver
        .call(method, client.create_api_key(create.clone()))
        .await
        .unwrap();
    driver.secrets.push(made.secret.clone());
    let call = client.create_api_key(create);
    driver
        .refused(method, ErrorReason::AnswerNotStored, call)
        .await;
    let list = pb::ListApiKeysRequest::default();
    driver
        .call("AdminService/ListApiKeys", client.list_api_keys(list))
        .await
        .unwrap();
    let mut narrow =
        AdminServiceClient::with_interceptor(driver.channel.clone(), Shop::with_key(&made.secret));
    let call = narrow.list_api_keys(pb::ListApiKeysRequest::default());
    driver
        .refused(
            "AdminService/ListApiKeys",
            ErrorReason::RoleNotAllowed,
            call,
        )
        .await;
    let name = made.api_key.unwrap().name;
    let revoke = pb::RevokeApiKeyRequest {
        name,
        ..Default::default()
    };
    driver
        .call("AdminService/RevokeApiKey", client.revoke_api_key(revoke))
        .await
        .unwrap();
    let mut operator =
        AdminServiceClient::with_interceptor(driver.channel.clone(), driver.operator.clone());
    let create = pb::CreateShopRequest {
        shop: Some(pb::Shop {
            display_name: "Zebra's".into(),
            ..Default::default()
        }),
        shop_id: "second".into(),
        ..Default::default()
    };
    driver
        .call("AdminService/CreateShop", operator.create_shop(create))
        .await
        .unwrap();
}

/// Who has no key is not in the list of calls, as the line has no key to tell.
async fn strangers(driver: &mut Driver) {
    let secret = format!("clt_{}", "zebra".repeat(9).get(..43).unwrap());
    let mut client =
        AdminServiceClient::with_interceptor(driver.channel.clone(), Shop::with_key(&secret));
    driver.secrets.push(secret);
    let refused = client
        .list_api_keys(pb::ListApiKeysRequest::default())
        .await
        .unwrap_err();
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.reason, ErrorReason::KeyMissing.as_str_name());
    let key = driver.key.clone().and("clientela-shop", "zebra");
    let mut client = AdminServiceClient::with_interceptor(driver.channel.clone(), key);
    let call = client.list_api_keys(pb::ListApiKeysRequest::default());
    driver
        .refused("AdminService/ListApiKeys", ErrorReason::NotFound, call)
        .await;
}
