//! Clients of a shop's server, with their keys.

use clientela::proto::pb::{
    self, admin_service_client::AdminServiceClient, cart_service_client::CartServiceClient,
    customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
    operation_service_client::OperationServiceClient,
    saved_filter_service_client::SavedFilterServiceClient,
};
use tonic::GrpcMethod;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::{Interceptor, interceptor::InterceptedService};
use tonic::transport::Channel;

use super::Shop;

const DEADLINE: &str = "grpc-timeout";
/// The longest deadline that the server grants, because the machine may be busy.
pub const PATIENT: &str = "60S";

/// Adds a key and other metadata to calls.
#[derive(Clone)]
pub struct Keyed(Vec<(&'static str, MetadataValue<Ascii>)>);

impl Interceptor for Keyed {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().insert(*name, value.clone());
        }
        // A deadline would end a stream.
        let method = request.extensions().get::<GrpcMethod<'_>>();
        if method.is_some_and(|method| !method.method().starts_with("Watch"))
            && !request.metadata().contains_key(DEADLINE)
        {
            let patient = MetadataValue::from_static(PATIENT);
            request.metadata_mut().insert(DEADLINE, patient);
        }
        Ok(request)
    }
}

impl Keyed {
    /// Returns no metadata.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds an entry.
    pub fn and(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.parse().expect("ASCII")));
        self
    }
}

/// The connection of a client with metadata.
pub type Transport = InterceptedService<Channel, Keyed>;

impl Shop {
    /// Returns the metadata with a key.
    pub fn with_key(key: &str) -> Keyed {
        let bearer = format!("Bearer {key}").parse().expect("a key is ASCII");
        Keyed(vec![("authorization", bearer)])
    }

    /// Creates a key of the shop with these roles.
    pub async fn key(&self, roles: &[pb::Role]) -> String {
        create_key(self.admin(), roles).await
    }

    /// Creates a key of another shop with these roles.
    pub async fn key_of(&self, shop: &str, roles: &[pb::Role]) -> String {
        let keyed = Self::with_key(&self.operator_key).and("clientela-shop", shop);
        let admin = AdminServiceClient::with_interceptor(self.channel(), keyed);
        create_key(admin, roles).await
    }

    pub fn customers(&self) -> CustomerServiceClient<Transport> {
        self.customers_as(&self.admin_key)
    }

    pub fn customers_as(&self, key: &str) -> CustomerServiceClient<Transport> {
        CustomerServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }

    pub fn groups(&self) -> GroupServiceClient<Transport> {
        self.groups_as(&self.admin_key)
    }

    pub fn groups_as(&self, key: &str) -> GroupServiceClient<Transport> {
        GroupServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }

    pub fn carts(&self) -> CartServiceClient<Transport> {
        self.carts_as(&self.admin_key)
    }

    pub fn carts_as(&self, key: &str) -> CartServiceClient<Transport> {
        CartServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }

    pub fn admin(&self) -> AdminServiceClient<Transport> {
        self.admin_as(&self.admin_key)
    }

    pub fn admin_as(&self, key: &str) -> AdminServiceClient<Transport> {
        AdminServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }

    pub fn saved_filters(&self) -> SavedFilterServiceClient<Transport> {
        self.saved_filters_as(Self::with_key(&self.admin_key))
    }

    pub fn saved_filters_as(&self, keyed: Keyed) -> SavedFilterServiceClient<Transport> {
        SavedFilterServiceClient::with_interceptor(self.channel(), keyed)
    }

    pub fn operations(&self) -> OperationServiceClient<Transport> {
        self.operations_as(&self.admin_key)
    }

    pub fn operations_as(&self, key: &str) -> OperationServiceClient<Transport> {
        OperationServiceClient::with_interceptor(self.channel(), Self::with_key(key))
    }
}

/// Creates a key that may name the acting person, in the shop of the client.
async fn create_key(mut admin: AdminServiceClient<Transport>, roles: &[pb::Role]) -> String {
    let api_key = pb::ApiKey {
        display_name: "a test".into(),
        roles: roles.iter().map(|role| *role as i32).collect(),
        may_act: true,
        ..Default::default()
    };
    let request = pb::CreateApiKeyRequest {
        api_key: Some(api_key),
        request_id: String::new(),
    };
    let answer = admin.create_api_key(request).await.expect("a key");
    answer.into_inner().secret
}
