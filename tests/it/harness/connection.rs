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
    /// Over the connection of the tests, with the key of the administrator.
    pub fn of(shop: &Shop) -> Self {
        Self::with_key(shop, &shop.admin_key)
    }

    /// Over the connection of the tests, with another key; with none if it is empty.
    pub fn with_key(shop: &Shop, key: &str) -> Self {
        let keyed = match key {
            "" => Keyed::none(),
            key => Shop::with_key(key),
        };
        Self::over(shop.channel(), keyed)
    }

    /// Over any connection.
    pub fn over(channel: Channel, keyed: Keyed) -> Self {
        Self { channel, keyed }
    }

    /// Over a connection of its own, on which a stream takes so many bytes unread.
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
