//! The fields of an address, and the rules for writing one.

use std::sync::LazyLock;

use serde::Deserialize;
use tonic::Code;

use super::super::{
    convert,
    model::{Address, Customer, Defaults},
    write,
};
use super::{full_id, ids_in, owner, sql::places};
use crate::{
    caller::Caller,
    error::{Error, Result},
    feed, head, limits,
    proto::pb::{self, ErrorReason},
    resource::{Column, Faults, Partition, Resource, Table},
    store::{Bind, LockKey, Tx},
};

type Field = Column<pb::Address>;

/// The table. Lists show the oldest first; callers choose neither the order nor a filter.
pub(super) static TABLE: LazyLock<Table<pb::Address>> = LazyLock::new(|| {
    let read = |id, version, doc: &str| Ok(Address::read(id, version, doc)?.message());
    let fields = [
        Field::name(convert::COLLECTION, |address| &address.name),
        Field::time("create_time", |address| address.create_time.as_ref()),
        Field::sort_key("position", "create_time", "position"),
        Field::time("update_time", |address| address.update_time.as_ref()),
    ];
    Table::new(crate::customers::ADDRESS, convert::COLLECTION, read, fields)
        .stored_in("addresses")
        .made_of(&["customer_id", "version", "position", "doc"])
});

#[derive(Deserialize)]
struct Row {
    customer_id: String,
    version: i64,
    position: i64,
    doc: String,
}

impl Resource for Address {
    type Message = pb::Address;

    const NOUN: &'static str = "address";

    head!();

    fn table() -> &'static Table<pb::Address> {
        &TABLE
    }

    fn read(id: String, _: i64, doc: &str) -> Result<Self> {
        let corrupt = |error| Error::corrupt("addresses", &id, error);
        let row: Row = serde_json::from_str(doc).map_err(corrupt)?;
        let address: Self = serde_json::from_str(&row.doc).map_err(corrupt)?;
        Ok(Self {
            id: full_id(&row.customer_id, &id),
            version: row.version,
            position: row.position,
            ..address
        })
    }

    fn message(&self) -> pb::Address {
        message(self)
    }

    fn etag_in(sent: &pb::Address) -> &str {
        &sent.etag
    }

    fn set(&mut self, sent: &pb::Address, path: &str, _: &mut Faults) {
        apply(self, sent, path);
    }

    fn columns(&self) -> Vec<(&'static str, Bind)> {
        vec![("position", self.position.into())]
    }

    fn key<'i>(shop: &str, id: &'i str) -> (Partition, &'i str) {
        let (customer, id) = ids_in(id);
        (Partition::shop(shop).of("customer_id", customer), id)
    }

    fn lock(shop: &str, id: &str) -> LockKey {
        write::lock(shop, ids_in(id).0)
    }

    async fn may_be_written(tx: &mut Tx, caller: &Caller, id: &str) -> Result<()> {
        living(tx, caller, ids_in(id).0).await.map(drop)
    }

    async fn check(
        tx: &mut Tx,
        caller: &Caller,
        before: Option<&Self>,
        after: &mut Self,
    ) -> Result<()> {
        if before.is_some() {
            return Ok(());
        }
        let others = places(tx, &caller.shop, ids_in(&after.id).0).await?;
        if others.len() >= limits::ADDRESSES_MAX {
            let text = "the customer has reached the limit of addresses; delete one first";
            let reason = ErrorReason::TooManyAddresses;
            return Err(Error::new(Code::FailedPrecondition, reason, text)
                .with("limit", limits::ADDRESSES_MAX.to_string()));
        }
        after.position = others.last().map_or(0, |(_, position)| *position) + 1;
        Ok(())
    }

    async fn written(
        tx: &mut Tx,
        caller: &Caller,
        before: Option<&Self>,
        after: Option<&Self>,
        now: i64,
    ) -> Result<()> {
        match (before, after) {
            (None, Some(new)) => match new.wanted {
                Some(wanted) => set_defaults(tx, caller, &new.id, wanted, now).await,
                None => Ok(()),
            },
            (Some(gone), None) => replace_default(tx, caller, &gone.id, now).await,
            _ => Ok(()),
        }
    }
}

/// Reads the customer whose addresses change. A deleted customer is refused.
async fn living(tx: &mut Tx, caller: &Caller, id: &str) -> Result<Customer> {
    let customer = owner(tx, &caller.shop, id).await?;
    if customer.is_deleted() {
        return Err(write::deleted());
    }
    Ok(customer)
}

/// Makes a new address the default of its customer if that was requested, or if there is none.
async fn set_defaults(
    tx: &mut Tx,
    caller: &Caller,
    address: &str,
    wanted: Defaults,
    now: i64,
) -> Result<()> {
    let (customer, id) = ids_in(address);
    let before = living(tx, caller, customer).await?;
    let mut after = before.clone();
    for (default, wanted) in [
        (&mut after.default_billing_address, wanted.billing),
        (&mut after.default_shipping_address, wanted.shipping),
    ] {
        if wanted || default.is_empty() {
            id.clone_into(default);
        }
    }
    store(tx, caller, &before, after, now).await
}

/// Replaces a deleted address as the default by the oldest of the others.
async fn replace_default(tx: &mut Tx, caller: &Caller, address: &str, now: i64) -> Result<()> {
    let (customer, id) = ids_in(address);
    let before = living(tx, caller, customer).await?;
    let others = places(tx, &caller.shop, customer).await?;
    let oldest = others.into_iter().next().map(|(oldest, _)| oldest);
    let oldest = oldest.unwrap_or_default();
    let mut after = before.clone();
    for default in [
        &mut after.default_billing_address,
        &mut after.default_shipping_address,
    ] {
        if *default == id {
            default.clone_from(&oldest);
        }
    }
    store(tx, caller, &before, after, now).await
}

async fn store(
    tx: &mut Tx,
    caller: &Caller,
    before: &Customer,
    mut after: Customer,
    now: i64,
) -> Result<()> {
    if after != *before {
        write::store(tx, caller, None, before, &mut after, now).await?;
    }
    Ok(())
}

macro_rules! fields {
    ($($field:ident,)*) => {
        /// Sets a field of an address to the value that was sent.
        pub(super) fn apply(address: &mut Address, sent: &pb::Address, path: &str) {
            match path {
                $(stringify!($field) => address.$field.clone_from(&sent.$field),)*
                _ => {}
            }
        }

        fn message(address: &Address) -> pb::Address {
            let name = convert::name(&address.id);
            let etag = feed::etag(&name, address.version);
            pb::Address {
                name,
                $($field: address.$field.clone(),)*
                create_time: Some(feed::timestamp(address.create_time)),
                update_time: Some(feed::timestamp(address.update_time)),
                etag,
            }
        }
    };
}

fields! {
    label,
    first_name,
    last_name,
    company,
    vat_number,
    tax_id,
    line1,
    line2,
    city,
    postal_code,
    region,
    country_code,
    phone,
    mobile,
    note,
}
