//! Resolves the names, ids, numbers and e-mail addresses that people type.
//!
//! An id and a number may look alike. If they belong to two resources, the command asks for the name.

use tonic::{Code, Status};

use crate::{
    format,
    proto::pb::{self, cart_owner::Owner, cart_target::Target, customer_key::Key},
};

use super::{connection::Client, failure::Failure};

/// The name of the customer with this name, id, number or e-mail address.
///
/// # Errors
/// If there is none, or if the id of one customer is the number of another.
pub async fn customer(client: &Client, given: &str) -> Result<String, Failure> {
    if given.contains('/') {
        return Ok(given.to_owned());
    }
    if given.contains('@') {
        let found = lookup(client, Key::Email(given.to_owned())).await?;
        return found.ok_or_else(|| absent("customer", "e-mail address", given));
    }
    let by_id = match format::is_id(given) {
        true => {
            let name = format!("customers/{given}");
            let request = pb::GetCustomerRequest { name };
            present(client.customers().get_customer(request).await)?.map(|found| found.name)
        }
        false => None,
    };
    if is_settled(by_id.as_deref(), given) {
        return by_id.ok_or_else(|| absent("customer", "id", given));
    }
    let by_number = lookup(client, Key::Number(given.to_owned())).await?;
    one("customer", given, by_id, by_number)
}

/// The name of the cart with this name, id or number. `customers/{id}` or an e-mail address means the open
/// cart of that customer.
///
/// # Errors
/// If there is none, or if the id of one cart is the number of another.
pub async fn cart(client: &Client, given: &str) -> Result<String, Failure> {
    match cart_target(client, given).await?.target {
        Some(Target::Cart(name)) => Ok(name),
        target => {
            let request = pb::GetCartRequest {
                target: Some(pb::CartTarget { target }),
            };
            Ok(client.carts().get_cart(request).await?.into_inner().name)
        }
    }
}

/// As [`cart`], for calls that find the open cart of a customer themselves.
pub async fn cart_target(client: &Client, given: &str) -> Result<pb::CartTarget, Failure> {
    let target = if given.starts_with("customers/") || given.contains('@') {
        let owner = Owner::Customer(customer(client, given).await?);
        Target::Owner(pb::CartOwner {
            owner: Some(owner),
            ..pb::CartOwner::default()
        })
    } else if given.contains('/') {
        Target::Cart(given.to_owned())
    } else {
        Target::Cart(cart_of_id_or_number(client, given).await?)
    };
    Ok(pb::CartTarget {
        target: Some(target),
    })
}

async fn cart_of_id_or_number(client: &Client, given: &str) -> Result<String, Failure> {
    let by_id = match format::is_id(given) {
        true => {
            let target = Target::Cart(format!("carts/{given}"));
            let request = pb::GetCartRequest {
                target: Some(pb::CartTarget {
                    target: Some(target),
                }),
            };
            present(client.carts().get_cart(request).await)?.map(|found| found.name)
        }
        false => None,
    };
    if is_settled(by_id.as_deref(), given) {
        return by_id.ok_or_else(|| absent("cart", "id", given));
    }
    let request = pb::ListCartsRequest {
        filter: format!("number = \"{given}\""),
        page_size: 1,
        ..pb::ListCartsRequest::default()
    };
    let listed = client.carts().list_carts(request).await?.into_inner();
    let by_number = listed.carts.into_iter().next().map(|found| found.name);
    one("cart", given, by_id, by_number)
}

async fn lookup(client: &Client, key: Key) -> Result<Option<String>, Failure> {
    let request = pb::LookupCustomerRequest {
        key: Some(pb::CustomerKey { key: Some(key) }),
    };
    let found = present(client.customers().lookup_customer(request).await)?;
    Ok(found.map(|customer| customer.name))
}

/// The answer; None if there is no such resource.
fn present<T>(answer: Result<tonic::Response<T>, Status>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// Whether only the id can be meant. Ids that the server makes are not numbers, and a text with other
/// characters cannot be a number.
fn is_settled(by_id: Option<&str>, given: &str) -> bool {
    let is_digits = given.bytes().all(|byte| byte.is_ascii_digit());
    (by_id.is_some() && !is_digits) || !format::is_number(given)
}

fn one(
    kind: &str,
    given: &str,
    by_id: Option<String>,
    by_number: Option<String>,
) -> Result<String, Failure> {
    match (by_id, by_number) {
        (Some(id), Some(number)) if id != number => Err(Failure::usage(format!(
            "{given} is the id of one {kind} and the number of another: write {id} or {number}"
        ))),
        (Some(name), _) | (None, Some(name)) => Ok(name),
        (None, None) => Err(absent(kind, "id or number", given)),
    }
}

fn absent(kind: &str, what: &str, given: &str) -> Failure {
    Failure::new(format!(
        "there is no {kind} with the {what} {given} (NOT_FOUND)"
    ))
}
