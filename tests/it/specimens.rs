//! One specimen for each resource: how one is made and changed, and which values it may have. The tests of the
//! contract, of lists, filters and watches know nothing else of a resource: they call its RPCs by the names that those
//! of all resources have (`rpcs.rs`), and read its fields by the names in its table (`values.rs`).

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
pub use stream::{Change, Signal, Stream, Told};
pub use titles::Titles;
pub use values::{Key, key, literals_in};

/// All resources. Those that are watched come first, and the first of them is the cart.
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

/// Those that are watched.
pub fn watched() -> impl Iterator<Item = &'static dyn Specimen> {
    let all = ALL.into_iter();
    all.filter(|specimen| specimen.rpc("Watch").is_some())
}

/// The resource whose names have this pattern.
pub fn of(pattern: &str) -> &'static dyn Specimen {
    let mut all = ALL.into_iter();
    let found = all.find(|specimen| specimen.pattern() == pattern);
    found.unwrap_or_else(|| panic!("{pattern} is new: give the tests a specimen of it"))
}

/// How a resource is watched.
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

/// What the tests must know of a resource. The first three are enough for one that has no filter.
pub trait Specimen: Sync {
    /// The pattern of its names, such as `savedFilters/{id}`.
    fn pattern(&self) -> &'static str;

    /// The name of its message, such as `SavedFilter`.
    fn message(&self) -> &'static str;

    /// The resource as a request carries it that creates one, with this text in it. Every text makes another.
    fn sent(&self, _text: &str) -> DynamicMessage {
        panic!("no request creates a {}", self.message())
    }

    /// As [`sent`](Self::sent), with no more than what an update may change.
    fn changed(&self, text: &str) -> DynamicMessage {
        self.sent(text)
    }

    /// The request that creates one.
    fn plain(&self, text: &str) -> DynamicMessage {
        self.creation(self.sent(text))
    }

    /// The request that creates one of which every field is set that not every role may see.
    fn whole<'w>(&'w self, world: &'w World, text: &'w str) -> LocalBoxFuture<'w, DynamicMessage> {
        world.filled(self.plain(text)).boxed_local()
    }

    /// Makes one in a world, with this id if it takes one; gives its name.
    fn make<'w>(&'w self, world: &'w World, id: &'w str) -> LocalBoxFuture<'w, String> {
        let made = async move {
            let request = self.whole(world, id).await;
            text(&self.create(&world.connection, request, id).await, "name")
        };
        made.boxed_local()
    }

    /// The call that makes the next version of one, which differs for each number.
    fn next(&self, name: &str, number: u64) -> (MethodDescriptor, DynamicMessage) {
        let changed = self.changed(&format!("change {number}"));
        let update = self.rpc("Update").expect("it is updated");
        (update, self.update(name, changed, &[]))
    }

    /// The number of its kind in the change log.
    fn log_kind(&self) -> i64 {
        panic!("{} is not watched", self.message())
    }

    /// The ways in which it is watched.
    fn ways(&self) -> &'static [Way] {
        &[Way::All, Way::Names, Way::Filter]
    }

    /// A filter that one always matches that [`plain`](Self::plain) made and [`next`](Self::next) changes.
    fn always(&self) -> &'static str {
        "create_time:*"
    }

    /// The fields that filters and orders may name. Without it the only order is that by name.
    fn schema(&self) -> Option<&'static Schema> {
        None
    }

    /// What there must be before one is made at random.
    fn prepare<'s>(&'s self, _shop: &'s Shop) -> LocalBoxFuture<'s, ()> {
        ready(()).boxed_local()
    }

    /// The resource at random, that of this number.
    fn random(&self, rng: &mut StdRng, number: u64) -> DynamicMessage {
        self.sent(&format!("number {number}, {}", rng.random_range(0..1_000)))
    }

    /// The request that creates one at random, that of this number.
    fn any(&self, rng: &mut StdRng, number: u64) -> DynamicMessage {
        let random = self.random(rng, number);
        self.creation(random)
    }

    /// The fields of [`random`](Self::random) that an update may change; all that are set if there are none.
    fn changeable(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// What a field may be compared with, beside the values that resources have and those that suit every field of
    /// its kind. An entry of a map is its key, a tab and its value.
    fn literals(&self, _path: &str) -> &'static [&'static str] {
        &[]
    }

    /// Who acts on the one of this number, where that makes a difference. The first one's actor lists and watches.
    fn actor(&self, _number: u64) -> Option<&'static str> {
        None
    }

    /// Whether the actor of the first one may see it.
    fn is_seen(&self, _resource: &DynamicMessage) -> bool {
        true
    }

    /// What else may have happened to one that was just made.
    fn settle<'s>(
        &'s self,
        _connection: &'s Connection,
        _name: &'s str,
        _rng: &'s mut StdRng,
    ) -> LocalBoxFuture<'s, ()> {
        ready(()).boxed_local()
    }

    /// Changes or deletes one that was made at random.
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
