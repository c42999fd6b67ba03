//! `clientela group`: lists, shows and changes groups and their members.

mod edit;
mod members;

use clap::{Args, Subcommand};

use crate::proto::pb;

use super::{
    connection::{Client, Connection, Need},
    failure::Failure,
    output::{self, Align, Fields, Table},
    pages::{self, ListArgs, Page},
};

/// Lists, shows, creates, edits and deletes groups, and adds and removes members
#[derive(Debug, Args)]
pub struct Group {
    #[command(subcommand)]
    command: Command,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists groups
    List {
        #[command(flatten)]
        list: ListArgs,
    },
    /// Shows one group
    Show {
        /// `groups/{id}`, or the id
        group: String,
        /// Prints the message of the contract
        #[arg(long)]
        json: bool,
    },
    /// Adds a group
    Create(edit::Create),
    /// Changes fields of a group
    Edit(edit::Edit),
    /// Deletes a group; its members leave it in the background
    Delete(edit::Delete),
    /// Lists the members of a group
    Members(members::List),
    /// Adds customers to a group
    AddMembers(members::Add),
    /// Removes customers from a group
    RemoveMembers(members::Remove),
}

impl Group {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.connection.open(Need::Admin).await?;
        match self.command {
            Command::List { list } => self::list(&client, list).await,
            Command::Show { group, json } => show(&client, &group, json).await,
            Command::Create(create) => create.run(&client).await,
            Command::Edit(edit) => edit.run(&client).await,
            Command::Delete(delete) => delete.run(&client).await,
            Command::Members(list) => list.run(&client).await,
            Command::AddMembers(add) => add.run(&client).await,
            Command::RemoveMembers(remove) => remove.run(&client).await,
        }
    }
}

async fn list(client: &Client, list: ListArgs) -> Result<(), Failure> {
    let mut service = client.groups();
    let (groups, more) = pages::walk(list.page.limit, async |page_size, page_token| {
        let request = pb::ListGroupsRequest {
            page_size,
            page_token,
            filter: list.filter.clone(),
            order_by: list.order_by.clone(),
            ..pb::ListGroupsRequest::default()
        };
        let answer = service.list_groups(request).await?.into_inner();
        Ok(Page {
            items: answer.groups,
            next: answer.next_page_token,
        })
    })
    .await?;
    if list.page.json {
        return pages::print_json(&groups);
    }
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("name", Align::Left),
        ("discount", Align::Right),
        ("state", Align::Left),
        ("for", Align::Left),
        ("members", Align::Right),
        ("special", Align::Left),
    ]);
    for group in &groups {
        table.row(vec![
            output::id(&group.name).to_owned(),
            output::cut(&group.display_name, 40),
            discount(group),
            output::word(group.state().as_str_name(), "STATE_"),
            output::word(group.audience().as_str_name(), "AUDIENCE_"),
            group.member_count.to_string(),
            special(group),
        ]);
    }
    pages::print_table(&table, more)
}

async fn show(client: &Client, given: &str, json: bool) -> Result<(), Failure> {
    let name = output::full_name("groups", given);
    let request = pb::GetGroupRequest {
        name,
        ..pb::GetGroupRequest::default()
    };
    let group = client.groups().get_group(request).await?.into_inner();
    print(&group, json)
}

/// Prints a group, or its message.
fn print(group: &pb::Group, json: bool) -> Result<(), Failure> {
    if json {
        return output::print(&output::json(group)?);
    }
    let mut languages: Vec<_> = group.display_names.iter().collect();
    languages.sort();
    let names: Vec<String> = languages
        .into_iter()
        .map(|(language, name)| format!("{name} ({language})"))
        .collect();
    let mut fields = Fields::default();
    fields
        .add("name", group.name.as_str())
        .add("display name", names.join(", "))
        .add("discount", discount(group))
        .add(
            "prices",
            output::word(group.price_display().as_str_name(), "PRICE_DISPLAY_"),
        )
        .add(
            "shows prices",
            if group.show_prices() { "yes" } else { "no" },
        )
        .add("state", output::word(group.state().as_str_name(), "STATE_"))
        .add(
            "for",
            output::word(group.audience().as_str_name(), "AUDIENCE_"),
        )
        .add("special", special(group))
        .add("priority", group.priority.to_string())
        .add("members", group.member_count.to_string())
        .add("created", output::time(group.create_time.as_ref()))
        .add("changed", output::time(group.update_time.as_ref()));
    output::print(&fields.text())
}

fn discount(group: &pb::Group) -> String {
    match group.discount_percent.as_str() {
        "" | "0" | "0.00" => String::new(),
        percent => format!("{percent} %"),
    }
}

fn special(group: &pb::Group) -> String {
    let kinds: Vec<String> = group
        .special_kinds()
        .map(|kind| output::word(kind.as_str_name(), "SPECIAL_KIND_"))
        .collect();
    kinds.join(", ")
}
