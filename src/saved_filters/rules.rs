//! The fields of a saved filter, and the rules for writing one.

use std::sync::LazyLock;

use super::COLLECTION;
use super::model::SavedFilter;
use crate::caller::Caller;
use crate::error::Result;
use crate::feed;
use crate::proto::pb::{self, saved_filter::Resource as Kind};
use crate::resource::{Column, Faults, Resource, Table, parse};
use crate::store::Tx;
use crate::{carts, customers, groups, head, operations};

type Field = Column<pb::SavedFilter>;

/// The table.
pub static TABLE: LazyLock<Table<pb::SavedFilter>> = LazyLock::new(|| {
    let read = |id, version, doc: &str| Ok(parse::<SavedFilter>(id, version, doc)?.message());
    let fields = [
        Field::name(COLLECTION, |f| &f.name),
        Field::text("display_name", |f| &f.display_name).sortable(),
        Field::one_of("resource", |f| Some(f.resource.into())).sortable(),
        Field::flag("shared", |f| f.shared),
        Field::text("owner", |f| &f.owner).sortable(),
        Field::time("create_time", |f| f.create_time.as_ref()).sortable(),
        Field::time("update_time", |f| f.update_time.as_ref()).sortable(),
    ];
    Table::new(super::KIND, COLLECTION, read, fields)
        .stored_in("saved_filters")
        .owned(|f| &f.owner, |f| f.shared)
});

impl Resource for SavedFilter {
    type Message = pb::SavedFilter;

    const NOUN: &'static str = "saved_filter";

    head!();

    fn table() -> &'static Table<pb::SavedFilter> {
        &TABLE
    }

    fn message(&self) -> pb::SavedFilter {
        let name = format!("{COLLECTION}/{}", self.id);
        pb::SavedFilter {
            etag: feed::etag(&name, self.version),
            name,
            display_name: self.display_name.clone(),
            resource: self.resource,
            filter: self.filter.clone(),
            order_by: self.order_by.clone(),
            shared: self.shared,
            owner: self.owner.clone(),
            create_time: Some(feed::timestamp(self.create_time)),
            update_time: Some(feed::timestamp(self.update_time)),
        }
    }

    fn etag_in(sent: &pb::SavedFilter) -> &str {
        &sent.etag
    }

    fn set(&mut self, sent: &pb::SavedFilter, path: &str, faults: &mut Faults) {
        match path {
            "display_name" if sent.display_name.is_empty() => {
                faults.refuse(path, "REQUIRED", "a name is required");
            }
            "display_name" => self.display_name.clone_from(&sent.display_name),
            "resource" if sent.resource() == Kind::Unspecified => {
                faults.refuse(path, "REQUIRED", "the resource of a list is required");
            }
            "resource" => self.resource = sent.resource,
            "filter" => self.filter.clone_from(&sent.filter),
            "order_by" => self.order_by.clone_from(&sent.order_by),
            _ => self.shared = sent.shared,
        }
    }

    async fn check(
        _: &mut Tx,
        caller: &Caller,
        before: Option<&Self>,
        after: &mut Self,
    ) -> Result<()> {
        match before {
            Some(before) if before.asks() == after.asks() => return Ok(()),
            Some(_) => {}
            None => after.owner = caller.identity().into_owned(),
        }
        after.check_for(caller)
    }
}

impl SavedFilter {
    /// The parameters of a list with this filter.
    fn asks(&self) -> (i32, &str, &str) {
        (self.resource, &self.filter, &self.order_by)
    }

    /// Refuses a filter or an order that the list of the resource refuses from this caller.
    fn check_for(&self, caller: &Caller) -> Result<()> {
        let (filter, order_by) = (&*self.filter, &*self.order_by);
        match Kind::try_from(self.resource).unwrap_or_default() {
            Kind::Unspecified => Ok(()),
            Kind::Customers => customers::TABLE.check(caller, filter, order_by),
            Kind::Groups => groups::TABLE.check(caller, filter, order_by),
            Kind::Carts => carts::TABLE.check(caller, filter, order_by),
            Kind::Operations => operations::check(filter, order_by),
            Kind::SavedFilters => TABLE.check(caller, filter, order_by),
        }
    }
}
