//! `clientela cart`: lists, shows, assigns, holds and merges carts.

mod assign;
mod hold;

use clap::{Args, Subcommand, ValueEnum};

use crate::{clock::Clock, feed::micros, proto::pb};

use super::{
    connection::{Client, Connection, Need},
    failure::Failure,
    output::{self, Align, Fields, Table},
    pages::{self, ListArgs, Page},
    resolve,
};

/// Lists, shows, assigns, freezes, locks and merges carts
#[derive(Debug, Args)]
pub struct Cart {
    #[command(subcommand)]
    command: Command,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists carts
    List {
        #[command(flatten)]
        list: ListArgs,
    },
    /// Shows one cart with its items
    Show {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
        /// Prints the message of the contract
        #[arg(long)]
        json: bool,
    },
    /// Gives a cart to a customer, as when a visitor signs in
    Assign(assign::Assign),
    #[command(flatten)]
    Hold(hold::Hold),
    /// Merges one cart into another and shows the outcome of each line
    Merge {
        /// The source, which is closed: `carts/{id}`, the id or the number; `customers/{id}` or an e-mail
        /// address for a customer's open cart
        source: String,
        /// The target, named likewise
        target: String,
        /// The rule for lines that both carts have; by default the shop's setting decides
        #[arg(long, value_enum)]
        policy: Option<Policy>,
    },
}

/// The rule for a line that both carts have.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    /// The quantities are added
    Sum,
    /// The larger quantity wins
    Max,
    /// The source's line wins
    GuestWins,
    /// The target's line wins
    CustomerWins,
}

impl From<Policy> for pb::MergePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Sum => Self::Sum,
            Policy::Max => Self::Max,
            Policy::GuestWins => Self::GuestWins,
            Policy::CustomerWins => Self::CustomerWins,
        }
    }
}

impl Cart {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.connection.open(Need::Admin).await?;
        match self.command {
            Command::List { list } => self::list(&client, list).await,
            Command::Show { cart, json } => show(&client, &cart, json).await,
            Command::Assign(assign) => assign.run(&client).await,
            Command::Hold(hold) => hold.run(&client).await,
            Command::Merge {
                source,
                target,
                policy,
            } => merge(&client, &source, &target, policy).await,
        }
    }
}

async fn list(client: &Client, list: ListArgs) -> Result<(), Failure> {
    let mut service = client.carts();
    let (carts, more) = pages::walk(list.page.limit, async |page_size, page_token| {
        let request = pb::ListCartsRequest {
            page_size,
            page_token,
            filter: list.filter.clone(),
            order_by: list.order_by.clone(),
            ..pb::ListCartsRequest::default()
        };
        let answer = service.list_carts(request).await?.into_inner();
        Ok(Page {
            items: answer.carts,
            next: answer.next_page_token,
        })
    })
    .await?;
    if list.page.json {
        return pages::print_json(&carts);
    }
    let now = Clock::system().now();
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("number", Align::Right),
        ("who", Align::Left),
        ("state", Align::Left),
        ("pieces", Align::Right),
        ("total", Align::Right),
        ("age", Align::Right),
    ]);
    for cart in &carts {
        table.row(vec![
            output::id(&cart.name).to_owned(),
            cart.number.clone(),
            output::cut(&who(cart), 40),
            output::word(cart.state().as_str_name(), "STATE_"),
            cart.item_count.to_string(),
            output::money(cart.total.as_ref()),
            age(cart, now),
        ]);
    }
    pages::print_table(&table, more)
}

async fn merge(
    client: &Client,
    source: &str,
    target: &str,
    policy: Option<Policy>,
) -> Result<(), Failure> {
    let request = pb::MergeCartsRequest {
        source: Some(resolve::cart_target(client, source).await?),
        target: Some(resolve::cart_target(client, target).await?),
        policy: policy.map_or(0, |policy| pb::MergePolicy::from(policy).into()),
        ..pb::MergeCartsRequest::default()
    };
    let merged = client.carts().merge_carts(request).await?.into_inner();
    output::print(&outcomes(&merged.lines, &merged.extras).text())?;
    let cart = merged.cart.unwrap_or_default();
    let total = output::money(cart.total.as_ref());
    output::print(&format!("\n{} now comes to {total}\n", cart.name))
}

/// The outcomes of the lines, charges and adjustments of a merged cart.
fn outcomes(lines: &[pb::LineOutcome], extras: &[pb::ExtraOutcome]) -> Table {
    let mut table = Table::new(&[
        ("what", Align::Left),
        ("outcome", Align::Left),
        ("source", Align::Right),
        ("before", Align::Right),
        ("after", Align::Right),
        ("why", Align::Left),
    ]);
    for line in lines {
        table.row(vec![
            output::cut(&line.product, 40),
            output::word(line.kind().as_str_name(), "KIND_"),
            line.source_quantity.to_string(),
            line.target_quantity_before.to_string(),
            line.target_quantity_after.to_string(),
            line.reason.clone(),
        ]);
    }
    for extra in extras {
        let outcome = if extra.carried { "carried" } else { "dropped" };
        table.row(vec![
            output::cut(&format!("{} {}", extra.kind, extra.label), 40),
            outcome.to_owned(),
            String::new(),
            String::new(),
            String::new(),
            extra.reason.clone(),
        ]);
    }
    table
}

async fn show(client: &Client, given: &str, json: bool) -> Result<(), Failure> {
    let request = pb::GetCartRequest {
        target: Some(resolve::cart_target(client, given).await?),
    };
    let cart = client.carts().get_cart(request).await?.into_inner();
    if json {
        return output::print(&output::json(&cart)?);
    }
    output::print(&fields(&cart, Clock::system().now()).text())?;
    if cart.items.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("product", Align::Left),
        ("name", Align::Left),
        ("quantity", Align::Right),
        ("unit price", Align::Right),
        ("discount", Align::Right),
        ("total", Align::Right),
    ]);
    for item in &cart.items {
        table.row(vec![
            product(&item.product, &item.variant),
            output::cut(&item.display_name, 40),
            item.quantity.to_string(),
            output::money(item.unit_price.as_ref()),
            output::money(
                item.discount
                    .as_ref()
                    .filter(|discount| discount.micros != 0),
            ),
            output::money(item.total.as_ref()),
        ]);
    }
    output::print(&format!("\n{}", table.text()))
}

fn fields(cart: &pb::Cart, now: i64) -> Fields {
    let mut fields = Fields::default();
    let lock = cart.lock.as_ref();
    let frozen = match cart.freeze() {
        pb::cart::Freeze::Unspecified => String::new(),
        freeze => output::word(freeze.as_str_name(), "FREEZE_"),
    };
    fields
        .add("name", cart.name.as_str())
        .add("number", cart.number.as_str())
        .add("who", who(cart))
        .add("customer", cart.customer.as_str())
        .add("storefront", cart.storefront.as_str())
        .add("slot", cart.slot.as_str())
        .add("called", cart.display_name.as_str())
        .add("state", output::word(cart.state().as_str_name(), "STATE_"))
        .add("frozen", frozen)
        .add("held by", lock.map_or("", holder))
        .add("purpose", lock.map_or("", |lock| lock.purpose.as_str()))
        .add(
            "until",
            output::time(lock.and_then(|lock| lock.expire_time.as_ref())),
        )
        .add("order", cart.order_reference.as_str())
        .add("merged into", cart.merged_into.as_str())
        .add("priced for", cart.pricing_group.as_str())
        .add("subtotal", output::money(cart.subtotal.as_ref()))
        .add("discount", output::money(cart.discount.as_ref()))
        .add("tax", output::money(cart.tax.as_ref()))
        .add("charges", output::money(cart.charges_total.as_ref()))
        .add("total", output::money(cart.total.as_ref()))
        .add("age", age(cart, now))
        .add("changed", output::time(cart.update_time.as_ref()));
    fields
}

/// The owner of a cart: the customer's name, or the visitor's id.
pub fn who(cart: &pb::Cart) -> String {
    let name = cart
        .customer_summary
        .as_ref()
        .map(|summary| summary.display_name.as_str());
    match name.filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None if !cart.customer.is_empty() => cart.customer.clone(),
        None => format!("visitor {}", output::cut(&cart.visitor_id, 9)),
    }
}

/// The holder of a cart: the person, or else the key.
pub fn holder(lock: &pb::CartLock) -> &str {
    if lock.holder.is_empty() {
        &lock.api_key
    } else {
        &lock.holder
    }
}

/// The age of the cart.
pub fn age(cart: &pb::Cart, now: i64) -> String {
    let since = cart.create_time.as_ref();
    since
        .map(|time| output::duration(now - micros(time)))
        .unwrap_or_default()
}

fn product(product: &str, variant: &str) -> String {
    if variant.is_empty() {
        product.to_owned()
    } else {
        format!("{product}/{variant}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_is_named_by_its_customer_or_else_its_visitor() {
        let visitors = pb::Cart {
            visitor_id: "v-0123456789".into(),
            ..pb::Cart::default()
        };
        let named = pb::Cart {
            customer: "customers/ada".into(),
            customer_summary: Some(pb::CustomerSummary {
                display_name: "Ada Brook".into(),
                ..pb::CustomerSummary::default()
            }),
            ..pb::Cart::default()
        };
        let nameless = pb::Cart {
            customer_summary: None,
            ..named.clone()
        };

        assert_eq!(who(&visitors), "visitor v-012345…");
        assert_eq!(who(&named), "Ada Brook");
        assert_eq!(who(&nameless), "customers/ada");
    }
}
