//! `clientela customer`: lists, shows and changes customers.

mod edit;

use clap::{Args, Subcommand};

use crate::proto::pb;

use super::{
    connection::{Client, Connection, Need},
    failure::Failure,
    output::{self, Align, Fields, Table},
    pages::{self, ListArgs, Page},
    resolve,
};

/// Lists, shows, creates, edits and deletes customers
#[derive(Debug, Args)]
pub struct Customer {
    #[command(subcommand)]
    command: Command,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists customers
    List {
        #[command(flatten)]
        list: ListArgs,
        /// Words that must occur in name, e-mail address, company, phone, number or external id
        #[arg(long, default_value = "", hide_default_value = true)]
        query: String,
        /// Includes deleted customers
        #[arg(long)]
        show_deleted: bool,
    },
    /// Shows one customer with its addresses
    Show {
        /// `customers/{id}`, the id, the number or the e-mail address
        customer: String,
        /// Prints the message of the contract
        #[arg(long)]
        json: bool,
    },
    /// Registers a customer or a guest
    Create(edit::Create),
    /// Changes fields of a customer
    Edit(edit::Edit),
    /// Deletes a customer and its open carts
    Delete(edit::Delete),
    /// Restores a deleted customer
    Undelete {
        /// `customers/{id}`, the id or the number
        customer: String,
        /// Prints the message of the contract
        #[arg(long)]
        json: bool,
    },
}

impl Customer {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.connection.open(Need::Admin).await?;
        match self.command {
            Command::List {
                list,
                query,
                show_deleted,
            } => self::list(&client, list, query, show_deleted).await,
            Command::Show { customer, json } => show(&client, &customer, json).await,
            Command::Create(create) => create.run(&client).await,
            Command::Edit(edit) => edit.run(&client).await,
            Command::Delete(delete) => delete.run(&client).await,
            Command::Undelete { customer, json } => edit::undelete(&client, &customer, json).await,
        }
    }
}

async fn list(
    client: &Client,
    list: ListArgs,
    query: String,
    show_deleted: bool,
) -> Result<(), Failure> {
    let mut service = client.customers();
    let (customers, more) = pages::walk(list.page.limit, async |page_size, page_token| {
        let request = pb::ListCustomersRequest {
            page_size,
            page_token,
            filter: list.filter.clone(),
            order_by: list.order_by.clone(),
            query: query.clone(),
            show_deleted,
            ..pb::ListCustomersRequest::default()
        };
        let answer = service.list_customers(request).await?.into_inner();
        Ok(Page {
            items: answer.customers,
            next: answer.next_page_token,
        })
    })
    .await?;
    if list.page.json {
        return pages::print_json(&customers);
    }
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("number", Align::Right),
        ("name", Align::Left),
        ("e-mail", Align::Left),
        ("state", Align::Left),
        ("default group", Align::Left),
        ("created", Align::Left),
    ]);
    for customer in &customers {
        table.row(vec![
            output::id(&customer.name).to_owned(),
            customer.number.clone(),
            output::cut(&full_name(customer), 40),
            output::cut(&customer.email, 40),
            state(customer),
            output::id(&customer.default_group).to_owned(),
            output::time(customer.create_time.as_ref()),
        ]);
    }
    pages::print_table(&table, more)
}

async fn show(client: &Client, given: &str, json: bool) -> Result<(), Failure> {
    let request = pb::GetCustomerRequest {
        name: resolve::customer(client, given).await?,
    };
    let customer = client.customers().get_customer(request).await?;
    print(client, &customer.into_inner(), json).await
}

/// Prints a customer with its addresses, or its message.
async fn print(client: &Client, customer: &pb::Customer, json: bool) -> Result<(), Failure> {
    if json {
        return output::print(&output::json(customer)?);
    }
    let mut service = client.customers();
    let (addresses, _) = pages::walk(0, async |page_size, page_token| {
        let customer = customer.name.clone();
        let request = pb::ListAddressesRequest {
            customer,
            page_size,
            page_token,
        };
        let answer = service.list_addresses(request).await?.into_inner();
        Ok(Page {
            items: answer.addresses,
            next: answer.next_page_token,
        })
    })
    .await?;
    output::print(&fields(customer, &addresses).text())
}

fn fields(customer: &pb::Customer, addresses: &[pb::Address]) -> Fields {
    let consent =
        |consent: Option<&pb::Consent>| output::yes(consent.is_some_and(|c| c.subscribed));
    let groups: Vec<&str> = customer
        .groups
        .iter()
        .map(|name| output::id(name))
        .collect();
    let mut fields = Fields::default();
    fields
        .add("name", customer.name.as_str())
        .add("number", customer.number.as_str())
        .add("person", full_name(customer))
        .add("e-mail", customer.email.as_str())
        .add("phone", customer.phone.as_str())
        .add("company", customer.company.as_str())
        .add("state", state(customer))
        .add("birth date", customer.birth_date.as_str())
        .add(
            "age",
            customer.age.map(|age| age.to_string()).unwrap_or_default(),
        )
        .add("language", customer.language_code.as_str())
        .add("groups", groups.join(", "))
        .add("default group", output::id(&customer.default_group))
        .add("newsletter", consent(customer.newsletter.as_ref()))
        .add("partner offers", consent(customer.partner_offers.as_ref()))
        .add("tax exempt", output::yes(customer.tax_exempt))
        .add("created", output::time(customer.create_time.as_ref()))
        .add("changed", output::time(customer.update_time.as_ref()))
        .add(
            "last visit",
            output::time(customer.last_visit_time.as_ref()),
        )
        .add("deleted", output::time(customer.delete_time.as_ref()));
    for address in addresses {
        fields.add("address", self::address(address));
    }
    fields
}

fn address(address: &pb::Address) -> String {
    let place = format!("{} {}", address.postal_code, address.city);
    let parts = [
        &address.label,
        &address.line1,
        &address.line2,
        &place,
        &address.country_code,
    ];
    let parts: Vec<&str> = parts
        .into_iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(", ")
}

/// First and last name, or else the company.
pub fn full_name(customer: &pb::Customer) -> String {
    let name = format!("{} {}", customer.first_name, customer.last_name);
    let name = name.trim();
    if name.is_empty() {
        customer.company.clone()
    } else {
        name.to_owned()
    }
}

fn state(customer: &pb::Customer) -> String {
    if customer.delete_time.is_some() {
        return "deleted".to_owned();
    }
    let state = output::word(customer.state().as_str_name(), "STATE_");
    match customer.kind() {
        pb::customer::Kind::Guest => format!("{state} guest"),
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_shown_without_the_fields_it_does_not_have() {
        let customer = pb::Customer {
            name: "customers/ada".into(),
            first_name: "Ada".into(),
            state: pb::customer::State::Active.into(),
            groups: vec!["groups/customer".into(), "groups/vip".into()],
            ..pb::Customer::default()
        };
        let address = pb::Address {
            line1: "1 Mill Lane".into(),
            city: "Ashford".into(),
            ..pb::Address::default()
        };

        assert_eq!(
            fields(&customer, &[address]).text(),
            "name     customers/ada\nperson   Ada\nstate    active\ngroups   customer, vip\n\
             address  1 Mill Lane, Ashford\n"
        );
    }
}
