//! Requests about saved filters.

use clientela::proto::pb::{self, saved_filter::Resource};

use super::world::World;
use crate::call::Call;

impl World {
    pub(super) async fn about_a_saved_filter(&self, rpc: &str, number: usize) -> Call {
        let id = format!("made-{number}");
        let name = "savedFilters/saved".to_owned();
        match rpc {
            "CreateSavedFilter" => {
                self.to_tidy(&format!("savedFilters/{id}"));
                self.later(rpc, creation(id))
            }
            "GetSavedFilter" => self.later(rpc, pb::GetSavedFilterRequest { name }),
            "ListSavedFilters" => self.later(rpc, pb::ListSavedFiltersRequest::default()),
            "UpdateSavedFilter" => {
                let saved_filter = pb::SavedFilter {
                    name,
                    display_name: id,
                    ..Default::default()
                };
                let request = pb::UpdateSavedFilterRequest {
                    saved_filter: Some(saved_filter),
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "DeleteSavedFilter" => {
                let request = pb::DeleteSavedFilterRequest {
                    name: self.saved_filter(id).await,
                    ..Default::default()
                };
                self.later(rpc, request)
            }
            "WatchSavedFilters" => self.later(rpc, pb::WatchSavedFiltersRequest::default()),
            _ => panic!("{rpc} is new: give it a request"),
        }
    }

    /// Creates a saved filter and returns its name.
    pub(super) async fn saved_filter(&self, id: String) -> String {
        let made: pb::SavedFilter = self.ask("CreateSavedFilter", creation(id)).await;
        made.name
    }
}

fn creation(id: String) -> pb::CreateSavedFilterRequest {
    pb::CreateSavedFilterRequest {
        saved_filter: Some(pb::SavedFilter {
            display_name: id.clone(),
            resource: Resource::Carts.into(),
            filter: "state = OPEN".to_owned(),
            shared: true,
            ..Default::default()
        }),
        saved_filter_id: id,
        ..Default::default()
    }
}
