//! A way to the server: a connection, and the metadata of the calls that are made over it.

use clientela::proto::pb::{
    admin_service_client::AdminServiceClient, cart_service_client::CartServiceClient,
    customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
    operation_service_client::OperationServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use super::{Keyed, Shop, Transport};

/// How one comes to the server: over which connection, with which metadata.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    keyed: Keyed,
}

impl Connection {
    /// Uses the shop's connection with the key of the administrator.
    pub fn of(shop: &Shop) -> Self {
        Self::with_key(shop, &shop.admin_key)
    }

    /// Uses the shop's connection with another key, or without a key if it is empty.
    pub fn with_key(shop: &Shop, key: &str) -> Self {
        let keyed = match key {
            "" => Keyed::none(),
            key => Shop::with_key(key),
        };
        Self::over(shop.channel(), keyed)
    }

    /// Uses a given connection.
    pub fn over(channel: Channel, keyed: Keyed) -> Self {
        Self { channel, keyed }
    }

    /// Opens a new connection whose streams have a receive window of this many bytes.
    pub async fn narrow(address: std::net::SocketAddr, key: &str, window: u32) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let endpoint = endpoint.initial_stream_window_size(window);
        let channel = endpoint.connect().await;
        let channel = channel.expect("the server takes connections");
        Self::over(channel, Shop::with_key(key))
    }

    /// With a further piece of metadata.
    pub fn and(mut self, name: &'static str, value: &str) -> Self {
        self.keyed = self.keyed.and(name, value);
        self
    }

    /// The connection as a client of any service takes it.
    pub fn transport(&self) -> Transport {
        Transport::new(self.channel.clone(), self.keyed.clone())
    }

    pub fn admin(&self) -> AdminServiceClient<Transport> {
        AdminServiceClient::new(self.transport())
    }

    pub fn carts(&self) -> CartServiceClient<Transport> {
        CartServiceClient::new(self.transport())
    }

    pub fn customers(&self) -> CustomerServiceClient<Transport> {
        CustomerServiceClient::new(self.transport())
    }

    pub fn groups(&self) -> GroupServiceClient<Transport> {
        GroupServiceClient::new(self.transport())
    }

    pub fn operations(&self) -> OperationServiceClient<Transport> {
        OperationServiceClient::new(self.transport())
    }
}
