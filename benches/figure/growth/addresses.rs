//! Requests about addresses and titles.

use clientela::proto::pb;

use super::world::World;
use crate::call::Call;
use crate::shop::customer_name;

impl World {
    pub(super) async fn about_an_address(&self, rpc: &str, number: usize) -> Call {
        let customer = customer_name(self.customer(number));
        let address = |name: String| pb::Address {
            name,
            city: format!("City {number}"),
            ..Default::default()
        };
        let create = pb::CreateAddressRequest {
            customer: customer.clone(),
            address: Some(address(String::new())),
            ..Default::default()
        };
        if rpc == "CreateAddress" {
            let customer = self.new_customer(number).await.name;
            return self.later(rpc, pb::CreateAddressRequest { customer, ..create });
        }
        let made: pb::Address = self.ask("CreateAddress", create).await;
        let name = made.name;
        match rpc {
            "GetAddress" => self.later(rpc, pb::GetAddressRequest { name }),
            "ListAddresses" => self.later(
                rpc,
                pb::ListAddressesRequest {
                    customer,
                    page_size: 1,
                    ..Default::default()
                },
            ),
            "UpdateAddress" => self.later(
                rpc,
                pb::UpdateAddressRequest {
                    address: Some(pb::Address {
                        city: format!("Town {number}"),
                        ..address(name)
                    }),
                    ..Default::default()
                },
            ),
            "DeleteAddress" => self.later(
                rpc,
                pb::DeleteAddressRequest {
                    name,
                    ..Default::default()
                },
            ),
            _ => panic!("{rpc} is new: give it a request"),
        }
    }

    pub(super) async fn about_a_title(&self, rpc: &str, id: String) -> Call {
        let display_names = || [("en".to_owned(), id.clone())].into();
        let name = "titles/titled".to_owned();
        match rpc {
            "CreateTitle" => {
                self.to_tidy(&format!("titles/{id}"));
                let title = pb::Title {
                    display_names: display_names(),
                    ..Default::default()
                };
                let request = pb::CreateTitleRequest {
                    title: Some(title),
                    title_id: id,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "GetTitle" => self.later(rpc, pb::GetTitleRequest { name }),
            "ListTitles" => self.later(rpc, pb::ListTitlesRequest::default()),
            "UpdateTitle" => {
                let title = pb::Title {
                    name,
                    display_names: display_names(),
                    ..Default::default()
                };
                let request = pb::UpdateTitleRequest {
                    title: Some(title),
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "DeleteTitle" => self.later(
                rpc,
                pb::DeleteTitleRequest {
                    name: self.title(&id).await,
                    ..Default::default()
                },
            ),
            _ => panic!("{rpc} is new: give it a request"),
        }
    }
}
