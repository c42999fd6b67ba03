//! Requests about groups.

use clientela::proto::pb;

use super::world::World;
use crate::call::Call;
use crate::shop::customer_name;

/// Entries of a page, and members of a batch.
const PAGE_SIZE: i32 = 20;

impl World {
    pub(super) async fn about_a_group(&self, rpc: &str, how: &str, number: usize) -> Call {
        let id = format!("made-{number}");
        let rare = "groups/rare".to_owned();
        let members = vec![customer_name(self.customer(number))];
        let group = pb::Group {
            display_names: [("en".to_owned(), id.clone())].into(),
            ..Default::default()
        };
        match rpc {
            "CreateGroup" => {
                self.to_tidy(&format!("groups/{id}"));
                let request = pb::CreateGroupRequest {
                    group: Some(group),
                    group_id: id,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "GetGroup" => self.later(
                rpc,
                pb::GetGroupRequest {
                    name: rare,
                    ..Default::default()
                },
            ),
            "ListGroups" => self.later(
                rpc,
                pb::ListGroupsRequest {
                    page_size: PAGE_SIZE,
                    ..Default::default()
                },
            ),
            "UpdateGroup" => {
                let group = match how {
                    // The carts of its members are repriced.
                    "discount_percent" => pb::Group {
                        name: rare,
                        discount_percent: (1 + number % 50).to_string(),
                        ..Default::default()
                    },
                    _ => pb::Group {
                        name: rare,
                        ..group
                    },
                };
                let request = pb::UpdateGroupRequest {
                    group: Some(group),
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "DeleteGroup" => self.later(
                rpc,
                pb::DeleteGroupRequest {
                    name: self.group(&id).await,
                    ..Default::default()
                },
            ),
            "AddMembers" => {
                let group = self.group(&id).await;
                self.to_tidy(&group);
                let request = pb::AddMembersRequest {
                    group,
                    members,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "RemoveMembers" => {
                let group = self.group(&id).await;
                self.to_tidy(&group);
                let add = pb::AddMembersRequest {
                    group: group.clone(),
                    members: members.clone(),
                    ..Default::default()
                };
                let _: pb::AddMembersResponse = self.ask("AddMembers", add).await;
                let request = pb::RemoveMembersRequest {
                    group,
                    members,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "ListMembers" => self.later(
                rpc,
                pb::ListMembersRequest {
                    group: if how.is_empty() { rare } else { how.to_owned() },
                    page_size: PAGE_SIZE,
                    ..Default::default()
                },
            ),
            "WatchGroups" => self.later(rpc, pb::WatchGroupsRequest::default()),
            _ => panic!("{rpc} is new: give it a request"),
        }
    }
}
