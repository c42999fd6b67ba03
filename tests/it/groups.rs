//! Tests GroupService over the network, on both engines.

mod hidden;
mod lifecycle;
mod listing;
mod members;
mod membership;
mod races;
mod watching;

use clientela::proto::pb::{self, operation};

use crate::harness::{Shop, eventually};

/// Returns a group with a name and a discount, as a request has it.
fn sent(name: &str, discount_percent: &str) -> pb::Group {
    pb::Group {
        display_names: [("en".to_owned(), name.to_owned())].into(),
        discount_percent: discount_percent.to_owned(),
        ..pb::Group::default()
    }
}

async fn create(shop: &Shop, id: &str, group: pb::Group) -> pb::Group {
    let request = pb::CreateGroupRequest {
        group: Some(group),
        group_id: id.to_owned(),
        ..pb::CreateGroupRequest::default()
    };
    shop.groups()
        .create_group(request)
        .await
        .expect("a group is made")
        .into_inner()
}

/// Creates an ordinary group with this id.
pub async fn plain(shop: &Shop, id: &str) -> pb::Group {
    create(shop, id, sent(id, "")).await
}

async fn get(shop: &Shop, id: &str) -> Result<pb::Group, tonic::Status> {
    let name = format!("groups/{id}");
    let request = pb::GetGroupRequest {
        name,
        ..pb::GetGroupRequest::default()
    };
    Ok(shop.groups().get_group(request).await?.into_inner())
}

/// Deletes a group and returns its operation.
async fn delete(shop: &Shop, id: &str) -> String {
    let name = format!("groups/{id}");
    let request = pb::DeleteGroupRequest {
        name,
        ..pb::DeleteGroupRequest::default()
    };
    let response = shop
        .groups()
        .delete_group(request)
        .await
        .expect("the group is deleted");
    let operation = response
        .metadata()
        .get("clientela-operation")
        .expect("the operation's name");
    operation.to_str().expect("a name is ASCII").to_owned()
}

/// Waits until an operation has succeeded.
async fn done(shop: &Shop, operation: &str) {
    eventually("the end of the operation", || async {
        let request = pb::GetOperationRequest {
            name: operation.to_owned(),
        };
        let operation = shop
            .operations()
            .get_operation(request)
            .await
            .expect("it is there");
        (operation.into_inner().state() == operation::State::Done).then_some(())
    })
    .await;
}

/// Registers a customer in these groups; the first is the default.
async fn customer(shop: &Shop, id: &str, groups: &[&str]) -> pb::Customer {
    let groups: Vec<String> = groups
        .iter()
        .map(|group| format!("groups/{group}"))
        .collect();
    let customer = pb::Customer {
        email: format!("{id}@example.test"),
        first_name: id.to_owned(),
        default_group: groups.first().cloned().unwrap_or_default(),
        groups,
        ..pb::Customer::default()
    };
    let request = pb::CreateCustomerRequest {
        customer: Some(customer),
        customer_id: id.to_owned(),
        ..pb::CreateCustomerRequest::default()
    };
    shop.customers()
        .create_customer(request)
        .await
        .expect("a customer is made")
        .into_inner()
}

async fn get_customer(shop: &Shop, id: &str) -> pb::Customer {
    let request = pb::GetCustomerRequest {
        name: format!("customers/{id}"),
    };
    shop.customers()
        .get_customer(request)
        .await
        .expect("the customer is there")
        .into_inner()
}

/// Returns the groups of a customer and the default, without the collection.
async fn groups_of(shop: &Shop, id: &str) -> (Vec<String>, String) {
    let customer = get_customer(shop, id).await;
    let bare = |name: &String| name.trim_start_matches("groups/").to_owned();
    (
        customer.groups.iter().map(bare).collect(),
        bare(&customer.default_group),
    )
}

fn adding(group: &str, members: &[&str]) -> pb::AddMembersRequest {
    pb::AddMembersRequest {
        group: format!("groups/{group}"),
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        ..pb::AddMembersRequest::default()
    }
}

fn removing(group: &str, members: &[&str]) -> pb::RemoveMembersRequest {
    pb::RemoveMembersRequest {
        group: format!("groups/{group}"),
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        ..pb::RemoveMembersRequest::default()
    }
}
