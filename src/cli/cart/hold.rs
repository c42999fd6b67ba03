//! `clientela cart freeze`, `unfreeze`, `lock` and `unlock`.

use clap::Subcommand;

use super::fields;
use crate::{
    cli::{connection::Client, failure::Failure, output, resolve},
    clock::Clock,
    proto::pb::{self, cart::Freeze},
};

#[derive(Debug, Subcommand)]
pub enum Hold {
    /// Freezes the prices of a cart, for example during its payment
    Freeze {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
        /// Freezes all of it: no edit until it is ordered or unfrozen
        #[arg(long)]
        hard: bool,
    },
    /// Unfreezes a cart, which then gets the present prices
    Unfreeze {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
    },
    /// Locks a cart, so that only the acting person can edit it; a repeat extends the lock
    Lock {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
        /// The purpose, which is shown to others
        #[arg(long, default_value = "", hide_default_value = true)]
        purpose: String,
        /// The lease in seconds, 10 to 900
        #[arg(long, default_value_t = 120)]
        lease: i64,
    },
    /// Unlocks a cart
    Unlock {
        /// `carts/{id}`, the id or the number; `customers/{id}` or an e-mail address for a customer's open cart
        cart: String,
        /// Also if somebody else has locked it
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
