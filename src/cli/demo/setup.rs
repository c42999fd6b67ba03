//! The resources that the shoppers need: groups and customers. Those of an earlier run are reused.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use tonic::Code;

use crate::{cli::failure::Failure, proto::pb};

use super::{call::Caller, people};

/// How many customers are created at a time.
const AT_ONCE: usize = 16;

/// Creates the group of wholesale customers. Every shop has groups of visitors, guests and customers.
pub async fn groups(caller: &Caller) -> Result<(), Failure> {
    let names = [
        ("en", "Wholesale"),
        ("fr", "Grossistes"),
        ("de", "Großhandel"),
    ];
    let display_names: BTreeMap<String, String> = names
        .iter()
        .map(|(language, name)| ((*language).into(), (*name).into()))
        .collect();
    let group = pb::Group {
        display_names,
        discount_percent: "15".to_owned(),
        price_display: pb::group::PriceDisplay::TaxExcluded.into(),
        priority: 10,
        ..pb::Group::default()
    };
    let made = caller
        .until_answered(|client, request_id| {
            let request = pb::CreateGroupRequest {
                group: Some(group.clone()),
                group_id: "wholesale".to_owned(),
                request_id,
                ..pb::CreateGroupRequest::default()
            };
            async move { client.groups().create_group(request).await }
        })
        .await;
    match made {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) => Err(status.into()),
    }
}

/// Creates `count` customers with their addresses. Returns their full names.
pub async fn customers(caller: &Caller, count: u32) -> Result<Vec<String>, Failure> {
    futures::stream::iter(0..count)
        .map(|number| customer(caller, number))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn customer(caller: &Caller, number: u32) -> Result<String, Failure> {
    let name = format!("customers/{}", people::id(number));
    let made = caller
        .until_answered(|client, request_id| {
            let request = pb::CreateCustomerRequest {
                customer: Some(people::customer(number)),
                customer_id: people::id(number),
                addresses: people::addresses(number),
                request_id,
                ..pb::CreateCustomerRequest::default()
            };
            async move { client.customers().create_customer(request).await }
        })
        .await;
    match made {
        Ok(_) => Ok(name),
        Err(status) if status.code() == Code::AlreadyExists => Ok(name),
        Err(status) => Err(status.into()),
    }
}
