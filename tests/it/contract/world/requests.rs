//! A good request for every RPC.

use clientela::proto::pb::{self, Role};
use prost_reflect::DynamicMessage;

use super::super::messages::reflect;
use super::World;
use crate::carts::{customer as of_customer, item, named, of, visitor};
use crate::harness::unique;

impl World<'_> {
    /// A good request to the RPC of this name. What it would use up is made for it.
    pub async fn request(&self, rpc: &str) -> DynamicMessage {
        let number = unique();
        let id = format!("{}-{number}", self.tag);
        let text = id.clone();
        let names = [("en".to_owned(), text.clone())];
        let customer = self.name("customers/{id}");
        let group = self.name("groups/{id}");
        let member = vec![customer.clone()];
        match rpc {
            "CreateShop" => reflect(&pb::CreateShopRequest {
                shop: Some(pb::Shop::default()),
                shop_id: id,
                // With a second shop an operator would have to name one.
                validate_only: true,
                ..Default::default()
            }),
            "GetShop" => reflect(&pb::GetShopRequest {
                name: self.name("shops/{id}"),
            }),
            "ListShops" => reflect(&pb::ListShopsRequest::default()),
            "GetShopSettings" => reflect(&pb::GetShopSettingsRequest {}),
            "UpdateShopSettings" => reflect(&pb::UpdateShopSettingsRequest {
                settings: Some(pb::ShopSettings {
                    guest_checkout: Some(true),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "CreateApiKey" => reflect(&pb::CreateApiKeyRequest {
                api_key: Some(pb::ApiKey {
                    display_name: text,
                    roles: vec![Role::Monitor.into()],
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "ListApiKeys" => reflect(&pb::ListApiKeysRequest::default()),
            "RevokeApiKey" => reflect(&pb::RevokeApiKeyRequest {
                name: self.api_key().await.name,
                ..Default::default()
            }),
            "CreateCustomer" => reflect(&pb::CreateCustomerRequest {
                // Guests may share an address.
                customer: Some(pb::Customer {
                    kind: pb::customer::Kind::Guest.into(),
                    first_name: text,
                    email: format!("{id}@example.test"),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "GetCustomer" => reflect(&pb::GetCustomerRequest { name: customer }),
            "BatchGetCustomers" => reflect(&pb::BatchGetCustomersRequest { names: member }),
            "ListCustomers" => reflect(&pb::ListCustomersRequest::default()),
            "UpdateCustomer" => reflect(&pb::UpdateCustomerRequest {
                customer: Some(pb::Customer {
                    name: customer,
                    phone: number.to_string(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "DeleteCustomer" => reflect(&pb::DeleteCustomerRequest {
                name: self.customer(&id, None).await.name,
                ..Default::default()
            }),
            "UndeleteCustomer" => {
                let name = self.customer(&id, None).await.name;
                let delete = pb::DeleteCustomerRequest {
                    name: name.clone(),
                    ..Default::default()
                };
                self.shop
                    .customers_as(&self.key)
                    .delete_customer(delete)
                    .await
                    .expect("a deletion");
                reflect(&pb::UndeleteCustomerRequest {
                    name,
                    ..Default::default()
                })
            }
            "LookupCustomer" => reflect(&pb::LookupCustomerRequest {
                key: Some(self.customer_key()),
            }),
            "BatchLookupCustomers" => reflect(&pb::BatchLookupCustomersRequest {
                keys: vec![self.customer_key()],
            }),
            "VerifyPassword" => {
                let password = "a password of the tests";
                reflect(&pb::VerifyPasswordRequest {
                    email: self.customer(&id, Some(password)).await.email,
                    password: password.to_owned(),
                })
            }
            "WatchCustomers" => reflect(&pb::WatchCustomersRequest::default()),
            "CreateAddress" => reflect(&pb::CreateAddressRequest {
                customer: self.customer(&id, None).await.name,
                address: Some(pb::Address {
                    city: text,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "GetAddress" => reflect(&pb::GetAddressRequest {
                name: self.name("customers/{id}/addresses/{id}"),
            }),
            "ListAddresses" => reflect(&pb::ListAddressesRequest {
                customer,
                ..Default::default()
            }),
            "UpdateAddress" => reflect(&pb::UpdateAddressRequest {
                address: Some(pb::Address {
                    name: self.name("customers/{id}/addresses/{id}"),
                    city: text,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "DeleteAddress" => reflect(&pb::DeleteAddressRequest {
                name: self.address(&id).await,
                ..Default::default()
            }),
            "CreateTitle" => reflect(&pb::CreateTitleRequest {
                title: Some(pb::Title {
                    display_names: names.into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "GetTitle" => reflect(&pb::GetTitleRequest {
                name: self.name("titles/{id}"),
            }),
            "ListTitles" => reflect(&pb::ListTitlesRequest::default()),
            "UpdateTitle" => reflect(&pb::UpdateTitleRequest {
                title: Some(pb::Title {
                    name: self.name("titles/{id}"),
                    display_names: names.into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "DeleteTitle" => reflect(&pb::DeleteTitleRequest {
                name: self.title(&id).await,
                ..Default::default()
            }),
            "CreateGroup" => reflect(&pb::CreateGroupRequest {
                group: Some(pb::Group {
                    display_names: names.into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "GetGroup" => reflect(&pb::GetGroupRequest {
                name: group,
                ..Default::default()
            }),
            "ListGroups" => reflect(&pb::ListGroupsRequest::default()),
            "UpdateGroup" => reflect(&pb::UpdateGroupRequest {
                group: Some(pb::Group {
                    name: group,
                    display_names: names.into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "DeleteGroup" => reflect(&pb::DeleteGroupRequest {
                name: self.group(&id).await,
                ..Default::default()
            }),
            "AddMembers" => reflect(&pb::AddMembersRequest {
                group: self.group(&id).await,
                members: member,
                ..Default::default()
            }),
            "RemoveMembers" => reflect(&pb::RemoveMembersRequest {
                group: self.group(&id).await,
                members: member,
                ..Default::default()
            }),
            "ListMembers" => reflect(&pb::ListMembersRequest {
                group,
                ..Default::default()
            }),
            "WatchGroups" => reflect(&pb::WatchGroupsRequest::default()),
            "CreateSavedFilter" => reflect(&pb::CreateSavedFilterRequest {
                saved_filter: Some(crate::saved_filters::sent(&text, true)),
                ..Default::default()
            }),
            "GetSavedFilter" => reflect(&pb::GetSavedFilterRequest {
                name: self.name("savedFilters/{id}"),
            }),
            "ListSavedFilters" => reflect(&pb::ListSavedFiltersRequest::default()),
            "UpdateSavedFilter" => reflect(&pb::UpdateSavedFilterRequest {
                saved_filter: Some(pb::SavedFilter {
                    name: self.name("savedFilters/{id}"),
                    display_name: text,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "DeleteSavedFilter" => reflect(&pb::DeleteSavedFilterRequest {
                name: self.saved_filter(&id).await,
                ..Default::default()
            }),
            "WatchSavedFilters" => reflect(&pb::WatchSavedFiltersRequest::default()),
            "GetOperation" => reflect(&pb::GetOperationRequest {
                name: self.name("operations/{id}"),
            }),
            "ListOperations" => reflect(&pb::ListOperationsRequest::default()),
            "CancelOperation" => reflect(&pb::CancelOperationRequest {
                name: self.name("operations/{id}"),
                ..Default::default()
            }),
            "WatchOperation" => reflect(&pb::WatchOperationRequest {
                name: self.name("operations/{id}"),
            }),
            other => self.cart_request(other).await,
        }
    }

    /// The key by which the customer is looked up.
    fn customer_key(&self) -> pb::CustomerKey {
        let email = format!("{}-customer@example.test", self.tag);
        pb::CustomerKey {
            key: Some(pb::customer_key::Key::Email(email)),
        }
    }

    async fn cart_request(&self, rpc: &str) -> DynamicMessage {
        let cart = self.cart("").await;
        let target = named(&cart.name);
        let line = cart.items[0].name.clone();
        let text = format!("{}-{}", self.tag, unique());
        let mut owner = of_customer(&self.name("customers/{id}"));
        owner.slot.clone_from(&text);
        let price = item("", 1).price;
        match rpc {
            "CreateCart" => reflect(&pb::CreateCartRequest {
                owner: Some(owner),
                cart: Some(pb::Cart {
                    note: text,
                    ..Default::default()
                }),
                items: vec![item(&self.tag, 1)],
                ..Default::default()
            }),
            "GetCart" => reflect(&pb::GetCartRequest { target }),
            "ListCarts" => reflect(&pb::ListCartsRequest::default()),
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
            "UpdateCart" => reflect(&pb::UpdateCartRequest {
                cart: Some(pb::Cart {
                    name: cart.name,
                    note: text,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            "AssignCart" => {
                let add = pb::AddItemRequest {
                    target: of(&visitor()),
                    item: Some(item(&self.tag, 1)),
                    ..Default::default()
                };
                let cart = self
                    .shop
                    .carts_as(&self.key)
                    .add_item(add)
                    .await
                    .expect("an addition")
                    .into_inner();
                reflect(&pb::AssignCartRequest {
                    target: named(&cart.name),
                    customer: self.name("customers/{id}"),
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
            "DeleteCart" => reflect(&pb::DeleteCartRequest {
                target,
                ..Default::default()
            }),
            "WatchCart" => reflect(&pb::WatchCartRequest {
                target,
                options: None,
            }),
            "WatchCarts" => reflect(&pb::WatchCartsRequest::default()),
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
                let mut client = self.shop.carts_as(&self.key);
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
                let mut client = self.shop.carts_as(&self.key);
                client.lock_cart(lock).await.expect("it is locked");
                reflect(&pb::RenewCartLockRequest {
                    name: cart.name,
                    lease: None,
                })
            }
            // Of a cart that nobody holds, so that anybody may.
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
                let mut client = self.shop.carts_as(&self.key);
                let link = client.create_recovery_link(link).await.expect("a link");
                reflect(&pb::RecoverCartRequest {
                    token: link.into_inner().token,
                    ..Default::default()
                })
            }
            "WatchCartFigures" => reflect(&pb::WatchCartFiguresRequest::default()),
            other => panic!("{other} is new: give the tests a good request to it"),
        }
    }
}
