//! `clientela shop`: shops and their settings.

use clap::{Args, Subcommand, ValueEnum};

use crate::proto::pb;

use super::{
    admin::{AdminClient, AdminTarget},
    failure::Failure,
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
        /// What people call it
        #[arg(long, default_value = "")]
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
    /// Shows the settings, after changing those that are given
    Settings(Settings),
}

#[derive(Debug, Args)]
struct Settings {
    /// The currency of carts that do not name one, as `EUR`
    #[arg(long)]
    currency: Option<String>,
    /// The shop's languages in the order in which texts fall back, as `fr,en`
    #[arg(long, value_delimiter = ',')]
    languages: Vec<String>,
    /// The time zone of "today", as `Europe/Paris`
    #[arg(long)]
    time_zone: Option<String>,
    /// The group whose prices carts without a customer get
    #[arg(long)]
    visitor_group: Option<String>,
    /// The group of guests
    #[arg(long)]
    guest_group: Option<String>,
    /// The group of registered customers
    #[arg(long)]
    customer_group: Option<String>,
    /// Whether guests may be created
    #[arg(long, action = clap::ArgAction::Set)]
    guest_checkout: Option<bool>,
    /// The state of new registered customers
    #[arg(long)]
    new_customers: Option<NewCustomers>,
    /// Whether the e-mail address of a deleted customer may be registered again
    #[arg(long)]
    re_registration: Option<ReRegistration>,
    /// After how many days open carts of visitors are deleted; 0: never
    #[arg(long)]
    visitor_cart_days: Option<i32>,
    /// After how many days open carts of customers are deleted; 0: never
    #[arg(long)]
    customer_cart_days: Option<i32>,
    /// After how many hours open carts without lines are deleted; 0: never
    #[arg(long)]
    empty_cart_hours: Option<i32>,
    /// After how many minutes without a change a cart is idle
    #[arg(long)]
    cart_idle_minutes: Option<i32>,
    /// After how many minutes without a change a cart is abandoned; 0: never
    #[arg(long)]
    cart_abandoned_minutes: Option<i32>,
    /// Prints the message of the contract
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum NewCustomers {
    /// They may sign in at once
    Active,
    /// They wait for staff
    PendingApproval,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReRegistration {
    /// It may
    Allow,
    /// It may not
    Forbid,
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
    let json = change.json;
    let settings = match change.request() {
        Some(request) => client.update_shop_settings(request).await?.into_inner(),
        None => client
            .get_shop_settings(pb::GetShopSettingsRequest {})
            .await?
            .into_inner(),
    };
    if json {
        return output::print(&output::json(&settings)?);
    }
    output::print(&fields(&settings).text())
}

impl Settings {
    /// The update that the options ask for; none if there are none.
    fn request(self) -> Option<pb::UpdateShopSettingsRequest> {
        let mut settings = pb::ShopSettings::default();
        let mut paths = Vec::new();
        let group = |name: String| output::full_name("groups", &name);
        let mut text = |path: &str, field: &mut String, value: Option<String>| {
            if let Some(value) = value {
                *field = value;
                paths.push(path.to_owned());
            }
        };
        text(
            "default_currency_code",
            &mut settings.default_currency_code,
            self.currency,
        );
        text("time_zone", &mut settings.time_zone, self.time_zone);
        text(
            "visitor_group",
            &mut settings.visitor_group,
            self.visitor_group.map(group),
        );
        text(
            "guest_group",
            &mut settings.guest_group,
            self.guest_group.map(group),
        );
        text(
            "customer_group",
            &mut settings.customer_group,
            self.customer_group.map(group),
        );
        if !self.languages.is_empty() {
            settings.language_codes = self.languages;
            paths.push("language_codes".to_owned());
        }
        if self.guest_checkout.is_some() {
            settings.guest_checkout = self.guest_checkout;
            paths.push("guest_checkout".to_owned());
        }
        if let Some(state) = self.new_customers {
            settings.set_new_customer_state(match state {
                NewCustomers::Active => pb::customer::State::Active,
                NewCustomers::PendingApproval => pb::customer::State::PendingApproval,
            });
            paths.push("new_customer_state".to_owned());
        }
        if let Some(re_registration) = self.re_registration {
            use pb::delete_customer_request::ReRegistration as Sent;
            settings.set_re_registration(match re_registration {
                ReRegistration::Allow => Sent::Allow,
                ReRegistration::Forbid => Sent::Forbid,
            });
            paths.push("re_registration".to_owned());
        }
        if self.visitor_cart_days.is_some() {
            settings.visitor_cart_retention_days = self.visitor_cart_days;
            paths.push("visitor_cart_retention_days".to_owned());
        }
        if self.customer_cart_days.is_some() {
            settings.customer_cart_retention_days = self.customer_cart_days;
            paths.push("customer_cart_retention_days".to_owned());
        }
        if self.empty_cart_hours.is_some() {
            settings.empty_cart_retention_hours = self.empty_cart_hours;
            paths.push("empty_cart_retention_hours".to_owned());
        }
        if self.cart_idle_minutes.is_some() {
            settings.cart_idle_after_minutes = self.cart_idle_minutes;
            paths.push("cart_idle_after_minutes".to_owned());
        }
        if self.cart_abandoned_minutes.is_some() {
            settings.cart_abandoned_after_minutes = self.cart_abandoned_minutes;
            paths.push("cart_abandoned_after_minutes".to_owned());
        }
        (!paths.is_empty()).then(|| pb::UpdateShopSettingsRequest {
            settings: Some(settings),
            update_mask: Some(prost_types::FieldMask { paths }),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..pb::UpdateShopSettingsRequest::default()
        })
    }
}

fn fields(settings: &pb::ShopSettings) -> Fields {
    let after = |count: i32, unit: &str| match count {
        0 => "never".to_owned(),
        count => format!("after {count} {unit}"),
    };
    let mut fields = Fields::default();
    fields
        .add("name", settings.name.as_str())
        .add("currency", settings.default_currency_code.as_str())
        .add("languages", settings.language_codes.join(", "))
        .add("time zone", settings.time_zone.as_str())
        .add("visitor group", settings.visitor_group.as_str())
        .add("guest group", settings.guest_group.as_str())
        .add("customer group", settings.customer_group.as_str())
        .add(
            "guest checkout",
            if settings.guest_checkout() {
                "yes"
            } else {
                "no"
            },
        )
        .add(
            "new customers",
            output::word(settings.new_customer_state().as_str_name(), "STATE_"),
        )
        .add(
            "re-registration",
            output::word(settings.re_registration().as_str_name(), "RE_REGISTRATION_"),
        )
        .add(
            "visitors' carts are deleted",
            after(settings.visitor_cart_retention_days(), "days"),
        )
        .add(
            "customers' carts are deleted",
            after(settings.customer_cart_retention_days(), "days"),
        )
        .add(
            "empty carts are deleted",
            after(settings.empty_cart_retention_hours(), "hours"),
        )
        .add(
            "carts are idle",
            after(settings.cart_idle_after_minutes(), "minutes"),
        )
        .add(
            "carts are abandoned",
            after(settings.cart_abandoned_after_minutes(), "minutes"),
        )
        .add(
            "if there is an open cart",
            output::word(
                settings.if_open_cart_exists().as_str_name(),
                "IF_OPEN_CART_EXISTS_",
            ),
        )
        .add("changed", output::time(settings.update_time.as_ref()));
    fields
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn request(options: &[&str]) -> Option<pb::UpdateShopSettingsRequest> {
        let line = std::iter::once("settings").chain(options.iter().copied());
        Line::parse_from(line).settings.request()
    }

    #[test]
    fn only_the_settings_that_are_given_are_changed() {
        let request = request(&[
            "--languages",
            "fr,en",
            "--guest-checkout",
            "false",
            "--guest-group",
            "vip",
        ])
        .unwrap();

        let settings = request.settings.unwrap();
        assert_eq!(settings.language_codes, ["fr", "en"]);
        assert_eq!(settings.guest_checkout, Some(false));
        assert_eq!(settings.guest_group, "groups/vip");
        assert_eq!(
            request.update_mask.unwrap().paths,
            ["guest_group", "language_codes", "guest_checkout"]
        );
    }

    #[test]
    fn without_options_nothing_is_changed() {
        assert_eq!(request(&[]), None);
    }
}
