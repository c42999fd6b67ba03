//! A client of Clientela: the generated clients with a key on every call, retries that do nothing
//! twice, refusals as values, and watches that go on by themselves.
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
//!         Event::Reset(_) => println!("from the beginning"),
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
mod watch;

/// The messages and clients of the contract, generated from it.
#[expect(clippy::large_enum_variant, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("clientela.v1");
}

pub use call::Transport;
pub use connect::Builder;
pub use error::{Error, Violation};
/// What the generated clients are made with: for [`tonic::Code`], [`tonic::Request`] and TLS of your own.
pub use tonic;
#[doc(hidden)]
pub use watch::Watched;
pub use watch::{Event, Watch};

use v1::{
    admin_service_client::AdminServiceClient, cart_service_client::CartServiceClient,
    customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
    operation_service_client::OperationServiceClient,
};
use watch::Watching;

/// The contract as a `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clientela.fds"));

/// A connection to a server; cheap to clone. It opens with the first call, and again after an outage.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    watching: Watching,
}

impl Client {
    /// Where to connect to and as whom. Everything has a default.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The customers of the shop.
    pub fn customers(&self) -> CustomerServiceClient<Transport> {
        CustomerServiceClient::new(self.transport.clone())
    }

    /// The groups of the shop.
    pub fn groups(&self) -> GroupServiceClient<Transport> {
        GroupServiceClient::new(self.transport.clone())
    }

    /// The carts of the shop.
    pub fn carts(&self) -> CartServiceClient<Transport> {
        CartServiceClient::new(self.transport.clone())
    }

    /// Shops, keys and the audit.
    pub fn admin(&self) -> AdminServiceClient<Transport> {
        AdminServiceClient::new(self.transport.clone())
    }

    /// Long work.
    pub fn operations(&self) -> OperationServiceClient<Transport> {
        OperationServiceClient::new(self.transport.clone())
    }

    /// What the clients call through, for calls that are not generated.
    pub fn transport(&self) -> Transport {
        self.transport.clone()
    }

    /// Follows carts, for ever: by a filter, by names, or all.
    pub fn watch_carts(&self, request: v1::WatchCartsRequest) -> Watch<v1::CartChange> {
        Watch::new(self, request)
    }

    /// Follows customers, for ever.
    pub fn watch_customers(&self, request: v1::WatchCustomersRequest) -> Watch<v1::CustomerChange> {
        Watch::new(self, request)
    }

    /// Follows groups, for ever.
    pub fn watch_groups(&self, request: v1::WatchGroupsRequest) -> Watch<v1::GroupChange> {
        Watch::new(self, request)
    }
}

/// The programs there are compiled as this one's documentation is.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
