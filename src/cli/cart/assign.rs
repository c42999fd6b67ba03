//! `clientela cart assign`: gives a cart to a customer, who may have one already.

use clap::{Args, ValueEnum};

use super::{fields, outcomes};
use crate::{
    cli::{connection::Client, failure::Failure, output, resolve},
    clock::Clock,
    proto::pb::{self, assign_cart_request},
};

/// A cart and its new owner.
#[derive(Debug, Args)]
pub struct Assign {
    /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
    cart: String,
    /// The new owner: `customers/{id}`, the id, the number or the e-mail address
    customer: String,
    /// The action if the customer has an open cart in the slot; by default the shop's setting decides
    #[arg(long, value_enum)]
    if_open_cart_exists: Option<IfOpenCartExists>,
}

/// The action if the customer has an open cart in the slot.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum IfOpenCartExists {
    /// The call is refused
    Fail,
    /// The cart gets a slot of its own beside the customer's
    KeepBoth,
    /// The customer's cart is deleted
    Replace,
    /// Merged into the customer's cart; quantities of the same line are added
    Sum,
    /// Merged into the customer's cart; the larger quantity wins
    Max,
    /// Merged into the customer's cart; the assigned cart's line wins
    GuestWins,
    /// Merged into the customer's cart; the customer's line wins
    CustomerWins,
}

impl From<IfOpenCartExists> for assign_cart_request::IfOpenCartExists {
    fn from(given: IfOpenCartExists) -> Self {
        match given {
            IfOpenCartExists::Fail => Self::Fail,
            IfOpenCartExists::KeepBoth => Self::KeepBoth,
            IfOpenCartExists::Replace => Self::Replace,
            IfOpenCartExists::Sum => Self::Sum,
            IfOpenCartExists::Max => Self::Max,
            IfOpenCartExists::GuestWins => Self::GuestWins,
            IfOpenCartExists::CustomerWins => Self::CustomerWins,
        }
    }
}

impl Assign {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let otherwise = self.if_open_cart_exists.map_or(
            assign_cart_request::IfOpenCartExists::Unspecified,
            Into::into,
        );
        let request = pb::AssignCartRequest {
            target: Some(resolve::cart_target(client, &self.cart).await?),
            customer: resolve::customer(client, &self.customer).await?,
            if_open_cart_exists: otherwise.into(),
            ..pb::AssignCartRequest::default()
        };
        let assigned = client.carts().assign_cart(request).await?.into_inner();
        let cart = assigned.cart.unwrap_or_default();
        output::print(&fields(&cart, Clock::system().now()).text())?;
        if assigned.lines.is_empty() && assigned.extras.is_empty() {
            return Ok(());
        }
        let table = outcomes(&assigned.lines, &assigned.extras);
        output::print(&format!("\n{}", table.text()))
    }
}
