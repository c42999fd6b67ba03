//! The addresses of customers.
//!
//! An address is written under the lock of its customer, who notes which ones are the defaults for
//! bills and for deliveries. Invariant: a customer with addresses has both defaults, and they are
//! among its addresses.

mod convert;
mod sql;

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::Code;

use super::{
    convert::{address_ids, address_name, id_of},
    model::{Address, Customer},
    sql as customers_sql, write,
};
use crate::{
    caller::Caller,
    error::{Error, Result},
    feed::{self, Change},
    ids, limits, mask,
    proto::pb::{self, ErrorReason},
    resource::{page, tombstone},
    store::{Conn, Locks, RequestDigest, Store, Tx},
};

/// Addresses to be made with a new customer.
pub(super) fn new_addresses(customer: &str, sent: &[pb::Address], now: i64) -> Vec<Address> {
    sent.iter()
        .zip(1..)
        .map(|(sent, position)| Address {
            position,
            ..new_address(customer, "", sent, now)
        })
        .collect()
}

fn new_address(customer: &str, id: &str, sent: &pb::Address, now: i64) -> Address {
    let mut address = Address {
        customer: customer.to_owned(),
        id: if id.is_empty() {
            ids::new_id()
        } else {
            id.to_owned()
        },
        version: 1,
        create_time: now,
        update_time: now,
        ..Address::default()
    };
    convert::apply(&mut address, sent, &mask::writable::<pb::Address>());
    address
}

/// Writes a new address and its change.
pub(super) async fn insert(
    tx: &mut Tx,
    caller: &Caller,
    address: &Address,
    now: i64,
) -> Result<()> {
    sql::insert(tx, &caller.shop, address).await?;
    append(tx, caller, address, now).await
}

/// Whether the customer has an address of this id.
pub(super) async fn exists(conn: &mut Conn, shop: &str, customer: &str, id: &str) -> Result<bool> {
    Ok(sql::get(conn, shop, customer, id).await?.is_some())
}

async fn append(tx: &mut Tx, caller: &Caller, address: &Address, now: i64) -> Result<()> {
    let id = log_id(&address.customer, &address.id);
    let body = convert::message(address);
    feed::append(
        tx,
        caller,
        now,
        Change::upserted(crate::customers::ADDRESS, id, address.version, &body),
    )
    .await
}

/// What names an address in the log: its name without the first part.
fn log_id(customer: &str, id: &str) -> String {
    format!("{customer}/addresses/{id}")
}

fn not_found() -> Error {
    Error::not_found("address")
}

fn locks(caller: &Caller, customer: &str) -> Locks {
    feed::locks(caller).and(write::lock(&caller.shop, customer))
}

/// The customer whose addresses are to be changed: one that is deleted is not changed either.
async fn living(conn: &mut Conn, shop: &str, id: &str) -> Result<Customer> {
    let customer = owner(conn, shop, id).await?;
    if customer.is_deleted() {
        return Err(write::deleted());
    }
    Ok(customer)
}

/// The customer who has the addresses.
async fn owner(conn: &mut Conn, shop: &str, id: &str) -> Result<Customer> {
    let customer = customers_sql::get(conn, shop, id).await?;
    customer.ok_or_else(|| Error::not_found("customer"))
}

/// The answer to a repeated request.
async fn replayed(conn: &mut Conn, caller: &Caller, replay: &feed::Replay) -> Result<pb::Address> {
    if let Some(answer) = replay.answer()? {
        return Ok(answer);
    }
    let (customer, id) = replay.id.split_once("/addresses/").unwrap_or_default();
    let address = sql::get(conn, &caller.shop, customer, id).await?;
    address
        .map(|address| convert::message(&address))
        .ok_or_else(not_found)
}

/// CreateAddress.
pub(super) async fn create(
    store: &Store,
    caller: Caller,
    request: pb::CreateAddressRequest,
) -> Result<pb::Address> {
    let now = store.clock().now();
    let customer = id_of(&request.customer).to_owned();
    let sent = request.address.unwrap_or_default();
    let creation = Creation {
        address: new_address(&customer, &request.address_id, &sent, now),
        defaults: Defaults {
            billing: request.default_billing,
            shipping: request.default_shipping,
        },
        now,
        caller,
    };
    let locks = locks(&creation.caller, &customer);
    if request.validate_only {
        store
            .rehearse(locks, creation, |tx, creation| creation.run(tx).boxed())
            .await
    } else {
        store
            .write_with(locks, creation, |tx, creation| creation.run(tx).boxed())
            .await
    }
}

struct Creation {
    caller: Caller,
    address: Address,
    defaults: Defaults,
    now: i64,
}

/// The uses for which an address is to be the default.
#[derive(Debug, Clone, Copy)]
struct Defaults {
    billing: bool,
    shipping: bool,
}

impl Creation {
    async fn run(&self, tx: &mut Tx) -> Result<pb::Address> {
        let Self { caller, now, .. } = self;
        let shop = &*caller.shop;
        if let Some(replay) = feed::replay(tx, caller).await? {
            return replayed(tx, caller, &replay).await;
        }
        let before = living(tx, shop, &self.address.customer).await?;
        let others = sql::all(tx, shop, &before.id).await?;
        let mut address = self.address.clone();
        if others.iter().any(|other| other.id == address.id) {
            let text = "the customer has an address of this id";
            return Err(
                Error::new(Code::AlreadyExists, ErrorReason::NameTaken, text)
                    .with("name", address_name(&before.id, &address.id)),
            );
        }
        if others.len() >= limits::ADDRESSES_MAX {
            let text = "the customer has as many addresses as it may";
            let reason = ErrorReason::TooManyAddresses;
            return Err(Error::new(Code::FailedPrecondition, reason, text)
                .with("limit", limits::ADDRESSES_MAX.to_string()));
        }
        let log_id = log_id(&before.id, &address.id);
        let last = tombstone::last_version(tx, shop, crate::customers::ADDRESS, &log_id).await?;
        address.version = last + 1;
        address.position = others.iter().map(|other| other.position).max().unwrap_or(0) + 1;
        insert(tx, caller, &address, *now).await?;
        let mut after = before.clone();
        if self.defaults.billing || before.default_billing_address.is_empty() {
            after.default_billing_address.clone_from(&address.id);
        }
        if self.defaults.shipping || before.default_shipping_address.is_empty() {
            after.default_shipping_address.clone_from(&address.id);
        }
        if after != before {
            write::store(tx, caller, None, &before, &mut after, *now).await?;
        }
        Ok(convert::message(&address))
    }
}

/// GetAddress.
pub(super) async fn get(store: &Store, caller: &Caller, name: &str) -> Result<pb::Address> {
    let (customer, id) = address_ids(name);
    let (shop, customer, id) = (Arc::clone(&caller.shop), customer.to_owned(), id.to_owned());
    let address = store
        .read(|conn| async move { sql::get(conn, &shop, &customer, &id).await }.boxed())
        .await?;
    address
        .map(|address| convert::message(&address))
        .ok_or_else(not_found)
}

/// ListAddresses.
pub(super) async fn list(
    store: &Store,
    caller: &Caller,
    request: pb::ListAddressesRequest,
) -> Result<pb::ListAddressesResponse> {
    let size = page::size(request.page_size)?;
    let digest =
        RequestDigest::new("ListAddresses", &caller.shop).field("customer", &request.customer);
    let after: Option<(i64, String)> = page::open(store.meta(), &digest, &request.page_token)?;
    let (shop, customer) = (
        Arc::clone(&caller.shop),
        id_of(&request.customer).to_owned(),
    );
    let addresses = store
        .snapshot(|conn| {
            async move {
                owner(conn, &shop, &customer).await?;
                sql::all(conn, &shop, &customer).await
            }
            .boxed()
        })
        .await?;
    let place = |address: &Address| (address.position, address.id.clone());
    let mut rest = addresses;
    rest.retain(|address| after.as_ref().is_none_or(|after| place(address) > *after));
    let next_page_token = page::cut(store.meta(), &digest, &mut rest, size, place);
    Ok(pb::ListAddressesResponse {
        addresses: rest.iter().map(convert::message).collect(),
        next_page_token,
    })
}

/// UpdateAddress.
pub(super) async fn update(
    store: &Store,
    caller: Caller,
    request: pb::UpdateAddressRequest,
) -> Result<pb::Address> {
    let sent = request.address.unwrap_or_default();
    if sent.name.is_empty() {
        return Err(Error::invalid_field(
            "address.name",
            "REQUIRED",
            "a name is required",
        ));
    }
    let paths = mask::of(request.update_mask.as_ref(), &sent)?;
    let now = store.clock().now();
    let locks = locks(&caller, address_ids(&sent.name).0);
    let update = Update {
        caller,
        sent,
        paths,
        now,
    };
    if request.validate_only {
        store
            .rehearse(locks, update, |tx, update| update.run(tx).boxed())
            .await
    } else {
        store
            .write_with(locks, update, |tx, update| update.run(tx).boxed())
            .await
    }
}

struct Update {
    caller: Caller,
    sent: pb::Address,
    paths: Vec<&'static str>,
    now: i64,
}

impl Update {
    async fn run(&self, tx: &mut Tx) -> Result<pb::Address> {
        let Self {
            caller, sent, now, ..
        } = self;
        let shop = &*caller.shop;
        if let Some(replay) = feed::replay(tx, caller).await? {
            return replayed(tx, caller, &replay).await;
        }
        let (customer, id) = address_ids(&sent.name);
        let before = sql::get(tx, shop, customer, id)
            .await?
            .ok_or_else(not_found)?;
        living(tx, shop, customer).await?;
        feed::check_etag(&sent.etag, &sent.name, before.version)?;
        let mut after = before.clone();
        convert::apply(&mut after, sent, &self.paths);
        if after == before {
            let answer = convert::message(&before);
            feed::remember(tx, caller, *now, &log_id(customer, id), &answer).await?;
            return Ok(answer);
        }
        after.version += 1;
        after.update_time = *now;
        sql::update(tx, shop, &after).await?;
        append(tx, caller, &after, *now).await?;
        Ok(convert::message(&after))
    }
}

/// DeleteAddress.
pub(super) async fn delete(
    store: &Store,
    caller: Caller,
    request: pb::DeleteAddressRequest,
) -> Result<()> {
    let now = store.clock().now();
    let locks = locks(&caller, address_ids(&request.name).0);
    let deletion = Deletion {
        caller,
        name: request.name,
        etag: request.etag,
        now,
    };
    store
        .write_with(locks, deletion, |tx, deletion| deletion.run(tx).boxed())
        .await
}

struct Deletion {
    caller: Caller,
    name: String,
    etag: String,
    now: i64,
}

impl Deletion {
    async fn run(&self, tx: &mut Tx) -> Result<()> {
        let Self {
            caller, name, now, ..
        } = self;
        let shop = &*caller.shop;
        if feed::replay(tx, caller).await?.is_some() {
            return Ok(());
        }
        let (customer, id) = address_ids(name);
        let addresses = sql::all(tx, shop, customer).await?;
        let address = addresses
            .iter()
            .find(|address| address.id == id)
            .ok_or_else(not_found)?;
        let before = living(tx, shop, customer).await?;
        feed::check_etag(&self.etag, name, address.version)?;
        sql::delete(tx, shop, customer, id).await?;
        let (version, log_id) = (address.version + 1, log_id(customer, id));
        tombstone::bury(tx, shop, crate::customers::ADDRESS, &log_id, version, *now).await?;
        feed::append(
            tx,
            caller,
            *now,
            Change::deleted(crate::customers::ADDRESS, log_id, version),
        )
        .await?;
        let oldest = addresses
            .iter()
            .map(|address| &address.id)
            .find(|other| *other != id);
        let heir = oldest.cloned().unwrap_or_default();
        let mut after = before.clone();
        for default in [
            &mut after.default_billing_address,
            &mut after.default_shipping_address,
        ] {
            if *default == id {
                default.clone_from(&heir);
            }
        }
        if after != before {
            write::store(tx, caller, None, &before, &mut after, *now).await?;
        }
        Ok(())
    }
}
