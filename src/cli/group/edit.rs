//! `clientela group create`, `edit` and `delete`.

use clap::Args;

use super::print;
use crate::{
    cli::{
        connection::Client,
        failure::Failure,
        field_values::{self, FieldValue},
        operation, output,
    },
    proto::pb,
};

/// The metadata key of the operation that continues after the answer.
const OPERATION: &str = "clientela-operation";

/// A new group.
#[derive(Debug, Args)]
pub struct Create {
    /// The id: small letters, digits and hyphens
    id: String,

    /// The fields of the group, for example `display_names.en=Trade discount_percent=10`; --help lists them
    #[arg(value_name = "FIELD=VALUE", required = true)]
    values: Vec<FieldValue>,

    #[command(flatten)]
    how: How,
}

/// New values of a group.
#[derive(Debug, Args)]
pub struct Edit {
    /// `groups/{id}` or the id
    group: String,

    /// The fields to change, for example `discount_percent=12.50`; `priority=` clears the field; --help lists
    /// them
    #[arg(value_name = "FIELD=VALUE", required = true)]
    values: Vec<FieldValue>,

    #[command(flatten)]
    how: How,
}

/// The common options of creating and editing.
#[derive(Debug, Args)]
struct How {
    /// Checks everything and changes nothing
    #[arg(long)]
    validate_only: bool,

    /// Prints the message of the contract
    #[arg(long)]
    json: bool,
}

/// The deletion of a group.
#[derive(Debug, Args)]
pub struct Delete {
    /// `groups/{id}` or the id
    group: String,

    /// Waits until all members have left the group
    #[arg(long)]
    wait: bool,
}

impl Create {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let (group, _) = field_values::set(&pb::Group::default(), &self.values)?;
        let request = pb::CreateGroupRequest {
            group: Some(group),
            group_id: self.id,
            request_id: uuid::Uuid::new_v4().to_string(),
            validate_only: self.how.validate_only,
        };
        let made = client.groups().create_group(request).await?;
        print(&made.into_inner(), self.how.json)
    }
}

impl Edit {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let mut service = client.groups();
        let name = output::full_name("groups", &self.group);
        // A part of a field is sent with the rest of the field, which must not change meanwhile.
        let current = match field_values::need_current(&self.values) {
            true => {
                let request = pb::GetGroupRequest {
                    name: name.clone(),
                    ..pb::GetGroupRequest::default()
                };
                service.get_group(request).await?.into_inner()
            }
            false => pb::Group::default(),
        };
        let (mut group, mask) = field_values::set(&current, &self.values)?;
        group.name = name;
        group.etag = current.etag;
        let request = pb::UpdateGroupRequest {
            group: Some(group),
            update_mask: Some(mask),
            request_id: uuid::Uuid::new_v4().to_string(),
            validate_only: self.how.validate_only,
        };
        let changed = service.update_group(request).await?.into_inner();
        print(&changed, self.how.json)
    }
}

impl Delete {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let name = output::full_name("groups", &self.group);
        let request = pb::DeleteGroupRequest {
            name: name.clone(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..pb::DeleteGroupRequest::default()
        };
        let answer = client.groups().delete_group(request).await?;
        let named = answer.metadata().get(OPERATION);
        let work = named.and_then(|name| name.to_str().ok());
        output::print(&format!("Deleted {name}.\n"))?;
        match work {
            Some(work) if self.wait => operation::wait(client, work).await,
            Some(work) => output::print(&format!(
                "Its members leave it in the background; follow that with \
                 `clientela operation watch {}`.\n",
                output::id(work)
            )),
            None => Ok(()),
        }
    }
}
