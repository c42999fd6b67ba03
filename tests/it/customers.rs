//! Tests customers, their addresses and titles over the network.

mod addresses;
mod create;
mod delete;
mod input;
mod list;
mod names;
mod password;
mod read;
mod titles;
mod twins;
mod update;
mod visits;
mod watch;

use clientela::proto::pb::{self, Role, customer_service_client::CustomerServiceClient};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::harness::{Shop, Transport, unique};

pub type Client = CustomerServiceClient<Transport>;

/// Returns a customer with an e-mail address that no other test uses.
pub fn person(first_name: &str) -> pb::Customer {
    pb::Customer {
        first_name: first_name.to_owned(),
        email: format!("{}.{}@example.test", first_name.to_lowercase(), unique()),
        ..pb::Customer::default()
    }
}

/// Returns the request that creates a customer.
pub fn creation(customer: pb::Customer) -> pb::CreateCustomerRequest {
    pb::CreateCustomerRequest {
        customer: Some(customer),
        ..Default::default()
    }
}

/// Creates a customer.
pub async fn create(client: &mut Client, customer: pb::Customer) -> pb::Customer {
    try_create(client, customer)
        .await
        .expect("the customer is created")
}

/// Tries to create a customer.
pub async fn try_create(
    client: &mut Client,
    customer: pb::Customer,
) -> Result<pb::Customer, Status> {
    Ok(client
        .create_customer(creation(customer))
        .await?
        .into_inner())
}

/// Reads a customer.
pub async fn get(client: &mut Client, name: &str) -> pb::Customer {
    try_get(client, name).await.expect("the customer is there")
}

/// Tries to read a customer.
pub async fn try_get(client: &mut Client, name: &str) -> Result<pb::Customer, Status> {
    let request = pb::GetCustomerRequest {
        name: name.to_owned(),
    };
    Ok(client.get_customer(request).await?.into_inner())
}

/// Returns the request that changes these fields of a customer.
pub fn change(customer: pb::Customer, paths: &[&str]) -> pb::UpdateCustomerRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    pb::UpdateCustomerRequest {
        customer: Some(customer),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    }
}

/// Tries to change these fields of a customer.
pub async fn update(
    client: &mut Client,
    customer: pb::Customer,
    paths: &[&str],
) -> Result<pb::Customer, Status> {
    Ok(client
        .update_customer(change(customer, paths))
        .await?
        .into_inner())
}

/// Deletes a customer with the shop's default options.
pub async fn delete(client: &mut Client, name: &str) {
    let request = pb::DeleteCustomerRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    client
        .delete_customer(request)
        .await
        .expect("the customer is deleted");
}

/// Returns a value of the metadata of a refusal.
pub fn metadata(status: &Status, key: &str) -> Option<String> {
    status.get_details_error_info()?.metadata.get(key).cloned()
}

/// Returns a client with a key of one role.
pub async fn client_as(shop: &Shop, role: Role) -> Client {
    shop.customers_as(&shop.key(&[role]).await)
}

/// Creates a group and returns its name.
pub async fn group(shop: &Shop, id: &str, group: pb::Group) -> String {
    let request = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: [("en".to_owned(), id.to_owned())].into(),
            ..group
        }),
        group_id: id.to_owned(),
        ..Default::default()
    };
    shop.groups()
        .create_group(request)
        .await
        .expect("the group is created")
        .into_inner()
        .name
}
