//! A valid request for every RPC and its variants.

use clientela::proto::pb::{self, Role};

use super::world::{PASSWORD, World, email, external_id, rare};
use crate::call::Call;
use crate::shop::customer_name;

/// Entries of a page, and of a batch, in either shop.
const PAGE: usize = 20;
const PAGE_SIZE: i32 = 20;

impl World {
    /// Returns a request to the RPC of this name, and creates the resources that it uses up.
    pub async fn request(&self, rpc: &str, how: &str) -> Call {
        let number = self.number();
        let id = format!("made-{number}");
        match rpc {
            "CreateShop" => self.later(
                rpc,
                pb::CreateShopRequest {
                    shop: Some(pb::Shop::default()),
                    shop_id: id,
                    validate_only: true,
                    ..Default::default()
                },
            ),
            "GetShop" => {
                let name = self.name.clone();
                self.later(rpc, pb::GetShopRequest { name })
            }
            "ListShops" => self.later(rpc, pb::ListShopsRequest::default()),
            "GetShopSettings" => self.later(rpc, pb::GetShopSettingsRequest {}),
            "UpdateShopSettings" => {
                let days = i32::try_from(number % 1_000).unwrap_or_default();
                let settings = pb::ShopSettings {
                    visitor_cart_retention_days: Some(1_000 + days),
                    ..Default::default()
                };
                let request = pb::UpdateShopSettingsRequest {
                    settings: Some(settings),
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "CreateApiKey" => self.later(rpc, api_key(id)),
            "ListApiKeys" => self.later(
                rpc,
                pb::ListApiKeysRequest {
                    page_size: PAGE_SIZE,
                    ..Default::default()
                },
            ),
            "RevokeApiKey" => {
                let made: pb::CreateApiKeyResponse = self.ask("CreateApiKey", api_key(id)).await;
                let request = pb::RevokeApiKeyRequest {
                    name: made.api_key.expect("a key").name,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "GetOperation" => {
                let name = self.operation.clone();
                self.later(rpc, pb::GetOperationRequest { name })
            }
            "WatchOperation" => {
                let name = self.operation.clone();
                self.later(rpc, pb::WatchOperationRequest { name })
            }
            // Only upkeep can be cancelled, and no call starts it.
            "CancelOperation" => self.refused(
                rpc,
                pb::CancelOperationRequest {
                    name: self.operation.clone(),
                    ..Default::default()
                },
            ),
            "ListOperations" => self.later(
                rpc,
                pb::ListOperationsRequest {
                    page_size: PAGE_SIZE,
                    ..Default::default()
                },
            ),
            _ if rpc.contains("Address") => self.about_an_address(rpc, number).await,
            _ if rpc.contains("SavedFilter") => self.about_a_saved_filter(rpc, number).await,
            _ if rpc.contains("Title") => self.about_a_title(rpc, id).await,
            _ if rpc.contains("Customer") || rpc == "VerifyPassword" => {
                self.about_a_customer(rpc, how, number).await
            }
            _ if rpc.contains("Group") || rpc.contains("Members") => {
                self.about_a_group(rpc, how, number).await
            }
            _ => self.about_a_cart(rpc, how, number).await,
        }
    }

    async fn about_a_customer(&self, rpc: &str, how: &str, number: usize) -> Call {
        let name = customer_name(self.customer(number));
        let keys = self
            .customers(number, PAGE)
            .map(|customer| pb::CustomerKey {
                key: Some(pb::customer_key::Key::Email(email(customer))),
            });
        match (rpc, how) {
            ("CreateCustomer", _) => {
                let customer = pb::Customer {
                    first_name: "Grace".to_owned(),
                    last_name: format!("Hopper {number}"),
                    email: format!("grace.{number}@example.test"),
                    ..Default::default()
                };
                let request = pb::CreateCustomerRequest {
                    customer: Some(customer),
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            ("GetCustomer", _) => self.later(rpc, pb::GetCustomerRequest { name }),
            ("BatchGetCustomers", _) => {
                let names = self.customers(number, PAGE).map(customer_name).collect();
                self.later(rpc, pb::BatchGetCustomersRequest { names })
            }
            ("ListCustomers", how) => {
                let mut request = pb::ListCustomersRequest {
                    page_size: PAGE_SIZE,
                    ..Default::default()
                };
                match how.split_once(' ') {
                    Some(("query", query)) => query.clone_into(&mut request.query),
                    Some(("order", order)) => order.clone_into(&mut request.order_by),
                    _ => how.clone_into(&mut request.filter),
                }
                self.later(rpc, request)
            }
            ("UpdateCustomer", "") => {
                let customer = pb::Customer {
                    name,
                    phone: number.to_string(),
                    ..Default::default()
                };
                self.later(rpc, update(customer))
            }
            // These fields find other customers, so this is another customer.
            ("UpdateCustomer", how) => {
                let mut customer = pb::Customer {
                    name: self.new_customer(number).await.name,
                    ..Default::default()
                };
                match how {
                    "email" => customer.email = format!("countess.{number}@example.test"),
                    _ => customer.last_name = format!("Byron {number}"),
                }
                self.later(rpc, update(customer))
            }
            ("DeleteCustomer", _) => self.later(
                rpc,
                pb::DeleteCustomerRequest {
                    name: self.new_customer(number).await.name,
                    ..Default::default()
                },
            ),
            ("UndeleteCustomer", _) => {
                let name = self.new_customer(number).await.name;
                let delete = pb::DeleteCustomerRequest {
                    name: name.clone(),
                    ..Default::default()
                };
                self.ask::<_, ()>("DeleteCustomer", delete).await;
                let request = pb::UndeleteCustomerRequest {
                    name,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            ("LookupCustomer", how) => {
                let customer = self.customer(number);
                let key = match how {
                    "external_id" => pb::customer_key::Key::ExternalId(external_id(customer)),
                    _ => pb::customer_key::Key::Email(email(customer)),
                };
                let key = Some(pb::CustomerKey { key: Some(key) });
                self.later(rpc, pb::LookupCustomerRequest { key })
            }
            ("BatchLookupCustomers", _) => {
                let keys = keys.collect();
                self.later(rpc, pb::BatchLookupCustomersRequest { keys })
            }
            ("VerifyPassword", _) => self.later(
                rpc,
                pb::VerifyPasswordRequest {
                    email: email(rare(number)),
                    password: PASSWORD.to_owned(),
                },
            ),
            ("WatchCustomers", how) => {
                let mut request = pb::WatchCustomersRequest::default();
                match how {
                    "" => request.names.push(name),
                    how => how.clone_into(&mut request.filter),
                }
                self.later(rpc, request)
            }
            _ => panic!("{rpc} is new: give it a request"),
        }
    }
}

fn update(customer: pb::Customer) -> pb::UpdateCustomerRequest {
    pb::UpdateCustomerRequest {
        customer: Some(customer),
        ..Default::default()
    }
}

fn api_key(display_name: String) -> pb::CreateApiKeyRequest {
    pb::CreateApiKeyRequest {
        api_key: Some(pb::ApiKey {
            display_name,
            roles: vec![Role::Monitor.into()],
            ..Default::default()
        }),
        ..Default::default()
    }
}
