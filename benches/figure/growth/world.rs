//! A growing shop that is filled by calls, and the resources of the requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clientela::proto::pb;
use futures::StreamExt as _;
use prost::{Message, Name};

use crate::call::{self, Call};
use crate::child::Product;
use crate::cpu::{self, Cpu};
use crate::fill;
use crate::shop::{FILLING, Shop, Transport, customer_id, customer_name, item};

/// The password of customers with one.
pub const PASSWORD: &str = "a password of the benches";
/// Customers with data that few have.
pub const RARE: usize = 20;
/// The distance between two of them in the numbers of customers.
const RARE_EVERY: usize = 50;
/// A large prime step, so that successive customers are far apart.
const STRIDE: usize = 7_919;

/// A shop and the calls of its admin.
pub struct World {
    shop: Shop,
    admin: Transport,
    operator: Transport,
    size: usize,
    next: AtomicUsize,
    tidy: Mutex<Vec<String>>,
    /// An operation that has ended.
    pub operation: String,
    /// The name of the shop.
    pub name: String,
}

impl World {
    /// Starts an empty shop.
    pub async fn new(product: Product) -> Self {
        let shop = Shop::start(product).await;
        let mut world = Self {
            admin: shop.as_admin().await,
            operator: shop.as_operator().await,
            shop,
            size: 0,
            next: AtomicUsize::new(0),
            tidy: Mutex::default(),
            operation: String::new(),
            name: String::new(),
        };
        let settings = pb::GetShopSettingsRequest {};
        let settings: pb::ShopSettings = world.ask("GetShopSettings", settings).await;
        world.name = settings.name.trim_end_matches("/settings").to_owned();
        world.group("rare").await;
        world.title("titled").await;
        world.saved_filter("saved".to_owned()).await;
        let gone = world.group("gone").await;
        world.delete_group(gone).await;
        world.work_done().await;
        let operations = pb::ListOperationsRequest::default();
        let list: pb::ListOperationsResponse = world.ask("ListOperations", operations).await;
        world.operation = list.operations[0].name.clone();
        world
    }

    /// Returns how many customers it was filled with.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Adds customers, each with a cart, until there are `size` of them.
    pub async fn fill(&mut self, size: usize) {
        let clients = &self.shop.clients;
        let admin = self.shop.admin().await;
        let filling = (self.size..size).map(|number| {
            let mut customers = admin.customers(number);
            let mut carts = clients.carts(number);
            async move {
                let request = pb::CreateCustomerRequest {
                    customer: Some(customer(number)),
                    customer_id: customer_id(number),
                    ..Default::default()
                };
                let made = customers.create_customer(request).await;
                made.expect("a customer is made");
                let request = pb::AddItemRequest {
                    target: owned(&customer_name(number), ""),
                    item: Some(item(0)),
                    ..Default::default()
                };
                carts.add_item(request).await.expect("an item is added");
            }
        });
        let filling = futures::stream::iter(filling).buffer_unordered(FILLING);
        filling.collect::<()>().await;
        self.size = size;
        self.work_done().await;
        let analyzed = fill::analyze(&self.shop.product).await;
        analyzed.expect("the database counts its rows");
    }

    /// Waits until the server is idle.
    pub async fn work_done(&self) {
        fill::wait_for_jobs(&self.shop.product).await;
    }

    /// Reads the processor time of the server and of the database's sessions.
    pub fn cpu(&self) -> Cpu {
        let mut processes = vec![self.shop.child.id()];
        if let Some(url) = &self.shop.product.database_url {
            let database = url.rsplit('/').next().expect("a URL names a database");
            processes.extend(cpu::sessions(database));
        }
        Cpu::of(&processes)
    }

    /// Makes a call now, as the admin.
    pub async fn ask<Q, A>(&self, rpc: &str, request: Q) -> A
    where
        Q: Message + Name + 'static,
        A: Message + Default + 'static,
    {
        call::ask(&self.admin, rpc, request).await
    }

    /// Prepares a call, as the admin if the admin may make it.
    pub fn later<Q: Message + Name + 'static>(&self, rpc: &str, request: Q) -> Call {
        let transport = match rpc {
            "CreateShop" => &self.operator,
            _ => &self.admin,
        };
        call::later(transport, rpc, request)
    }

    /// Prepares a call that is refused.
    pub fn refused<Q: Message + Name + 'static>(&self, rpc: &str, request: Q) -> Call {
        call::refused(&self.admin, rpc, request)
    }

    /// Returns a number that was not used before.
    pub fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a customer, mostly one that no call used before.
    pub fn customer(&self, number: usize) -> usize {
        number * STRIDE % self.size
    }

    /// Returns the numbers of `count` customers.
    pub fn customers(&self, number: usize, count: usize) -> impl Iterator<Item = usize> {
        (0..count).map(move |more| self.customer(number + more))
    }

    /// Creates a customer that one call needs.
    pub async fn new_customer(&self, number: usize) -> pb::Customer {
        let request = pb::CreateCustomerRequest {
            customer: Some(pb::Customer {
                last_name: format!("Hopper {number}"),
                email: format!("grace.{number}@example.test"),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.ask("CreateCustomer", request).await
    }

    /// Creates a group and returns its name.
    pub async fn group(&self, id: &str) -> String {
        let request = pb::CreateGroupRequest {
            group: Some(pb::Group {
                display_names: [("en".to_owned(), id.to_owned())].into(),
                ..Default::default()
            }),
            group_id: id.to_owned(),
            ..Default::default()
        };
        let group: pb::Group = self.ask("CreateGroup", request).await;
        group.name
    }

    /// Creates a title and returns its name.
    pub async fn title(&self, id: &str) -> String {
        let request = pb::CreateTitleRequest {
            title: Some(pb::Title {
                display_names: [("en".to_owned(), id.to_owned())].into(),
                ..Default::default()
            }),
            title_id: id.to_owned(),
            ..Default::default()
        };
        let title: pb::Title = self.ask("CreateTitle", request).await;
        title.name
    }

    async fn delete_group(&self, name: String) {
        let request = pb::DeleteGroupRequest {
            name,
            ..Default::default()
        };
        self.ask("DeleteGroup", request).await
    }

    /// Records a group, a title or a saved filter for deletion after the round, so that the large shop does
    /// not have more of them.
    pub fn to_tidy(&self, name: &str) {
        self.noted().push(name.to_owned());
    }

    fn noted(&self) -> MutexGuard<'_, Vec<String>> {
        self.tidy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes the recorded resources.
    pub async fn tidy(&self) {
        let names = std::mem::take(&mut *self.noted());
        for name in names {
            if name.starts_with("groups/") {
                self.delete_group(name).await;
            } else if name.starts_with("savedFilters/") {
                let request = pb::DeleteSavedFilterRequest {
                    name,
                    ..Default::default()
                };
                self.ask("DeleteSavedFilter", request).await
            } else {
                let request = pb::DeleteTitleRequest {
                    name,
                    ..Default::default()
                };
                self.ask("DeleteTitle", request).await
            }
        }
    }
}

/// A customer of the shop.
fn customer(number: usize) -> pb::Customer {
    let is_rare = number.is_multiple_of(RARE_EVERY) && number / RARE_EVERY < RARE;
    let mut groups = vec!["groups/customer".to_owned()];
    if is_rare {
        groups.push("groups/rare".to_owned());
    }
    pb::Customer {
        first_name: "Ada".to_owned(),
        last_name: if is_rare {
            format!("Babbage {number}")
        } else {
            format!("Lovelace {number}")
        },
        email: email(number),
        external_ids: vec![external_id(number)],
        password: is_rare.then(|| PASSWORD.to_owned()),
        phone: "+44 20 7946 0123".to_owned(),
        company: "Analytical Engines Ltd".to_owned(),
        groups,
        ..Default::default()
    }
}

/// Returns the number of a customer with data that few have.
pub fn rare(number: usize) -> usize {
    number % RARE * RARE_EVERY
}

/// Returns the address of a customer.
pub fn email(number: usize) -> String {
    format!("ada.{number}@example.test")
}

/// Returns a customer's id in another system.
pub fn external_id(number: usize) -> pb::ExternalId {
    pb::ExternalId {
        system: "erp".to_owned(),
        id: format!("erp-{number}"),
    }
}

/// Returns the open cart of a customer.
pub fn owned(customer: &str, slot: &str) -> Option<pb::CartTarget> {
    let owner = pb::CartOwner {
        owner: Some(pb::cart_owner::Owner::Customer(customer.to_owned())),
        slot: slot.to_owned(),
    };
    Some(pb::CartTarget {
        target: Some(pb::cart_target::Target::Owner(owner)),
    })
}
