//! Shops. A world creates none: with two shops, an operator's calls would have to name one.

use clientela::proto::pb;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use prost_reflect::DynamicMessage;

use super::Specimen;
use crate::contract::messages::reflect;
use crate::contract::world::World;

pub struct Shops;

impl Specimen for Shops {
    fn pattern(&self) -> &'static str {
        "shops/{id}"
    }

    fn message(&self) -> &'static str {
        "Shop"
    }

    fn sent(&self, text: &str) -> DynamicMessage {
        reflect(&pb::Shop {
            display_name: text.to_owned(),
            ..Default::default()
        })
    }

    /// Returns the shop of the key.
    fn make<'w>(&'w self, world: &'w World, _id: &'w str) -> LocalBoxFuture<'w, String> {
        let found = async move {
            let mut admin = world.connection.admin();
            let settings = admin.get_shop_settings(pb::GetShopSettingsRequest {}).await;
            let name = settings.expect("settings").into_inner().name;
            name.trim_end_matches("/settings").to_owned()
        };
        found.boxed_local()
    }
}
