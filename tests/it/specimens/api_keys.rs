//! API keys.

use clientela::proto::pb::{self, Role};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use prost_reflect::DynamicMessage;

use super::{Rpcs as _, Specimen, text};
use crate::contract::messages::reflect;
use crate::contract::world::World;

pub struct ApiKeys;

impl Specimen for ApiKeys {
    fn pattern(&self) -> &'static str {
        "apiKeys/{id}"
    }

    fn message(&self) -> &'static str {
        "ApiKey"
    }

    fn sent(&self, text: &str) -> DynamicMessage {
        reflect(&pb::ApiKey {
            display_name: text.to_owned(),
            roles: vec![Role::Monitor.into()],
            ..Default::default()
        })
    }

    /// The answer has the key in a field, beside the secret.
    fn make<'w>(&'w self, world: &'w World, id: &'w str) -> LocalBoxFuture<'w, String> {
        let made = async move {
            let created = self.create(&world.connection, self.plain(id), id).await;
            text(&created, "api_key.name")
        };
        made.boxed_local()
    }
}
