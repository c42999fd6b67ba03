//! `clientela cart freeze`, `unfreeze`, `lock` and `unlock`: what of a cart is held.

use clap::Subcommand;

use super::fields;
use crate::{
    cli::{connection::Client, failure::Failure, output, resolve},
    clock::Clock,
    proto::pb::{self, cart::Freeze},
};

#[derive(Debug, Subcommand)]
pub enum Hold {
    /// Holds the prices of a cart, as while it is paid
    Freeze {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
        /// Holds all of it: no edit until it is ordered or not frozen any more
        #[arg(long)]
        hard: bool,
    },
    /// Ends that; the cart gets the prices of now
    Unfreeze {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
    },
    /// Holds a cart for who is acting, who then is the only one to edit it; again: for longer
    Lock {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
        /// What for, as others are told
        #[arg(long, default_value = "", hide_default_value = true)]
        purpose: String,
        /// For how many seconds, 10 to 900
        #[arg(long, default_value_t = 120)]
        lease: i64,
    },
    /// Gives a cart free
    Unlock {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
        /// Also if somebody else holds it
        #[arg(long)]
        force: bool,
    },
}

impl Hold {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let mut service = client.carts();
        let answer = match self {
            Self::Freeze { cart, hard } => {
                let freeze = if hard { Freeze::Hard } else { Freeze::Soft };
                let request = pb::FreezeCartRequest {
                    target: Some(resolve::cart_target(client, &cart).await?),
                    freeze: freeze.into(),
                    ..pb::FreezeCartRequest::default()
                };
                service.freeze_cart(request).await
            }
            Self::Unfreeze { cart } => {
                let request = pb::UnfreezeCartRequest {
                    target: Some(resolve::cart_target(client, &cart).await?),
                    ..pb::UnfreezeCartRequest::default()
                };
                service.unfreeze_cart(request).await
            }
            Self::Lock {
                cart,
                purpose,
                lease: seconds,
            } => {
                let request = pb::LockCartRequest {
                    target: Some(resolve::cart_target(client, &cart).await?),
                    purpose,
                    lease: Some(prost_types::Duration { seconds, nanos: 0 }),
                    ..pb::LockCartRequest::default()
                };
                service.lock_cart(request).await
            }
            Self::Unlock { cart, force } => {
                let request = pb::UnlockCartRequest {
                    name: resolve::cart(client, &cart).await?,
                    force,
                    ..pb::UnlockCartRequest::default()
                };
                service.unlock_cart(request).await
            }
        };
        let cart = answer?.into_inner();
        output::print(&fields(&cart, Clock::system().now()).text())
    }
}
