//! `clientela customer create`, `edit`, `delete` and `undelete`.

use std::io;

use clap::{Args, ValueEnum};

use super::{fields, print};
use crate::{
    cli::{
        connection::Client,
        failure::Failure,
        field_values::{self, FieldValue},
        output, resolve,
    },
    proto::pb::{self, delete_customer_request},
};

/// A new customer.
#[derive(Debug, Args)]
pub struct Create {
    /// The fields of the customer, for example `first_name=Ada email=ada@example.com`; --help lists them
    #[arg(value_name = "FIELD=VALUE", required = true)]
    values: Vec<FieldValue>,

    /// The id: small letters, digits and hyphens. Without it the server chooses one
    #[arg(long, default_value = "", hide_default_value = true)]
    id: String,

    #[command(flatten)]
    how: How,
}

/// New values of a customer.
#[derive(Debug, Args)]
pub struct Edit {
    /// `customers/{id}`, the id, the number or the e-mail address
    customer: String,

    /// The fields to change, for example `phone=555-0100`; `phone=` clears the field; --help lists them
    #[arg(value_name = "FIELD=VALUE", required_unless_present = "password_stdin")]
    values: Vec<FieldValue>,

    #[command(flatten)]
    how: How,
}

/// The common options of creating and editing.
#[derive(Debug, Args)]
struct How {
    /// Reads the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,

    /// Checks everything and changes nothing
    #[arg(long)]
    validate_only: bool,

    /// Prints the message of the contract
    #[arg(long)]
    json: bool,
}

impl How {
    fn password(&self) -> Result<Option<String>, Failure> {
        if !self.password_stdin {
            return Ok(None);
        }
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

/// Whether the e-mail address of a deleted customer may be registered again.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReRegistration {
    /// It may
    Allow,
    /// It may not
    Forbid,
}

/// The deletion of a customer.
#[derive(Debug, Args)]
pub struct Delete {
    /// `customers/{id}`, the id, the number or the e-mail address
    customer: String,

    /// Whether the e-mail address may be registered again. By default the shop's setting decides
    #[arg(long, value_enum)]
    re_registration: Option<ReRegistration>,
}

impl Create {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let (mut customer, _) = field_values::set(&pb::Customer::default(), &self.values)?;
        customer.password = self.how.password()?;
        let request = pb::CreateCustomerRequest {
            customer: Some(customer),
            customer_id: self.id,
            request_id: uuid::Uuid::new_v4().to_string(),
            validate_only: self.how.validate_only,
            ..pb::CreateCustomerRequest::default()
        };
        let made = client.customers().create_customer(request).await?;
        let made = made.into_inner();
        match self.how.json {
            true => output::print(&output::json(&made)?),
            // It has no addresses yet, and after a mere check there are none to read.
            false => output::print(&fields(&made, &[]).text()),
        }
    }
}

impl Edit {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let mut service = client.customers();
        let name = resolve::customer(client, &self.customer).await?;
        // A part of a field is sent with the rest of the field, which must not change meanwhile.
        let current = match field_values::need_current(&self.values) {
            true => {
                let request = pb::GetCustomerRequest { name: name.clone() };
                service.get_customer(request).await?.into_inner()
            }
            false => pb::Customer::default(),
        };
        let (mut customer, mut mask) = field_values::set(&current, &self.values)?;
        customer.name = name;
        customer.etag = current.etag;
        if let Some(password) = self.how.password()? {
            customer.password = Some(password);
            mask.paths.push("password".to_owned());
        }
        let request = pb::UpdateCustomerRequest {
            customer: Some(customer),
            update_mask: Some(mask),
            request_id: uuid::Uuid::new_v4().to_string(),
            validate_only: self.how.validate_only,
            ..pb::UpdateCustomerRequest::default()
        };
        let changed = service.update_customer(request).await?.into_inner();
        print(client, &changed, self.how.json).await
    }
}

impl Delete {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        use delete_customer_request::ReRegistration as Sent;
        let name = resolve::customer(client, &self.customer).await?;
        let re_registration = match self.re_registration {
            None => Sent::Unspecified,
            Some(ReRegistration::Allow) => Sent::Allow,
            Some(ReRegistration::Forbid) => Sent::Forbid,
        };
        let request = pb::DeleteCustomerRequest {
            name: name.clone(),
            re_registration: re_registration.into(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..pb::DeleteCustomerRequest::default()
        };
        client.customers().delete_customer(request).await?;
        output::print(&format!(
            "Deleted {name}; `clientela customer undelete {}` brings it back.\n",
            output::id(&name)
        ))
    }
}

/// Restores a deleted customer.
pub async fn undelete(client: &Client, given: &str, json: bool) -> Result<(), Failure> {
    let request = pb::UndeleteCustomerRequest {
        name: resolve::customer(client, given).await?,
        request_id: uuid::Uuid::new_v4().to_string(),
        ..pb::UndeleteCustomerRequest::default()
    };
    let back = client.customers().undelete_customer(request).await?;
    print(client, &back.into_inner(), json).await
}
