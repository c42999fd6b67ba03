//! Rust client of Clientela, which keeps a shop's customers, groups and live carts. It connects the
//! generated clients, retries calls so that the server applies them once, types the errors, and keeps
//! watches open across outages.
//!
//! ```no_run
//! # async fn example() -> Result<(), clientela_client::Error> {
//! use clientela_client::{Client, Event, v1};
//! use futures::StreamExt as _;
//!
//! let client = Client::builder().key("clt_…").connect()?;
//! let mut carts = client.watch_carts(v1::WatchCartsRequest::default());
//! while let Some(event) = carts.next().await {
//!     match event? {
//!         Event::Changed(change) => println!("{} is at version {}", change.name, change.version),
//!         Event::Reset(_) => println!("discard all carts: a snapshot follows"),
//!         Event::Ready { count } => println!("{count} carts"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod backoff;
mod call;
mod connect;
mod error;
mod figures;
mod messages;
mod pages;
mod reconnect;
mod watch;

/// The messages and clients of the contract, generated from it.
#[expect(clippy::large_enum_variant, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("clientela.v1");
}

pub use call::Transport;
pub use connect::Builder;
pub use error::{Error, Violation};
pub use figures::Figures;
pub use messages::{cart, customer_cart, money, visitor_cart};
#[doc(hidden)]
pub use pages::Listed;
/// The library of the generated clients, for [`tonic::Code`], [`tonic::Request`] and TLS configurations.
pub use tonic;
pub use watch::{Event, Watch};
#[doc(hidden)]
pub use watch::{WatchRequest, Watched};

use futures::Stream;
use reconnect::Watching;
use v1::{
    admin_service_client::AdminServiceClient, cart_service_client::CartServiceClient,
    customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
    operation_service_client::OperationServiceClient,
    saved_filter_service_client::SavedFilterServiceClient,
};

/// The contract as a `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clientela.fds"));

/// The services of the contract on one connection. A clone is cheap and uses the same connection.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    watching: Watching,
}

impl Client {
    /// Returns a builder with the defaults.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Returns the client of the customers.
    pub fn customers(&self) -> CustomerServiceClient<Transport> {
        CustomerServiceClient::new(self.transport.clone())
    }

    /// Returns the client of the groups.
    pub fn groups(&self) -> GroupServiceClient<Transport> {
        GroupServiceClient::new(self.transport.clone())
    }

    /// Returns the client of the carts.
    pub fn carts(&self) -> CartServiceClient<Transport> {
        CartServiceClient::new(self.transport.clone())
    }

    /// Returns the client of shops, settings and API keys.
    pub fn admin(&self) -> AdminServiceClient<Transport> {
        AdminServiceClient::new(self.transport.clone())
    }

    /// Returns the client of long-running operations.
    pub fn operations(&self) -> OperationServiceClient<Transport> {
        OperationServiceClient::new(self.transport.clone())
    }

    /// Returns the client of saved filters.
    pub fn saved_filters(&self) -> SavedFilterServiceClient<Transport> {
        SavedFilterServiceClient::new(self.transport.clone())
    }

    /// Returns the transport of the clients, for calls that are not generated.
    pub fn transport(&self) -> Transport {
        self.transport.clone()
    }

    /// Yields the resources of a List call, page after page. It fetches a page when the reader has used up
    /// the one before. The request sets the page size and the first page:
    /// `client.all(ListCartsRequest::default())`.
    pub fn all<Q: Listed>(&self, request: Q) -> impl Stream<Item = Result<Q::Item, Error>> + Send {
        pages::all(self.clone(), request)
    }

    /// Watches one cart, or the open carts of an owner: after an order it continues with the owner's next
    /// cart. Write the target with [`cart`], [`customer_cart`] or [`visitor_cart`].
    pub fn watch_cart(&self, target: v1::CartTarget) -> Watch<v1::CartChange> {
        let request = v1::WatchCartRequest {
            target: Some(target),
            options: None,
        };
        self.watch(request)
    }

    /// Watches the figures of the shop's open carts.
    pub fn watch_cart_figures(&self, request: v1::WatchCartFiguresRequest) -> Figures {
        Figures::new(self.clone(), request)
    }

    /// Watches with any request of a watch, for example a [`v1::WatchCartRequest`] with options.
    pub fn watch<Q: WatchRequest>(&self, request: Q) -> Watch<Q::Change> {
        Watch::new(self, request)
    }

    /// Watches the carts of a filter or of names; all without either.
    pub fn watch_carts(&self, request: v1::WatchCartsRequest) -> Watch<v1::CartChange> {
        Watch::new(self, request)
    }

    /// Watches customers as [`watch_carts`](Self::watch_carts) watches carts.
    pub fn watch_customers(&self, request: v1::WatchCustomersRequest) -> Watch<v1::CustomerChange> {
        Watch::new(self, request)
    }

    /// Watches groups as [`watch_carts`](Self::watch_carts) watches carts.
    pub fn watch_groups(&self, request: v1::WatchGroupsRequest) -> Watch<v1::GroupChange> {
        Watch::new(self, request)
    }
}

/// The test of the documentation also compiles the programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
