//! A valid request for every RPC. The requests that all resources have in common follow from the
//! specimens; the others are here.

use clientela::proto::pb;
use prost_reflect::{DynamicMessage, Value};

use super::super::call::method;
use super::super::messages::{reflect, set};
use super::World;
use crate::carts::{customer as of_customer, item, named, of, visitor};
use crate::harness::unique;
use crate::specimens::{self, Addresses, Carts, Customers, Groups, Rpcs as _, Specimen as _, text};

impl World {
    /// Returns a valid request of an RPC. It creates the resources that the request names, and new ones
    /// for a request that uses them up.
    pub async fn request(&self, rpc: &str) -> DynamicMessage {
        let id = format!("{}-{}", self.tag, unique());
        match rpc {
            "CreateShop" => reflect(&pb::CreateShopRequest {
                shop: Some(pb::Shop::default()),
                shop_id: id,
                // With two shops, an operator's calls would have to name one.
                validate_only: true,
                ..Default::default()
            }),
            "UpdateShopSettings" => reflect(&pb::UpdateShopSettingsRequest {
                settings: Some(pb::ShopSettings {
                    guest_checkout: Some(true),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "RevokeApiKey" => reflect(&pb::RevokeApiKeyRequest {
                name: specimens::of("apiKeys/{id}").make(self, &id).await,
                ..Default::default()
            }),
            "BatchGetCustomers" => reflect(&pb::BatchGetCustomersRequest {
                names: vec![self.name("customers/{id}").await],
            }),
            "UndeleteCustomer" => {
                let name = Customers.make(self, &id).await;
                Customers.delete(&self.connection, &name).await;
                reflect(&pb::UndeleteCustomerRequest {
                    name,
                    ..Default::default()
                })
            }
            "LookupCustomer" => reflect(&pb::LookupCustomerRequest {
                key: Some(self.customer_key().await),
            }),
            "BatchLookupCustomers" => reflect(&pb::BatchLookupCustomersRequest {
                keys: vec![self.customer_key().await],
            }),
            "VerifyPassword" => {
                let password = "a password of the tests";
                let mut request = Customers.whole(self, &id).await;
                set(
                    &mut request,
                    "customer.password",
                    Value::String(password.into()),
                );
                let customer = Customers.create(&self.connection, request, &id).await;
                reflect(&pb::VerifyPasswordRequest {
                    email: text(&customer, "email"),
                    password: password.to_owned(),
                })
            }
            // The number of addresses of a customer is limited, so each request gets a new customer.
            "CreateAddress" => {
                let mut request = Addresses.plain(&id);
                let customer = Customers.make(self, &id).await;
                set(&mut request, "customer", Value::String(customer));
                request
            }
            "AddMembers" => reflect(&pb::AddMembersRequest {
                group: Groups.make(self, &id).await,
                members: vec![self.name("customers/{id}").await],
                ..Default::default()
            }),
            "RemoveMembers" => reflect(&pb::RemoveMembersRequest {
                group: Groups.make(self, &id).await,
                members: vec![self.name("customers/{id}").await],
                ..Default::default()
            }),
            "ListMembers" => {
                self.name("customers/{id}").await;
                self.filled(DynamicMessage::new(method(rpc).input())).await
            }
            "CreateCart" => Carts.whole(self, &id).await,
            other => match self.usual_request(other, &id).await {
                Some(request) => request,
                None => self.cart_request(other).await,
            },
        }
    }

    /// Returns the request of an RPC that every resource has, or that only needs names.
    async fn usual_request(&self, rpc: &str, id: &str) -> Option<DynamicMessage> {
        let listed = specimens::ALL
            .into_iter()
            .filter(|specimen| specimen.rpc("List").is_some());
        for specimen in listed {
            let is = |verb| {
                specimen
                    .rpc(verb)
                    .is_some_and(|method| method.name() == rpc)
            };
            if is("Create") {
                return Some(self.filled(specimen.plain(id)).await);
            } else if is("Update") {
                let name = self.name(specimen.pattern()).await;
                return Some(specimen.update(&name, specimen.changed(id), &[]));
            } else if is("Delete") {
                return Some(specimen.naming("Delete", &specimen.make(self, id).await));
            } else if is("List") || is("Watch") {
                self.name(specimen.pattern()).await;
            }
        }
        let reads = ["Get", "List", "Watch", "Cancel"];
        if !reads.iter().any(|verb| rpc.starts_with(verb)) {
            return None;
        }
        Some(self.filled(DynamicMessage::new(method(rpc).input())).await)
    }

    /// Returns the key that finds the customer.
    async fn customer_key(&self) -> pb::CustomerKey {
        let name = self.name("customers/{id}").await;
        let email = format!("{}@example.test", name.trim_start_matches("customers/"));
        pb::CustomerKey {
            key: Some(pb::customer_key::Key::Email(email)),
        }
    }

    async fn cart_request(&self, rpc: &str) -> DynamicMessage {
        let cart = self.cart("").await;
        let target = named(&cart.name);
        let line = cart.items[0].name.clone();
        let text = format!("{}-{}", self.tag, unique());
        let mut owner = of_customer(&self.name("customers/{id}").await);
        owner.slot.clone_from(&text);
        let price = item("", 1).price;
        match rpc {
            "AddItem" => reflect(&pb::AddItemRequest {
                target,
                item: Some(item(&text, 1)),
                ..Default::default()
            }),
            "UpdateItem" => reflect(&pb::UpdateItemRequest {
                name: line,
                quantity: Some(7),
                ..Default::default()
            }),
            "RemoveItem" => reflect(&pb::RemoveItemRequest {
                name: line,
                ..Default::default()
            }),
            "EditCart" => reflect(&pb::EditCartRequest {
                target,
                edits: vec![pb::CartEdit {
                    edit: Some(pb::cart_edit::Edit::Add(item(&text, 1))),
                }],
                ..Default::default()
            }),
            "UpdateItemPrices" => reflect(&pb::UpdateItemPricesRequest {
                target,
                prices: vec![pb::update_item_prices_request::ProductPrice {
                    product: self.tag.clone(),
                    price,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            "ClearCart" => reflect(&pb::ClearCartRequest {
                target,
                ..Default::default()
            }),
            "AssignCart" => {
                let add = pb::AddItemRequest {
                    target: of(&visitor()),
                    item: Some(item(&self.tag, 1)),
                    ..Default::default()
                };
                let cart = self.connection.carts().add_item(add).await;
                let cart = cart.expect("an addition").into_inner();
                reflect(&pb::AssignCartRequest {
                    target: named(&cart.name),
                    customer: self.name("customers/{id}").await,
                    if_open_cart_exists: pb::assign_cart_request::IfOpenCartExists::KeepBoth.into(),
                    ..Default::default()
                })
            }
            "OrderCart" => reflect(&pb::OrderCartRequest {
                target,
                order_reference: text,
                ..Default::default()
            }),
            "ReopenCart" => reflect(&pb::ReopenCartRequest {
                name: self.ordered_cart().await.name,
                ..Default::default()
            }),
            "MergeCarts" => reflect(&pb::MergeCartsRequest {
                source: named(&self.cart("").await.name),
                target,
                ..Default::default()
            }),
            "MoveItems" => reflect(&pb::MoveItemsRequest {
                source: target,
                target: of(&owner),
                items: vec![pb::move_items_request::MovedItem {
                    item: line,
                    quantity: None,
                }],
                ..Default::default()
            }),
            "FreezeCart" => reflect(&pb::FreezeCartRequest {
                target,
                ..Default::default()
            }),
            "UnfreezeCart" => {
                let freeze = pb::FreezeCartRequest {
                    target: target.clone(),
                    ..Default::default()
                };
                let mut client = self.connection.carts();
                client.freeze_cart(freeze).await.expect("it is frozen");
                reflect(&pb::UnfreezeCartRequest {
                    target,
                    ..Default::default()
                })
            }
            "LockCart" => reflect(&pb::LockCartRequest {
                target,
                ..Default::default()
            }),
            "RenewCartLock" => {
                let lock = pb::LockCartRequest {
                    target,
                    ..Default::default()
                };
                let mut client = self.connection.carts();
                client.lock_cart(lock).await.expect("it is locked");
                reflect(&pb::RenewCartLockRequest {
                    name: cart.name,
                    lease: None,
                })
            }
            // The cart is not locked, so every caller may unlock it.
            "UnlockCart" => reflect(&pb::UnlockCartRequest {
                name: cart.name,
                ..Default::default()
            }),
            "CreateRecoveryLink" => reflect(&pb::CreateRecoveryLinkRequest {
                target,
                time_to_live: None,
            }),
            "RecoverCart" => {
                let link = pb::CreateRecoveryLinkRequest {
                    target,
                    time_to_live: None,
                };
                let mut client = self.connection.carts();
                let link = client.create_recovery_link(link).await.expect("a link");
                reflect(&pb::RecoverCartRequest {
                    token: link.into_inner().token,
                    ..Default::default()
                })
            }
            other => panic!("there is no request for {other}: add a valid one here"),
        }
    }
}
