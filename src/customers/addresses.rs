//! The addresses of customers.
//!
//! An address is written under the lock of its customer, whose row names the default addresses for bills and for
//! deliveries. Invariant: a customer with addresses has both defaults, and they are among its addresses.

mod rules;
mod sql;

use std::sync::Arc;

use futures::FutureExt as _;

use super::{
    convert::id_of,
    model::{Address, Customer, Defaults},
    sql as customers_sql,
};
use crate::{
    caller::Caller,
    error::{Error, Result},
    ids, mask,
    proto::pb,
    resource::{self, List, Partition, Query},
    store::{Conn, Store},
};
use rules::TABLE;

/// Makes the addresses of a new customer, whose defaults are set already.
pub(super) fn new_addresses(customer: &str, sent: &[pb::Address], now: i64) -> Vec<Address> {
    let new = |(sent, position)| {
        let mut address = Address {
            position,
            version: 1,
            create_time: now,
            update_time: now,
            ..new_address(customer, "")
        };
        for path in mask::writable::<pb::Address>() {
            rules::apply(&mut address, sent, path);
        }
        address
    };
    sent.iter().zip(1..).map(new).collect()
}

fn new_address(customer: &str, id: &str) -> Address {
    let id = match id {
        "" => ids::new_id(),
        id => id.to_owned(),
    };
    Address {
        id: full_id(customer, &id),
        ..Address::default()
    }
}

/// The id of an address within its shop: its name without the first part.
fn full_id(customer: &str, id: &str) -> String {
    format!("{customer}/addresses/{id}")
}

/// Splits such an id into the ids of the customer and of the address.
pub(super) fn ids_in(id: &str) -> (&str, &str) {
    id.split_once("/addresses/").unwrap_or_default()
}

/// Whether the customer has an address with this id.
pub(super) async fn exists(conn: &mut Conn, shop: &str, customer: &str, id: &str) -> Result<bool> {
    let found: Option<Address> = resource::load(conn, shop, &full_id(customer, id)).await?;
    Ok(found.is_some())
}

/// Reads the customer who has the addresses.
async fn owner(conn: &mut Conn, shop: &str, id: &str) -> Result<Customer> {
    let customer = customers_sql::get(conn, shop, id).await?;
    customer.ok_or_else(|| Error::not_found("customer"))
}

/// CreateAddress.
pub(super) async fn create(
    store: &Store,
    caller: Caller,
    request: pb::CreateAddressRequest,
) -> Result<pb::Address> {
    let new = Address {
        wanted: Some(Defaults {
            billing: request.default_billing,
            shipping: request.default_shipping,
        }),
        ..new_address(id_of(&request.customer), &request.address_id)
    };
    resource::create_from(store, caller, new, request.address, request.validate_only).await
}

/// ListAddresses.
pub(super) async fn list(
    store: &Store,
    caller: &Caller,
    request: pb::ListAddressesRequest,
) -> Result<pb::ListAddressesResponse> {
    let (shop, customer) = (
        Arc::clone(&caller.shop),
        id_of(&request.customer).to_owned(),
    );
    let query = Query {
        order_by: "create_time",
        page_size: request.page_size,
        page_token: &request.page_token,
        ..Query::default()
    };
    let among = Partition::shop(&shop).of("customer_id", &*customer);
    let list = List::new(store, &TABLE, caller, "ListAddresses", &query)?.of(vec![among]);
    let page = store.snapshot(|conn| {
        async move {
            // A page token of another list is refused before a customer that does not exist.
            let page = list.read(conn).await?;
            owner(conn, &shop, &customer).await?;
            Ok(page)
        }
        .boxed()
    });
    let page = page.await?;
    Ok(pb::ListAddressesResponse {
        addresses: page.items,
        next_page_token: page.next_page_token,
    })
}
