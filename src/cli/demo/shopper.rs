//! A simulated shopper: comes as a visitor or signed in, fills a cart, changes it, and orders it or leaves.

use std::sync::Arc;

use rand::{RngExt as _, seq::IndexedRandom as _};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::{
    cli::{cart, failure::Failure, output},
    proto::pb::{self, cart_owner::Owner},
};

use super::{
    call::Caller,
    catalogue::{PRODUCTS, Product},
    progress::Did,
};

/// The number of lines from which a shopper stops adding.
const LINES_MAX: usize = 12;

/// A shopper and its current cart.
#[derive(Debug)]
pub struct Shopper {
    caller: Caller,
    /// The account of the shopper, who may or may not be signed in.
    customer: String,
    /// The current owner of its carts; None before it comes back.
    owner: Option<Owner>,
    cart: Option<pb::Cart>,
}

/// The action of a shopper on a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Add,
    SetQuantity,
    Remove,
    SignIn,
    Order,
    Leave,
}

impl Shopper {
    /// Creates a shopper with an account who has not come yet.
    pub fn new(caller: Caller, customer: String) -> Self {
        Self {
            caller,
            customer,
            owner: None,
            cart: None,
        }
    }

    /// Makes a change for each permit, until it is stopped.
    pub async fn shop(
        mut self,
        permits: Arc<Semaphore>,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        loop {
            let permit = tokio::select! {
                permit = permits.acquire() => permit,
                () = stop.cancelled() => return Ok(()),
            };
            match permit {
                Ok(permit) => permit.forget(),
                Err(_) => return Ok(()),
            }
            match self.change().await {
                Ok(()) => {}
                // Somebody else changed the cart in between, for example staff.
                Err(status) if is_conflict(&status) => {
                    self.caller.progress.refused();
                    self.cart = None;
                    self.owner = None;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    async fn change(&mut self) -> Result<(), Status> {
        let act = loop {
            match self.choose() {
                // Leaving changes nothing: the cart stays behind, and the shopper comes back as another
                // owner.
                Act::Leave => {
                    self.cart = None;
                    self.owner = None;
                    self.caller.progress.left();
                }
                act => break act,
            }
        };
        match act {
            Act::Add => self.add().await,
            Act::SetQuantity => self.set_quantity().await,
            Act::Remove => self.remove().await,
            Act::SignIn => self.sign_in().await,
            Act::Order | Act::Leave => self.order().await,
        }
    }

    fn choose(&self) -> Act {
        let Some(cart) = self.cart.as_ref().filter(|cart| !cart.items.is_empty()) else {
            return Act::Add;
        };
        let visitor = matches!(self.owner, Some(Owner::Visitor(_)));
        match rand::rng().random_range(0..100) {
            0..45 if cart.items.len() < LINES_MAX => Act::Add,
            0..65 => Act::SetQuantity,
            65..77 => Act::Remove,
            77..83 if visitor => Act::SignIn,
            83..93 => Act::Order,
            93.. => Act::Leave,
            _ => Act::SetQuantity,
        }
    }

    async fn add(&mut self) -> Result<(), Status> {
        let owner = self
            .owner
            .get_or_insert_with(|| come(&self.customer))
            .clone();
        let (product, variant, quantity) = {
            let mut rng = rand::rng();
            let product = PRODUCTS.choose(&mut rng).expect("there are products");
            (*product, rng.random_range(0..8), rng.random_range(1..=3))
        };
        let item = product.item(variant, quantity);
        let answer = self
            .caller
            .until_answered(|client, request_id| {
                let request = pb::AddItemRequest {
                    target: Some(target(owner.clone())),
                    item: Some(item.clone()),
                    storefront: "demo".to_owned(),
                    request_id,
                    ..pb::AddItemRequest::default()
                };
                async move { client.carts().add_item(request).await }
            })
            .await?;
        let what = added(&product, quantity);
        self.done(answer, Did::Added, &what);
        Ok(())
    }

    async fn set_quantity(&mut self) -> Result<(), Status> {
        let Some(item) = self.line() else {
            return Ok(());
        };
        let quantity = loop {
            let quantity = rand::rng().random_range(1..=5);
            if quantity != item.quantity {
                break quantity;
            }
        };
        let answer = self
            .caller
            .until_answered(|client, request_id| {
                let request = pb::UpdateItemRequest {
                    name: item.name.clone(),
                    quantity: Some(quantity),
                    request_id,
                    ..pb::UpdateItemRequest::default()
                };
                async move { client.carts().update_item(request).await }
            })
            .await?;
        let what = format!("= {} {} → {quantity}", item.display_name, item.quantity);
        self.done(answer, Did::Changed, &what);
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), Status> {
        let Some(item) = self.line() else {
            return Ok(());
        };
        let answer = self
            .caller
            .until_answered(|client, request_id| {
                let request = pb::RemoveItemRequest {
                    name: item.name.clone(),
                    request_id,
                    ..pb::RemoveItemRequest::default()
                };
                async move { client.carts().remove_item(request).await }
            })
            .await?;
        self.done(answer, Did::Removed, &format!("- {}", item.display_name));
        Ok(())
    }

    async fn sign_in(&mut self) -> Result<(), Status> {
        let Some(name) = self.cart.as_ref().map(|cart| cart.name.clone()) else {
            return Ok(());
        };
        let customer = self.customer.clone();
        let answer = self
            .caller
            .until_answered(|client, request_id| {
                let request = pb::AssignCartRequest {
                    target: Some(cart_target(name.clone())),
                    customer: customer.clone(),
                    if_open_cart_exists: pb::assign_cart_request::IfOpenCartExists::Max.into(),
                    request_id,
                    ..pb::AssignCartRequest::default()
                };
                async move { client.carts().assign_cart(request).await }
            })
            .await?;
        self.owner = Some(Owner::Customer(customer));
        self.done(answer.cart.unwrap_or_default(), Did::SignedIn, "signed in");
        Ok(())
    }

    async fn order(&mut self) -> Result<(), Status> {
        let Some(cart) = &self.cart else {
            return Ok(());
        };
        let (name, total) = (cart.name.clone(), cart.total.clone());
        let order_reference = format!("D-{:08X}", rand::rng().random::<u32>());
        let answer = self
            .caller
            .until_answered(|client, request_id| {
                let request = pb::OrderCartRequest {
                    target: Some(cart_target(name.clone())),
                    order_reference: order_reference.clone(),
                    expected_total: total.clone(),
                    request_id,
                    ..pb::OrderCartRequest::default()
                };
                async move { client.carts().order_cart(request).await }
            })
            .await?;
        let what = format!("ordered for {}", output::money(answer.total.as_ref()));
        self.done(answer, Did::Ordered, &what);
        self.cart = None;
        self.owner = None;
        Ok(())
    }

    /// A random line of the cart.
    fn line(&self) -> Option<pb::Item> {
        self.cart.as_ref()?.items.choose(&mut rand::rng()).cloned()
    }

    fn done(&mut self, cart: pb::Cart, did: Did, what: &str) {
        self.caller
            .progress
            .did(did, &cart.name, &cart::who(&cart), what);
        self.cart = Some(cart);
    }
}

/// The owner as whom a shopper comes: more often signed in than not.
fn come(customer: &str) -> Owner {
    if rand::rng().random_bool(0.6) {
        Owner::Customer(customer.to_owned())
    } else {
        Owner::Visitor(uuid::Uuid::new_v4().to_string())
    }
}

fn target(owner: Owner) -> pb::CartTarget {
    let owner = pb::CartOwner {
        owner: Some(owner),
        ..pb::CartOwner::default()
    };
    pb::CartTarget {
        target: Some(pb::cart_target::Target::Owner(owner)),
    }
}

fn cart_target(name: String) -> pb::CartTarget {
    pb::CartTarget {
        target: Some(pb::cart_target::Target::Cart(name)),
    }
}

fn added(product: &Product, quantity: i32) -> String {
    match quantity {
        1 => format!("+ {}", product.name),
        quantity => format!("+ {quantity} {}", product.name),
    }
}

/// Whether the cart was not as the shopper believed.
fn is_conflict(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Aborted | Code::NotFound | Code::FailedPrecondition | Code::AlreadyExists
    )
}
