//! `clientela key`: creates, lists and revokes API keys.

use clap::{Args, Subcommand, ValueEnum};

use crate::{clock::Clock, proto::pb};

use super::{
    admin::{AdminClient, AdminTarget},
    failure::Failure,
    output::{self, Align, Table},
    pages::{self, Page},
};

/// Creates, lists and revokes API keys
#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    command: Command,

    #[command(flatten, next_help_heading = "Connection")]
    target: AdminTarget,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates a key and prints it, this once
    Create(Create),
    /// Lists the keys of the shop and of the operators
    List {
        /// Includes revoked and expired keys
        #[arg(long)]
        all: bool,
        /// Prints messages of the contract, one per line
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key; it ends everywhere within 5 seconds
    Revoke {
        /// `apiKeys/{id}`, or the id
        key: String,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// The purpose of the key, for example `storefront production`
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// A role of the key; may be given more than once
    #[arg(long = "role", required = true)]
    roles: Vec<Role>,
    /// Lets its holder name the acting person
    #[arg(long)]
    may_act: bool,
    /// After how many days it expires
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// Prints the message of the contract
    #[arg(long)]
    json: bool,
}

/// The roles of the contract in their written form.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Runs the installation: all shops and their keys
    Operator,
    /// Runs one shop
    Admin,
    /// Helps customers
    Support,
    /// The shop's own backend
    Storefront,
    /// Only reads and watches
    Monitor,
    /// Another system that brings data in
    Ingest,
}

impl From<Role> for pb::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Operator => Self::Operator,
            Role::Admin => Self::Admin,
            Role::Support => Self::Support,
            Role::Storefront => Self::Storefront,
            Role::Monitor => Self::Monitor,
            Role::Ingest => Self::Ingest,
        }
    }
}

impl Key {
    pub async fn run(self) -> Result<(), Failure> {
        let Self { target, command } = self;
        target
            .with(async |client| match command {
                Command::Create(new) => create(client, new).await,
                Command::List { all, json } => list(client, all, json).await,
                Command::Revoke { key } => revoke(client, &key).await,
            })
            .await
    }
}

async fn create(mut client: AdminClient, new: Create) -> Result<(), Failure> {
    let expire_time = new.days.map(|days| {
        let now = Clock::system().now() / 1_000_000;
        prost_types::Timestamp {
            seconds: now + i64::from(days) * 86_400,
            nanos: 0,
        }
    });
    let roles = new
        .roles
        .iter()
        .map(|role| pb::Role::from(*role).into())
        .collect();
    let api_key = pb::ApiKey {
        display_name: new.name,
        roles,
        may_act: new.may_act,
        expire_time,
        ..pb::ApiKey::default()
    };
    // Without a request id: the secret is only shown in this answer, so the call cannot be repeated.
    let request = pb::CreateApiKeyRequest {
        api_key: Some(api_key),
        ..pb::CreateApiKeyRequest::default()
    };
    let answer = client.create_api_key(request).await?.into_inner();
    if new.json {
        return output::print(&output::json(&answer)?);
    }
    let name = answer.api_key.map(|key| key.name).unwrap_or_default();
    eprintln!("Made {name}. The key is shown this once:");
    output::print(&format!("{}\n", answer.secret))
}

async fn list(mut client: AdminClient, show_revoked: bool, json: bool) -> Result<(), Failure> {
    let (keys, _) = pages::walk(0, async |page_size, page_token| {
        let request = pb::ListApiKeysRequest {
            page_size,
            page_token,
            show_revoked,
        };
        let answer = client.list_api_keys(request).await?.into_inner();
        Ok(Page {
            items: answer.api_keys,
            next: answer.next_page_token,
        })
    })
    .await?;
    if json {
        return pages::print_json(&keys);
    }
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("name", Align::Left),
        ("roles", Align::Left),
        ("names actors", Align::Left),
        ("shop", Align::Left),
        ("created", Align::Left),
        ("ends", Align::Left),
    ]);
    for key in &keys {
        let roles: Vec<String> = key
            .roles()
            .map(|role| output::word(role.as_str_name(), "ROLE_"))
            .collect();
        table.row(vec![
            output::id(&key.name).to_owned(),
            output::cut(&key.display_name, 40),
            roles.join(", "),
            output::yes(key.may_act).to_owned(),
            output::id(&key.shop).to_owned(),
            output::time(key.create_time.as_ref()),
            ends(key),
        ]);
    }
    pages::print_table(&table, false)
}

fn ends(key: &pb::ApiKey) -> String {
    match &key.revoke_time {
        Some(_) => format!("revoked {}", output::time(key.revoke_time.as_ref())),
        None => output::time(key.expire_time.as_ref()),
    }
}

async fn revoke(mut client: AdminClient, given: &str) -> Result<(), Failure> {
    let name = output::full_name("apiKeys", given);
    let request = pb::RevokeApiKeyRequest {
        name: name.clone(),
        request_id: uuid::Uuid::new_v4().to_string(),
    };
    client.revoke_api_key(request).await?;
    output::print(&format!("Revoked {name}.\n"))
}
