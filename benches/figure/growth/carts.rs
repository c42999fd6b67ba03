//! Requests about carts.

use clientela::proto::pb;

use super::world::{World, owned};
use crate::call::Call;
use crate::shop::{customer_name, item};

/// Entries of a page.
const PAGE_SIZE: i32 = 20;

/// The RPCs that read the one cart of a customer, or change it so that it stays like the carts of other
/// customers.
const OF_THE_SHOP: &[&str] = &[
    "GetCart",
    "AddItem",
    "UpdateItem",
    "EditCart",
    "UpdateItemPrices",
    "UpdateCart",
    "CreateRecoveryLink",
    "RecoverCart",
    "WatchCart",
];

impl World {
    /// Creates a further cart of a customer, in a separate slot.
    pub(super) async fn new_cart(&self, customer: &str) -> pb::Cart {
        let request = pb::CreateCartRequest {
            owner: owner(customer, self.number()),
            items: vec![item(0)],
            ..Default::default()
        };
        self.ask("CreateCart", request).await
    }

    pub(super) async fn about_a_cart(&self, rpc: &str, how: &str, number: usize) -> Call {
        match rpc {
            "ListCarts" => {
                let mut request = pb::ListCartsRequest {
                    page_size: PAGE_SIZE,
                    ..Default::default()
                };
                match how.strip_prefix("order ") {
                    Some(order) => order.clone_into(&mut request.order_by),
                    None => how.clone_into(&mut request.filter),
                }
                return self.later(rpc, request);
            }
            "WatchCartFigures" => return self.later(rpc, pb::WatchCartFiguresRequest::default()),
            _ => {}
        }
        let customer = customer_name(self.customer(number));
        let cart = if OF_THE_SHOP.contains(&rpc) {
            let target = owned(&customer, "");
            self.ask("GetCart", pb::GetCartRequest { target }).await
        } else {
            self.new_cart(&customer).await
        };
        let target = match how {
            "owner" => owned(&customer, ""),
            _ => named(&cart.name),
        };
        match rpc {
            "GetCart" => self.later(rpc, pb::GetCartRequest { target }),
            "WatchCart" => {
                let options = None;
                self.later(rpc, pb::WatchCartRequest { target, options })
            }
            "WatchCarts" => {
                let mut request = pb::WatchCartsRequest::default();
                match how {
                    "" => request.names.push(cart.name),
                    how => how.clone_into(&mut request.filter),
                }
                self.later(rpc, request)
            }
            "LockCart" | "RenewCartLock" | "UnlockCart" | "FreezeCart" | "UnfreezeCart" => {
                self.holding_a_cart(rpc, cart).await
            }
            "OrderCart" | "ReopenCart" | "DeleteCart" | "AssignCart" | "MergeCarts"
            | "MoveItems" => self.ending_a_cart(rpc, cart, &customer, number).await,
            _ => self.changing_a_cart(rpc, cart, target, number).await,
        }
    }

    async fn changing_a_cart(
        &self,
        rpc: &str,
        cart: pb::Cart,
        target: Option<pb::CartTarget>,
        number: usize,
    ) -> Call {
        let line = cart.items[0].name.clone();
        // Carts of the small shop are changed more often, and must not have more lines for that.
        let mut added = item(0);
        added.quantity = 1;
        match rpc {
            "CreateCart" => {
                let customer = customer_name(self.customer(number));
                let request = pb::CreateCartRequest {
                    owner: owner(&customer, number),
                    items: vec![added],
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "AddItem" => self.later(
                rpc,
                pb::AddItemRequest {
                    target,
                    item: Some(added),
                    ..Default::default()
                },
            ),
            "UpdateItem" => self.later(
                rpc,
                pb::UpdateItemRequest {
                    name: line,
                    quantity: Some(i32::try_from(100 + number % 1_000).unwrap_or(1)),
                    ..Default::default()
                },
            ),
            "RemoveItem" => self.later(
                rpc,
                pb::RemoveItemRequest {
                    name: line,
                    ..Default::default()
                },
            ),
            "EditCart" => self.later(
                rpc,
                pb::EditCartRequest {
                    target,
                    edits: vec![pb::CartEdit {
                        edit: Some(pb::cart_edit::Edit::Add(added)),
                    }],
                    ..Default::default()
                },
            ),
            "UpdateItemPrices" => {
                let mut price = added.price.expect("it has one");
                let amount = price.list_price.as_mut().expect("it has one");
                amount.micros += 10_000 * (1 + i64::try_from(number % 1_000).unwrap_or(0));
                let prices = vec![pb::update_item_prices_request::ProductPrice {
                    product: added.product,
                    variant: added.variant,
                    price: Some(price),
                }];
                let request = pb::UpdateItemPricesRequest {
                    target,
                    prices,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "ClearCart" => self.later(
                rpc,
                pb::ClearCartRequest {
                    target,
                    ..Default::default()
                },
            ),
            "UpdateCart" => self.later(
                rpc,
                pb::UpdateCartRequest {
                    cart: Some(pb::Cart {
                        name: cart.name,
                        note: format!("note {number}"),
                        ..Default::default()
                    }),
                    ..Default::default()
                },
            ),
            "CreateRecoveryLink" => self.later(rpc, link(target)),
            "RecoverCart" => {
                let link: pb::CreateRecoveryLinkResponse =
                    self.ask("CreateRecoveryLink", link(target)).await;
                let request = pb::RecoverCartRequest {
                    token: link.token,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            _ => panic!("{rpc} is new: give it a request"),
        }
    }
}

pub(super) fn named(cart: &str) -> Option<pb::CartTarget> {
    Some(pb::CartTarget {
        target: Some(pb::cart_target::Target::Cart(cart.to_owned())),
    })
}

fn owner(customer: &str, slot: usize) -> Option<pb::CartOwner> {
    Some(pb::CartOwner {
        owner: Some(pb::cart_owner::Owner::Customer(customer.to_owned())),
        slot: format!("slot-{slot}"),
    })
}

fn link(target: Option<pb::CartTarget>) -> pb::CreateRecoveryLinkRequest {
    pb::CreateRecoveryLinkRequest {
        target,
        time_to_live: None,
    }
}
