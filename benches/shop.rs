//! A server with a shop that was filled through the API, and the calls of the load.

use std::sync::Arc;

use clientela::proto::pb::{
    self, admin_service_client::AdminServiceClient, cart_service_client::CartServiceClient,
    customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
};
use futures::StreamExt as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::bench::Bench;
use crate::child::{Child, Hinting, Product, Serving};

/// The connections that share the calls.
const CONNECTIONS: usize = 4;
/// Calls in flight while a shop is filled.
pub const FILLING: usize = 64;
/// Lines of the carts that are written.
pub const LINES: usize = 8;

/// Puts a key into the metadata of calls.
#[derive(Clone)]
pub struct Keyed(MetadataValue<Ascii>);

impl Keyed {
    /// Uses this key. A yardstick accepts any key.
    pub fn new(key: &str) -> Self {
        Self(format!("Bearer {key}").parse().expect("a key is ASCII"))
    }
}

impl Interceptor for Keyed {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A connection with a key.
pub type Transport = InterceptedService<Channel, Keyed>;

/// The clients of a server, one of each kind for a connection.
#[derive(Clone)]
pub struct Clients {
    customers: Arc<[CustomerServiceClient<Transport>]>,
    carts: Arc<[CartServiceClient<Transport>]>,
    groups: GroupServiceClient<Transport>,
}

impl Clients {
    /// Connects.
    pub async fn connect(child: &Child, key: &str) -> Self {
        let mut customers = Vec::new();
        let mut carts = Vec::new();
        let key = Keyed::new(key);
        let mut last = Transport::new(child.connect().await, key.clone());
        for _ in 0..CONNECTIONS {
            customers.push(CustomerServiceClient::new(last.clone()));
            carts.push(CartServiceClient::new(last.clone()));
            last = Transport::new(child.connect().await, key.clone());
        }
        Self {
            customers: customers.into(),
            carts: carts.into(),
            groups: GroupServiceClient::new(last),
        }
    }

    /// The client of a caller.
    pub fn customers(&self, caller: usize) -> CustomerServiceClient<Transport> {
        self.customers[caller % CONNECTIONS].clone()
    }

    /// The client of a caller.
    pub fn carts(&self, caller: usize) -> CartServiceClient<Transport> {
        self.carts[caller % CONNECTIONS].clone()
    }

    /// The client for groups.
    pub fn groups(&self) -> GroupServiceClient<Transport> {
        self.groups.clone()
    }

    /// Gets a customer.
    pub async fn get_customer(&self, caller: usize, name: &str) -> pb::Customer {
        let request = pb::GetCustomerRequest {
            name: name.to_owned(),
        };
        let answer = self.customers(caller).get_customer(request).await;
        answer.expect("a customer").into_inner()
    }

    /// Adds one piece to a cart.
    pub async fn add_item(&self, caller: usize, cart: &str, product: usize) -> pb::Cart {
        let answer = self.try_add_item(caller, cart, product).await;
        answer.expect("the item is added")
    }

    /// Adds one piece to a cart, or fails if there is no server.
    pub async fn try_add_item(
        &self,
        caller: usize,
        cart: &str,
        product: usize,
    ) -> Result<pb::Cart, tonic::Status> {
        let request = pb::AddItemRequest {
            target: Some(pb::CartTarget {
                target: Some(pb::cart_target::Target::Cart(cart.to_owned())),
            }),
            item: Some(item(product)),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let answer = self.carts(caller).add_item(request).await;
        answer.map(tonic::Response::into_inner)
    }
}

/// A running server with its keys.
pub struct Shop {
    /// The process.
    pub child: Child,
    /// The settings it was started with.
    pub product: Product,
    operator_key: String,
    admin_key: String,
    /// Clients of a storefront.
    pub clients: Clients,
}

/// Returns the settings of an ordinary embedded store.
pub fn embedded(bench: &Bench) -> Product {
    Product {
        data_dir: bench.folder(),
        database_url: None,
        flush_delay_millis: 0,
        hints: Hinting::Notify,
        address: None,
    }
}

/// Returns the settings of an ordinary store in PostgreSQL.
pub async fn on_postgres(bench: &Bench) -> Product {
    Product {
        database_url: Some(bench.database().await),
        ..embedded(bench)
    }
}

impl Shop {
    /// Starts a server.
    pub async fn start(product: Product) -> Self {
        let child = Child::start(&Serving::Product(product.clone()));
        let keys = std::fs::read_to_string(product.data_dir.join("keys")).expect("the key file");
        let first_key = |role: &str| {
            let mut lines = keys.lines();
            let key = lines.find_map(|line| line.strip_prefix(role)?.strip_prefix('='));
            key.expect("the file has a key").trim().to_owned()
        };
        let admin_key = first_key("admin");
        let key = key(&child, &admin_key, pb::Role::Storefront).await;
        let clients = Clients::connect(&child, &key).await;
        Self {
            child,
            product,
            operator_key: first_key("operator"),
            admin_key,
            clients,
        }
    }

    /// Opens a connection with the admin's key.
    pub async fn as_admin(&self) -> Transport {
        Transport::new(self.child.connect().await, Keyed::new(&self.admin_key))
    }

    /// Opens a connection with the operator's key.
    pub async fn as_operator(&self) -> Transport {
        Transport::new(self.child.connect().await, Keyed::new(&self.operator_key))
    }

    /// Creates a key.
    pub async fn key(&self, role: pb::Role) -> String {
        key(&self.child, &self.admin_key, role).await
    }

    /// Creates `count` keys of staff.
    pub async fn keys(&self, count: usize) -> Vec<String> {
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            keys.push(self.key(pb::Role::Support).await);
        }
        keys
    }

    /// Creates a group and returns its name.
    pub async fn group(&self, id: &str) -> String {
        let request = pb::CreateGroupRequest {
            group: Some(pb::Group {
                display_names: [("en".to_owned(), "Bulk".to_owned())].into(),
                ..Default::default()
            }),
            group_id: id.to_owned(),
            ..Default::default()
        };
        let answer = self.admin().await.groups().create_group(request).await;
        answer.expect("a group is made").into_inner().name
    }

    /// Returns clients with the key of staff.
    pub async fn admin(&self) -> Clients {
        Clients::connect(&self.child, &self.admin_key).await
    }

    /// Creates customers and returns their names.
    pub async fn customers(&self, count: usize) -> Arc<[String]> {
        let admin = self.admin().await;
        let made = futures::stream::iter(0..count).map(|number| {
            let mut client = admin.customers(number);
            async move {
                let request = pb::CreateCustomerRequest {
                    customer: Some(customer(number)),
                    customer_id: customer_id(number),
                    ..Default::default()
                };
                let answer = client.create_customer(request).await;
                answer.expect("a customer is made").into_inner().name
            }
        });
        made.buffered(FILLING).collect::<Vec<_>>().await.into()
    }

    /// Creates carts of visitors with this many lines and returns their names.
    pub async fn carts(&self, count: usize, lines: usize) -> Arc<[String]> {
        let made = futures::stream::iter(0..count).map(|number| {
            let mut client = self.clients.carts(number);
            async move {
                let visitor = format!("visitor-with-a-cart-{number:07}");
                let request = pb::CreateCartRequest {
                    owner: Some(pb::CartOwner {
                        owner: Some(pb::cart_owner::Owner::Visitor(visitor)),
                        ..Default::default()
                    }),
                    cart_id: format!("cart-{number:07}"),
                    items: (0..lines).map(item).collect(),
                    ..Default::default()
                };
                let answer = client.create_cart(request).await;
                answer.expect("a cart is made").into_inner().name
            }
        });
        made.buffered(FILLING).collect::<Vec<_>>().await.into()
    }
}

async fn key(child: &Child, admin_key: &str, role: pb::Role) -> String {
    let channel = child.connect().await;
    let mut admin = AdminServiceClient::with_interceptor(channel, Keyed::new(admin_key));
    let request = pb::CreateApiKeyRequest {
        api_key: Some(pb::ApiKey {
            display_name: "the load".to_owned(),
            roles: vec![role as i32],
            ..Default::default()
        }),
        ..Default::default()
    };
    let answer = admin.create_api_key(request).await;
    answer.expect("a key is made").into_inner().secret
}

/// Returns the id of a customer that this module creates.
pub fn customer_id(number: usize) -> String {
    format!("customer-{number:07}")
}

/// Returns the name of a customer.
pub fn customer_name(number: usize) -> String {
    format!("customers/{}", customer_id(number))
}

fn customer(number: usize) -> pb::Customer {
    pb::Customer {
        first_name: "Ada".to_owned(),
        last_name: format!("Lovelace {number}"),
        email: format!("ada.lovelace.{number}@example.test"),
        phone: "+44 20 7946 0123".to_owned(),
        company: "Analytical Engines Ltd".to_owned(),
        website: "https://engines.example.test".to_owned(),
        language_code: "en".to_owned(),
        newsletter: None,
        ..Default::default()
    }
}

/// Returns a line as a storefront sends it.
pub fn item(product: usize) -> pb::ItemInput {
    pb::ItemInput {
        product: format!("product-{product}"),
        variant: "blue".to_owned(),
        display_name: "Hummingbird printed t-shirt".to_owned(),
        image_uri: "https://shop.example.test/img/p/1/hummingbird.jpg".to_owned(),
        category_ids: vec!["clothes".to_owned(), "men".to_owned()],
        price: Some(pb::ItemPrice {
            list_price: Some(pb::Money {
                currency_code: "EUR".to_owned(),
                micros: 19_120_000,
            }),
            tax_rate: "19".to_owned(),
            ..Default::default()
        }),
        quantity: 1,
        ..Default::default()
    }
}
