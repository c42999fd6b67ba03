//! `clientela shop`: shops and their settings.

use clap::{Args, Subcommand};

use crate::proto::pb;

use super::{
    admin::{AdminClient, AdminTarget},
    failure::Failure,
    field_values::{self, FieldValue},
    output::{self, Align, Fields, Table},
    pages::{self, Page},
};

/// Creates and lists shops, shows and changes their settings
#[derive(Debug, Args)]
pub struct Shop {
    #[command(subcommand)]
    command: Command,

    #[command(flatten, next_help_heading = "Connection")]
    target: AdminTarget,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds a shop
    Create {
        /// The shop's id: small letters, digits and hyphens
        id: String,
        /// The name for people
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// Prints the message of the contract
        #[arg(long)]
        json: bool,
    },
    /// Lists the shops
    List {
        /// Prints messages of the contract, one per line
        #[arg(long)]
        json: bool,
    },
    /// Shows one shop
    Show {
        /// `shops/{id}`, or the id
        #[arg(default_value = "default")]
        id: String,
        /// Prints the message of the contract
        #[arg(long)]
        json: bool,
    },
    /// Changes the given settings, and shows all
    Settings(Settings),
}

#[derive(Debug, Args)]
struct Settings {
    /// Settings to change, for example `time_zone=Europe/Paris`; `--help` lists all of them
    #[arg(value_name = "FIELD=VALUE")]
    values: Vec<FieldValue>,
    /// Checks everything and changes nothing
    #[arg(long)]
    validate_only: bool,
    /// Prints the message of the contract
    #[arg(long)]
    json: bool,
}

impl Shop {
    pub async fn run(self) -> Result<(), Failure> {
        let Self { target, command } = self;
        target
            .with(async |client| match command {
                Command::Create { id, name, json } => create(client, id, name, json).await,
                Command::List { json } => list(client, json).await,
                Command::Show { id, json } => show(client, &id, json).await,
                Command::Settings(change) => settings(client, change).await,
            })
            .await
    }
}

async fn create(
    mut client: AdminClient,
    shop_id: String,
    display_name: String,
    json: bool,
) -> Result<(), Failure> {
    let request = pb::CreateShopRequest {
        shop: Some(pb::Shop {
            display_name,
            ..pb::Shop::default()
        }),
        shop_id,
        request_id: uuid::Uuid::new_v4().to_string(),
        ..pb::CreateShopRequest::default()
    };
    let shop = client.create_shop(request).await?.into_inner();
    if json {
        return output::print(&output::json(&shop)?);
    }
    output::print(&format!("Made {}.\n", shop.name))
}

async fn list(mut client: AdminClient, json: bool) -> Result<(), Failure> {
    let (shops, _) = pages::walk(0, async |page_size, page_token| {
        let request = pb::ListShopsRequest {
            page_size,
            page_token,
        };
        let answer = client.list_shops(request).await?.into_inner();
        Ok(Page {
            items: answer.shops,
            next: answer.next_page_token,
        })
    })
    .await?;
    if json {
        return pages::print_json(&shops);
    }
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("name", Align::Left),
        ("created", Align::Left),
        ("changed", Align::Left),
    ]);
    for shop in &shops {
        table.row(vec![
            output::id(&shop.name).to_owned(),
            output::cut(&shop.display_name, 60),
            output::time(shop.create_time.as_ref()),
            output::time(shop.update_time.as_ref()),
        ]);
    }
    pages::print_table(&table, false)
}

async fn show(mut client: AdminClient, given: &str, json: bool) -> Result<(), Failure> {
    let request = pb::GetShopRequest {
        name: output::full_name("shops", given),
    };
    let shop = client.get_shop(request).await?.into_inner();
    if json {
        return output::print(&output::json(&shop)?);
    }
    let mut fields = Fields::default();
    fields
        .add("name", shop.name.as_str())
        .add("display name", shop.display_name.as_str())
        .add("created", output::time(shop.create_time.as_ref()))
        .add("changed", output::time(shop.update_time.as_ref()));
    output::print(&fields.text())
}

async fn settings(mut client: AdminClient, change: Settings) -> Result<(), Failure> {
    let settings = if change.values.is_empty() {
        client
            .get_shop_settings(pb::GetShopSettingsRequest {})
            .await?
    } else {
        let (settings, mask) = field_values::set(&pb::ShopSettings::default(), &change.values)?;
        let request = pb::UpdateShopSettingsRequest {
            settings: Some(settings),
            update_mask: Some(mask),
            request_id: uuid::Uuid::new_v4().to_string(),
            validate_only: change.validate_only,
        };
        client.update_shop_settings(request).await?
    };
    let settings = settings.into_inner();
    if change.json {
        return output::print(&output::json(&settings)?);
    }
    output::print(&field_values::fields(&settings)?.text())
}
