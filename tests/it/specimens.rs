//! One specimen for each resource: how it is created and changed, and its possible values. The tests of
//! the contract, lists, filters and watches use only the specimen. They call its RPCs by their common
//! names (`rpcs.rs`), and read its fields by the names in its table (`values.rs`).

mod addresses;
mod api_keys;
mod carts;
mod customers;
mod groups;
mod items;
mod operations;
pub mod random;
mod rpcs;
mod saved_filters;
mod shops;
mod stream;
mod titles;
mod values;

use std::fmt;

use clientela::filter::Schema;
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, ready};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::contract::world::World;
use crate::harness::{Connection, Shop};

pub use addresses::Addresses;
pub use carts::Carts;
pub use customers::Customers;
pub use groups::Groups;
pub use rpcs::{Rpcs, answer, number_of, text};
pub use saved_filters::SavedFilters;
pub use stream::{Change, Received, Signal, Stream};
pub use titles::Titles;
pub use values::{Key, key, literals_in};

/// All resources. The watched ones come first, and the cart is the first of these.
pub static ALL: [&dyn Specimen; 10] = [
    &Carts,
    &Customers,
    &Groups,
    &SavedFilters,
    &Titles,
    &Addresses,
    &items::Items,
    &operations::Operations,
    &shops::Shops,
    &api_keys::ApiKeys,
];

/// Returns the specimens that can be watched.
pub fn watched() -> impl Iterator<Item = &'static dyn Specimen> {
    let all = ALL.into_iter();
    all.filter(|specimen| specimen.rpc("Watch").is_some())
}

/// Returns the specimen whose names have this pattern.
pub fn of(pattern: &str) -> &'static dyn Specimen {
    let mut all = ALL.into_iter();
    let found = all.find(|specimen| specimen.pattern() == pattern);
    found.unwrap_or_else(|| panic!("there is no specimen for {pattern}: add one to `ALL`"))
}

/// The ways to watch a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// WatchCart by a name.
    One,
    /// WatchCart by an owner.
    Owner,
    /// All resources of the kind.
    All,
    /// A list of names.
    Names,
    /// A filter that always matches the resource.
    Filter,
}

/// The properties of a resource that tests need. A resource without a filter needs only the first three.
pub trait Specimen: Sync {
    /// Returns the pattern of its names, such as `savedFilters/{id}`.
    fn pattern(&self) -> &'static str;

    /// Returns the name of its message, such as `SavedFilter`.
    fn message(&self) -> &'static str;

    /// Returns the resource for a create request. Each text gives a different resource.
    fn sent(&self, _text: &str) -> DynamicMessage {
        panic!("no request creates a {}", self.message())
    }

    /// As [`sent`](Self::sent), limited to the fields that an update may change.
    fn changed(&self, text: &str) -> DynamicMessage {
        self.sent(text)
    }

    /// Returns the create request.
    fn plain(&self, text: &str) -> DynamicMessage {
        self.creation(self.sent(text))
    }

    /// Returns the create request with all fields set that only some roles may see.
    fn whole<'w>(&'w self, world: &'w World, text: &'w str) -> LocalBoxFuture<'w, DynamicMessage> {
        world.filled(self.plain(text)).boxed_local()
    }

    /// Creates a resource in a world, with the id if it takes one, and returns its name.
    fn make<'w>(&'w self, world: &'w World, id: &'w str) -> LocalBoxFuture<'w, String> {
        let made = async move {
            let request = self.whole(world, id).await;
            text(&self.create(&world.connection, request, id).await, "name")
        };
        made.boxed_local()
    }

    /// Returns the call that writes the next version. It differs for each number.
    fn next(&self, name: &str, number: u64) -> (MethodDescriptor, DynamicMessage) {
        let changed = self.changed(&format!("change {number}"));
        let update = self.rpc("Update").expect("the resource has an Update RPC");
        (update, self.update(name, changed, &[]))
    }

    /// Returns the number of its kind in the change log.
    fn log_kind(&self) -> i64 {
        panic!("{} is not watched", self.message())
    }

    /// Returns the ways in which it can be watched.
    fn ways(&self) -> &'static [Way] {
        &[Way::All, Way::Names, Way::Filter]
    }

    /// Returns a filter that always matches a resource made by [`plain`](Self::plain) and changed by
    /// [`next`](Self::next).
    fn always(&self) -> &'static str {
        "create_time:*"
    }

    /// Returns the fields that filters and orders may name. Without them, the only order is that by
    /// name.
    fn schema(&self) -> Option<&'static Schema> {
        None
    }

    /// Creates the resources that random ones refer to.
    fn prepare<'s>(&'s self, _shop: &'s Shop) -> LocalBoxFuture<'s, ()> {
        ready(()).boxed_local()
    }

    /// Returns the random resource of this number.
    fn random(&self, rng: &mut StdRng, number: u64) -> DynamicMessage {
        self.sent(&format!("number {number}, {}", rng.random_range(0..1_000)))
    }

    /// Returns the create request of the random resource of this number.
    fn any(&self, rng: &mut StdRng, number: u64) -> DynamicMessage {
        let random = self.random(rng, number);
        self.creation(random)
    }

    /// Returns the fields of [`random`](Self::random) that an update may change. An empty list means all
    /// fields that are set.
    fn changeable(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Returns values to compare a field with, in addition to those of the resources and those for every
    /// field of its kind. An entry of a map is its key, a tab and its value.
    fn literals(&self, _path: &str) -> &'static [&'static str] {
        &[]
    }

    /// Returns the actor for the resource of this number, where the actor matters. The actor of the
    /// first one lists and watches.
    fn actor(&self, _number: u64) -> Option<&'static str> {
        None
    }

    /// Returns whether the actor of the first resource may see it.
    fn is_seen(&self, _resource: &DynamicMessage) -> bool {
        true
    }

    /// Makes further random changes to a new resource.
    fn settle<'s>(
        &'s self,
        _connection: &'s Connection,
        _name: &'s str,
        _rng: &'s mut StdRng,
    ) -> LocalBoxFuture<'s, ()> {
        ready(()).boxed_local()
    }

    /// Changes or deletes a random resource.
    fn stir<'s>(
        &'s self,
        connection: &'s Connection,
        name: &'s str,
        rng: &'s mut StdRng,
    ) -> LocalBoxFuture<'s, ()> {
        let stirred = async move {
            if rng.random_ratio(1, 10) {
                self.delete(connection, name).await;
            } else {
                self.change(connection, name, rng).await;
            }
        };
        stirred.boxed_local()
    }
}

impl fmt::Debug for dyn Specimen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl PartialEq for dyn Specimen {
    fn eq(&self, other: &Self) -> bool {
        self.pattern() == other.pattern()
    }
}
