//! Operations. The deletion of a group starts one.

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::{Groups, Rpcs as _, Specimen};
use crate::contract::world::World;

pub struct Operations;

impl Specimen for Operations {
    fn pattern(&self) -> &'static str {
        "operations/{id}"
    }

    fn message(&self) -> &'static str {
        "Operation"
    }

    fn make<'w>(&'w self, world: &'w World, id: &'w str) -> LocalBoxFuture<'w, String> {
        let made = async move {
            let group = Groups.make(world, id).await;
            let delete = Groups.naming("Delete", &group);
            let deleted = Groups.call(&world.connection, "Delete", &delete).await;
            let deleted = deleted.expect("the group is deleted");
            let operation = deleted.metadata().get("clientela-operation");
            let operation = operation.expect("the answer names the operation").to_str();
            operation.expect("a name is ASCII").to_owned()
        };
        made.boxed_local()
    }
}
