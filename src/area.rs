//! An area as a part of the program: its services, its background work, and its reactions to writes of lower
//! areas.
//!
//! Each area has a function `area` that returns an [`Area`]. `app.rs` joins them, and gives a lower area the
//! traits of higher ones that it needs.

use std::sync::Arc;

use tonic::service::Routes;

use crate::access::Keys;
use crate::feed::Feed;
use crate::jobs::{Handler, Sweeper, Upkeep};
use crate::numbers::Numbers;
use crate::passwords::Passwords;
use crate::store::{Reaction, Reactions, Store};

/// The parts of the program that the services of all areas share.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The feed of its changes.
    pub feed: Feed,
    /// The API keys.
    pub keys: Keys,
    /// The threads that hash passwords.
    pub passwords: Passwords,
    /// The numbers of customers and carts.
    pub numbers: Numbers,
}

/// Adds a service to the routes.
pub type AddService = Box<dyn Fn(&Parts, Routes) -> Routes + Send + Sync>;

/// The services, background work and reactions of an area, or of several joined ones.
#[derive(Default)]
pub struct Area {
    /// The services of the contract.
    pub services: Vec<AddService>,
    /// Handlers of jobs.
    pub handlers: Vec<Arc<dyn Handler>>,
    /// Sweepers of a purge.
    pub sweepers: Vec<Arc<dyn Sweeper>>,
    /// Recurring work of every replica.
    pub upkeep: Vec<Arc<dyn Upkeep>>,
    /// Reactions to writes of lower areas, in the order in which they run.
    pub reactions: Reactions,
}

impl Area {
    /// Adds a service. `add` makes it from the shared parts and adds its server, made with `bounded!`, to the
    /// routes.
    #[must_use]
    pub fn service(
        mut self,
        add: impl Fn(&Parts, Routes) -> Routes + Send + Sync + 'static,
    ) -> Self {
        self.services.push(Box::new(add));
        self
    }

    /// Adds the handler of a kind of job.
    #[must_use]
    pub fn handler(mut self, handler: impl Handler) -> Self {
        self.handlers.push(Arc::new(handler));
        self
    }

    /// Adds a sweeper.
    #[must_use]
    pub fn sweeper(mut self, sweeper: impl Sweeper) -> Self {
        self.sweepers.push(Arc::new(sweeper));
        self
    }

    /// Adds recurring work.
    #[must_use]
    pub fn upkeep(mut self, upkeep: impl Upkeep) -> Self {
        self.upkeep.push(Arc::new(upkeep));
        self
    }

    /// Adds a reaction to an event of a lower area.
    #[must_use]
    pub fn reaction<E: 'static>(mut self, reaction: impl Reaction<E>) -> Self {
        self.reactions.add(reaction);
        self
    }

    /// Joins two areas. The parts of `other` come last.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.services.extend(other.services);
        self.handlers.extend(other.handlers);
        self.sweepers.extend(other.sweepers);
        self.upkeep.extend(other.upkeep);
        self.reactions.extend(other.reactions);
        self
    }

    /// The routes to all services.
    #[must_use]
    pub fn routes(&self, parts: &Parts) -> Routes {
        let add = |routes, add: &AddService| add(parts, routes);
        self.services.iter().fold(Routes::default(), add)
    }
}

/// Makes the generated server of a service from its implementation, with the limits of messages.
macro_rules! bounded {
    ($server:ident, $service:expr) => {
        $server::new($service)
            .max_decoding_message_size($crate::limits::REQUEST_BYTES_MAX)
            .max_encoding_message_size($crate::limits::RESPONSE_BYTES_MAX)
    };
}
pub(crate) use bounded;
