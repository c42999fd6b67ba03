//! A way to the server, for a watch.

use clientela::proto::pb::{
    cart_service_client::CartServiceClient, customer_service_client::CustomerServiceClient,
    group_service_client::GroupServiceClient,
    saved_filter_service_client::SavedFilterServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use crate::harness::{Keyed, Shop, Transport};

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

    /// Over the connection of the tests, with another key.
    pub fn with_key(shop: &Shop, key: &str) -> Self {
        Self {
            channel: shop.channel(),
            keyed: Shop::with_key(key),
        }
    }

    /// Over a connection of its own, on which a stream takes so many bytes unread.
    pub async fn narrow(address: std::net::SocketAddr, key: &str, window: u32) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let endpoint = endpoint.initial_stream_window_size(window);
        Self {
            channel: endpoint
                .connect()
                .await
                .expect("the server takes connections"),
            keyed: Shop::with_key(key),
        }
    }

    /// With a further piece of metadata.
    pub fn and(mut self, name: &'static str, value: &str) -> Self {
        self.keyed = self.keyed.and(name, value);
        self
    }

    pub fn carts(&self) -> CartServiceClient<Transport> {
        CartServiceClient::with_interceptor(self.channel.clone(), self.keyed.clone())
    }

    pub fn customers(&self) -> CustomerServiceClient<Transport> {
        CustomerServiceClient::with_interceptor(self.channel.clone(), self.keyed.clone())
    }

    pub fn groups(&self) -> GroupServiceClient<Transport> {
        GroupServiceClient::with_interceptor(self.channel.clone(), self.keyed.clone())
    }

    pub fn saved_filters(&self) -> SavedFilterServiceClient<Transport> {
        SavedFilterServiceClient::with_interceptor(self.channel.clone(), self.keyed.clone())
    }
}
