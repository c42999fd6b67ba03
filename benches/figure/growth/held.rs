//! Requests that begin or end the hold of a cart.

use clientela::proto::pb;

use super::carts::named;
use super::world::{World, owned};
use crate::call::Call;
use crate::shop::item;

impl World {
    pub(super) async fn holding_a_cart(&self, rpc: &str, cart: pb::Cart) -> Call {
        let target = named(&cart.name);
        let name = cart.name;
        let lock = pb::LockCartRequest {
            target: target.clone(),
            ..Default::default()
        };
        let freeze = pb::FreezeCartRequest {
            target: target.clone(),
            ..Default::default()
        };
        match rpc {
            "LockCart" => self.later(rpc, lock),
            "FreezeCart" => self.later(rpc, freeze),
            "UnfreezeCart" => {
                let _: pb::Cart = self.ask("FreezeCart", freeze).await;
                let request = pb::UnfreezeCartRequest {
                    target,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "RenewCartLock" => {
                let _: pb::Cart = self.ask("LockCart", lock).await;
                self.later(rpc, pb::RenewCartLockRequest { name, lease: None })
            }
            _ => {
                let _: pb::Cart = self.ask("LockCart", lock).await;
                let request = pb::UnlockCartRequest {
                    name,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
        }
    }

    pub(super) async fn ending_a_cart(
        &self,
        rpc: &str,
        cart: pb::Cart,
        customer: &str,
        number: usize,
    ) -> Call {
        let target = named(&cart.name);
        let order = pb::OrderCartRequest {
            target: target.clone(),
            order_reference: format!("order-{number}"),
            ..Default::default()
        };
        match rpc {
            "OrderCart" => self.later(rpc, order),
            "ReopenCart" => {
                let _: pb::Cart = self.ask("OrderCart", order).await;
                let request = pb::ReopenCartRequest {
                    name: cart.name,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "DeleteCart" => self.later(
                rpc,
                pb::DeleteCartRequest {
                    target,
                    ..Default::default()
                },
            ),
            "AssignCart" => {
                let visitor = pb::CartOwner {
                    owner: Some(pb::cart_owner::Owner::Visitor(format!(
                        "a visitor of the benches, number {number}"
                    ))),
                    ..Default::default()
                };
                let request = pb::CreateCartRequest {
                    owner: Some(visitor),
                    items: vec![item(0)],
                    ..Default::default()
                };
                let made: pb::Cart = self.ask("CreateCart", request).await;
                let keep_both = pb::assign_cart_request::IfOpenCartExists::KeepBoth;
                let request = pb::AssignCartRequest {
                    target: named(&made.name),
                    customer: customer.to_owned(),
                    if_open_cart_exists: keep_both.into(),
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "MergeCarts" => {
                let source = named(&self.new_cart(customer).await.name);
                let request = pb::MergeCartsRequest {
                    source,
                    target,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            _ => {
                let line = cart.items[0].name.clone();
                let request = pb::MoveItemsRequest {
                    source: target,
                    target: owned(customer, &format!("moved-{number}")),
                    items: vec![pb::move_items_request::MovedItem {
                        item: line,
                        quantity: None,
                    }],
                    ..Default::default()
                };
                self.later(rpc, request)
            }
        }
    }
}
