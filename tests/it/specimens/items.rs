//! The items of carts.

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::{Carts, Rpcs as _, Specimen};
use crate::contract::world::World;

pub struct Items;

impl Specimen for Items {
    fn pattern(&self) -> &'static str {
        "carts/{id}/items/{id}"
    }

    fn message(&self) -> &'static str {
        "Item"
    }

    /// Returns the item of the world's cart.
    fn make<'w>(&'w self, world: &'w World, _id: &'w str) -> LocalBoxFuture<'w, String> {
        let found = async move {
            let cart = world.name(Carts.pattern()).await;
            let cart = Carts
                .get(&world.connection, &cart)
                .await
                .expect("the cart exists");
            let cart: clientela::proto::pb::Cart = cart.transcode_to().expect("a cart");
            cart.items[0].name.clone()
        };
        found.boxed_local()
    }
}
