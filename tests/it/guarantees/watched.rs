//! Every sort of watch alike: of one cart, of an owner, of all carts, customers or groups, of named ones and
//! of those that match a filter; and something to change that each of them tells of.

mod connection;
mod told;

use std::sync::atomic::{AtomicU64, Ordering};

use clientela::proto::pb::{self, WatchOptions, cart_target::Target};
use futures::{StreamExt as _, TryStreamExt as _};
use tonic::Status;

use crate::harness::{Shop, unique};
use crate::{customers, groups, saved_filters, watch};

pub use connection::Connection;
use told::told;
pub use told::{Change, Signal, Told, Watch};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Cart,
    Customer,
    Group,
    SavedFilter,
}

/// How it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// WatchCart with a name.
    One,
    /// WatchCart with an owner.
    Owner,
    /// Everything of the kind.
    All,
    /// A list of names.
    Names,
    /// A filter that the resource always matches.
    Filter,
}

/// Each kind.
pub const KINDS: [Kind; 4] = [Kind::Cart, Kind::Customer, Kind::Group, Kind::SavedFilter];

impl Kind {
    /// The ways in which it can be watched.
    pub fn ways(self) -> &'static [Way] {
        match self {
            Self::Cart => &[Way::One, Way::Owner, Way::All, Way::Names, Way::Filter],
            Self::Customer | Self::Group | Self::SavedFilter => {
                &[Way::All, Way::Names, Way::Filter]
            }
        }
    }
}

/// The version that an etag is of.
fn version(etag: &str) -> i64 {
    let version = etag.trim_matches('"').split('-').next();
    version
        .expect("it has one")
        .parse()
        .expect("it is a number")
}

/// Something that is watched, and changed.
pub struct Subject {
    pub kind: Kind,
    pub name: String,
    owner: String,
    /// How often it was written.
    written: AtomicU64,
}

impl Subject {
    /// Makes one.
    pub async fn make(shop: &Shop, kind: Kind) -> Self {
        let number = unique();
        let owner = format!("of the subject {number}");
        let name = match kind {
            Kind::Cart => {
                let cart = watch::add(&mut shop.carts(), &watch::visitor(&owner), "p0").await;
                cart.name
            }
            Kind::Customer => {
                let person = pb::Customer {
                    email: format!("subject{number}@example.test"),
                    last_name: "Lovelace".into(),
                    ..customers::person("Ada")
                };
                customers::create(&mut shop.customers(), person).await.name
            }
            Kind::Group => {
                let id = format!("subject-{number}");
                groups::plain(shop, &id).await.name
            }
            Kind::SavedFilter => {
                let sent = saved_filters::sent("subject", true);
                let made = saved_filters::create(&mut shop.saved_filters(), "", sent).await;
                made.expect("a saved filter").name
            }
        };
        Self {
            kind,
            name,
            owner,
            written: AtomicU64::new(0),
        }
    }

    /// A cart that is there already, of this visitor.
    pub fn cart(name: &str, owner: &str) -> Self {
        Self {
            kind: Kind::Cart,
            name: name.to_owned(),
            owner: owner.to_owned(),
            written: AtomicU64::new(0),
        }
    }

    /// Makes one of each kind.
    pub async fn of_each_kind(shop: &Shop) -> Vec<Self> {
        let mut subjects = Vec::new();
        for kind in KINDS {
            subjects.push(Self::make(shop, kind).await);
        }
        subjects
    }

    /// Makes its next version: which that is, and the revision that the answer told.
    pub async fn write(&self, shop: &Shop) -> (i64, String) {
        self.write_at(&Connection::of(shop)).await
    }

    /// As [`write`](Self::write), by another connection.
    pub async fn write_at(&self, connection: &Connection) -> (i64, String) {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = self.name.clone();
        let (version, metadata) = match self.kind {
            Kind::Cart => {
                let request = pb::AddItemRequest {
                    target: Some(watch::visitor(&self.owner)),
                    item: Some(watch::item(&format!("p{}", number % 5), 1)),
                    ..Default::default()
                };
                let answer = connection
                    .carts()
                    .add_item(request)
                    .await
                    .expect("an addition");
                (answer.get_ref().version, answer.metadata().clone())
            }
            Kind::Customer => {
                let phone = number.to_string();
                let customer = pb::Customer {
                    name,
                    phone,
                    ..Default::default()
                };
                let request = customers::change(customer, &["phone"]);
                let answer = connection.customers().update_customer(request).await;
                let answer = answer.expect("an update");
                (version(&answer.get_ref().etag), answer.metadata().clone())
            }
            Kind::Group => {
                // An update to what is there would be no new version.
                let priority = i32::try_from(number % 1_000).unwrap() + 1;
                let request = pb::UpdateGroupRequest {
                    group: Some(pb::Group {
                        name,
                        priority,
                        ..Default::default()
                    }),
                    update_mask: Some(prost_types::FieldMask {
                        paths: vec!["priority".into()],
                    }),
                    ..Default::default()
                };
                let answer = connection
                    .groups()
                    .update_group(request)
                    .await
                    .expect("an update");
                (version(&answer.get_ref().etag), answer.metadata().clone())
            }
            Kind::SavedFilter => {
                let display_name = format!("subject {number}");
                let saved = pb::SavedFilter {
                    name,
                    display_name,
                    ..Default::default()
                };
                let request = pb::UpdateSavedFilterRequest {
                    saved_filter: Some(saved),
                    ..Default::default()
                };
                let answer = connection
                    .saved_filters()
                    .update_saved_filter(request)
                    .await;
                let answer = answer.expect("an update");
                (version(&answer.get_ref().etag), answer.metadata().clone())
            }
        };
        let revision = metadata
            .get("clientela-revision")
            .expect("every answer has it");
        (version, revision.to_str().unwrap().to_owned())
    }

    /// Its present version, as it is read by a connection.
    pub async fn read(&self, connection: &Connection) -> Result<i64, Status> {
        let name = self.name.clone();
        let etag = match self.kind {
            Kind::Cart => {
                let target = Some(pb::CartTarget {
                    target: Some(Target::Cart(name)),
                });
                let request = pb::GetCartRequest { target };
                connection
                    .carts()
                    .get_cart(request)
                    .await?
                    .into_inner()
                    .etag
            }
            Kind::Customer => {
                let request = pb::GetCustomerRequest { name };
                let customer = connection.customers().get_customer(request).await?;
                customer.into_inner().etag
            }
            Kind::Group => {
                let request = pb::GetGroupRequest {
                    name,
                    ..Default::default()
                };
                connection
                    .groups()
                    .get_group(request)
                    .await?
                    .into_inner()
                    .etag
            }
            Kind::SavedFilter => {
                let request = pb::GetSavedFilterRequest { name };
                let saved = connection.saved_filters().get_saved_filter(request).await?;
                saved.into_inner().etag
            }
        };
        Ok(version(&etag))
    }

    /// Its present version, as a list tells it by a connection.
    pub async fn list(&self, connection: &Connection) -> Result<i64, Status> {
        let filter = format!("name = \"{}\"", self.name);
        let etags: Vec<String> = match self.kind {
            Kind::Cart => {
                let request = pb::ListCartsRequest {
                    filter,
                    ..Default::default()
                };
                let page = connection.carts().list_carts(request).await?.into_inner();
                page.carts.into_iter().map(|it| it.etag).collect()
            }
            Kind::Customer => {
                let request = pb::ListCustomersRequest {
                    filter,
                    ..Default::default()
                };
                let page = connection
                    .customers()
                    .list_customers(request)
                    .await?
                    .into_inner();
                page.customers.into_iter().map(|it| it.etag).collect()
            }
            Kind::Group => {
                let request = pb::ListGroupsRequest {
                    filter,
                    ..Default::default()
                };
                let page = connection.groups().list_groups(request).await?.into_inner();
                page.groups.into_iter().map(|it| it.etag).collect()
            }
            Kind::SavedFilter => {
                let request = pb::ListSavedFiltersRequest {
                    filter,
                    ..Default::default()
                };
                let page = connection
                    .saved_filters()
                    .list_saved_filters(request)
                    .await?;
                let saved = page.into_inner().saved_filters;
                saved.into_iter().map(|it| it.etag).collect()
            }
        };
        let [etag] = etags.as_slice() else {
            panic!("it is listed once: {etags:?}");
        };
        Ok(version(etag))
    }

    /// Opens a watch that tells of it.
    pub async fn watch(
        &self,
        connection: &Connection,
        way: Way,
        options: WatchOptions,
    ) -> Result<Watch, Status> {
        let filter = match (way, self.kind) {
            (Way::Filter, Kind::Cart) => "item_count > 0",
            (Way::Filter, Kind::Customer) => "last_name:lovelace",
            (Way::Filter, Kind::Group) => "priority >= 0",
            (Way::Filter, Kind::SavedFilter) => "display_name >= subject",
            _ => "",
        };
        self.watch_filtered(connection, way, filter, options).await
    }

    /// As [`watch`](Self::watch), with a filter of one's own.
    pub async fn watch_filtered(
        &self,
        connection: &Connection,
        way: Way,
        filter: &str,
        options: WatchOptions,
    ) -> Result<Watch, Status> {
        let by_clock = filter.contains("now");
        let (filter, options) = (filter.to_owned(), Some(options));
        let names = match way {
            Way::Names => vec![self.name.clone()],
            _ => Vec::new(),
        };
        let stream = match (self.kind, way) {
            (Kind::Cart, Way::One | Way::Owner) => {
                let target = match way {
                    Way::Owner => watch::visitor(&self.owner),
                    _ => pb::CartTarget {
                        target: Some(Target::Cart(self.name.clone())),
                    },
                };
                let request = pb::WatchCartRequest {
                    target: Some(target),
                    options,
                };
                told!(
                    connection.carts().watch_cart(request).await?,
                    watch_carts_response
                )
            }
            (Kind::Cart, _) => {
                let request = pb::WatchCartsRequest {
                    filter,
                    names,
                    options,
                };
                told!(
                    connection.carts().watch_carts(request).await?,
                    watch_carts_response
                )
            }
            (Kind::Customer, _) => {
                let request = pb::WatchCustomersRequest {
                    filter,
                    names,
                    options,
                };
                let stream = connection.customers().watch_customers(request).await?;
                told!(stream, watch_customers_response)
            }
            (Kind::Group, _) => {
                let request = pb::WatchGroupsRequest {
                    filter,
                    names,
                    options,
                };
                let stream = connection.groups().watch_groups(request).await?;
                told!(stream, watch_groups_response)
            }
            (Kind::SavedFilter, _) => {
                let request = pb::WatchSavedFiltersRequest {
                    filter,
                    names,
                    options,
                };
                let stream = connection
                    .saved_filters()
                    .watch_saved_filters(request)
                    .await?;
                told!(stream, watch_saved_filters_response)
            }
        };
        let what = format!("{:?} by {way:?}", self.kind);
        Ok(Watch::of(what, self.name.clone(), stream, by_clock))
    }
}
