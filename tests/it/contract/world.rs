//! One resource of each kind in a shop, and for every RPC a request about them that is a good one.

mod requests;

use std::collections::{BTreeMap, BTreeSet};

use clientela::proto::pb::{self, Role};

use super::messages::reflect;
use crate::carts::{customer as of_customer, euros, item, named};
use crate::harness::{Shop, eventually, unique};

/// What there is in a shop for a test. Its tag is in every name and text, so that it shows in whatever
/// tells of them.
pub struct World<'s> {
    shop: &'s Shop,
    key: String,
    pub tag: String,
    /// A name by the pattern of its kind, as `customers/{id}`.
    pub names: BTreeMap<&'static str, String>,
}

/// What a shop holds, as its lists tell it: each resource by its name.
pub struct State(BTreeMap<String, String>);

impl State {
    /// Fails if anything is different, or is there or gone, since then.
    #[track_caller]
    pub fn assert_unchanged(&self, since: &Self) {
        let names: BTreeSet<&String> = self.0.keys().chain(since.0.keys()).collect();
        let changed: Vec<_> = names
            .into_iter()
            .filter(|name| self.0.get(*name) != since.0.get(*name))
            .map(|name| (name, since.0.get(name), self.0.get(name)))
            .collect();
        assert!(
            changed.is_empty(),
            "what is refused changes nothing: {changed:#?}"
        );
    }
}

impl<'s> World<'s> {
    /// Makes the resources with an admin key.
    pub async fn new(shop: &'s Shop, key: &str, tag: &str) -> Self {
        let mut world = Self {
            shop,
            key: key.to_owned(),
            tag: tag.to_owned(),
            names: BTreeMap::new(),
        };
        let settings = pb::GetShopSettingsRequest {};
        let settings = shop.admin_as(key).get_shop_settings(settings).await;
        let name = settings.unwrap().into_inner().name;
        world.note("shops/{id}", name.trim_end_matches("/settings").to_owned());
        let title = world.title(&format!("{tag}-title")).await;
        world.note("titles/{id}", title);
        let group = world.group(&format!("{tag}-group")).await;
        world.note("groups/{id}", group);
        let gone = world.group(&format!("{tag}-gone")).await;
        let delete = pb::DeleteGroupRequest {
            name: gone,
            ..Default::default()
        };
        let deleted = shop.groups_as(key).delete_group(delete).await.unwrap();
        let operation = deleted.metadata().get("clientela-operation").unwrap();
        world.note("operations/{id}", operation.to_str().unwrap().to_owned());
        let id = format!("{tag}-customer");
        let customer = world.customer(&id, None).await;
        world.note("customers/{id}", customer.name);
        let address = world.address(&format!("{tag}-address")).await;
        world.note("customers/{id}/addresses/{id}", address);
        let cart = world.cart(&format!("{tag}-cart")).await;
        world.note("carts/{id}/items/{id}", cart.items[0].name.clone());
        world.note("carts/{id}", cart.name);
        let saved = world.saved_filter(&format!("{tag}-saved")).await;
        world.note("savedFilters/{id}", saved);
        let made = world.api_key().await;
        world.note("apiKeys/{id}", made.name);
        world
    }

    fn note(&mut self, pattern: &'static str, name: String) {
        self.names.insert(pattern, name);
    }

    /// The name of the kind that `pattern` says.
    pub fn name(&self, pattern: &str) -> String {
        self.names[pattern].clone()
    }

    async fn title(&self, id: &str) -> String {
        let request = pb::CreateTitleRequest {
            title: Some(pb::Title {
                display_names: [("en".to_owned(), self.tag.clone())].into(),
                ..Default::default()
            }),
            title_id: id.to_owned(),
            ..Default::default()
        };
        self.shop
            .customers_as(&self.key)
            .create_title(request)
            .await
            .expect("a title")
            .into_inner()
            .name
    }

    async fn group(&self, id: &str) -> String {
        let request = pb::CreateGroupRequest {
            group: Some(pb::Group {
                display_names: [("en".to_owned(), self.tag.clone())].into(),
                discount_percent: "10".to_owned(),
                ..Default::default()
            }),
            group_id: id.to_owned(),
            ..Default::default()
        };
        self.shop
            .groups_as(&self.key)
            .create_group(request)
            .await
            .expect("a group")
            .into_inner()
            .name
    }

    /// A customer who has everything that not every role may see.
    async fn customer(&self, id: &str, password: Option<&str>) -> pb::Customer {
        let request = pb::CreateCustomerRequest {
            customer: Some(pb::Customer {
                number: format!("{}-{}", self.tag, unique()),
                external_ids: vec![pb::ExternalId {
                    system: "erp".to_owned(),
                    id: id.to_owned(),
                }],
                title: self.name("titles/{id}"),
                first_name: self.tag.clone(),
                last_name: self.tag.clone(),
                email: format!("{id}@example.test"),
                password: password.map(str::to_owned),
                credit_limit: euros(5),
                payment_days: Some(30),
                risk: pb::customer::Risk::High.into(),
                default_group: self.name("groups/{id}"),
                groups: vec!["groups/customer".to_owned(), self.name("groups/{id}")],
                tax_exempt: true,
                accounting_number: self.tag.clone(),
                ..Default::default()
            }),
            customer_id: id.to_owned(),
            ..Default::default()
        };
        self.shop
            .customers_as(&self.key)
            .create_customer(request)
            .await
            .expect("a customer")
            .into_inner()
    }

    async fn address(&self, id: &str) -> String {
        let request = pb::CreateAddressRequest {
            customer: self.name("customers/{id}"),
            address: Some(pb::Address {
                city: self.tag.clone(),
                ..Default::default()
            }),
            address_id: id.to_owned(),
            ..Default::default()
        };
        self.shop
            .customers_as(&self.key)
            .create_address(request)
            .await
            .expect("an address")
            .into_inner()
            .name
    }

    /// An open cart of the customer in a slot of its own, with one line.
    pub async fn cart(&self, id: &str) -> pb::Cart {
        let mut owner = of_customer(&self.name("customers/{id}"));
        owner.slot = format!("slot-{}", unique());
        let request = pb::CreateCartRequest {
            owner: Some(owner),
            cart: Some(pb::Cart {
                note: self.tag.clone(),
                ..Default::default()
            }),
            cart_id: id.to_owned(),
            items: vec![item(&self.tag, 1)],
            ..Default::default()
        };
        self.shop
            .carts_as(&self.key)
            .create_cart(request)
            .await
            .expect("a cart")
            .into_inner()
    }

    /// A cart that was ordered.
    pub async fn ordered_cart(&self) -> pb::Cart {
        let request = pb::OrderCartRequest {
            target: named(&self.cart("").await.name),
            order_reference: format!("{}/{}", self.tag, unique()),
            ..Default::default()
        };
        self.shop
            .carts_as(&self.key)
            .order_cart(request)
            .await
            .expect("an order")
            .into_inner()
    }

    /// One that is shared, so that each role may use it.
    async fn saved_filter(&self, id: &str) -> String {
        let shared = crate::saved_filters::sent(&self.tag, true);
        let mut client = self.shop.saved_filters_as(Shop::with_key(&self.key));
        let made = crate::saved_filters::create(&mut client, id, shared).await;
        made.expect("a saved filter").name
    }

    async fn api_key(&self) -> pb::ApiKey {
        let request = pb::CreateApiKeyRequest {
            api_key: Some(pb::ApiKey {
                display_name: self.tag.clone(),
                roles: vec![Role::Monitor.into()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let made = self.shop.admin_as(&self.key).create_api_key(request).await;
        made.expect("a key").into_inner().api_key.unwrap()
    }

    /// Everything that the shop holds, when the work that was asked for is done.
    pub async fn state(&self) -> State {
        self.work_done().await;
        let shop = self.shop;
        let mut state = BTreeMap::new();
        macro_rules! note {
            ($answer:expr, $list:ident) => {
                for resource in $answer.await.expect("a list").into_inner().$list {
                    state.insert(resource.name.clone(), json(&resource));
                }
            };
        }
        let mut admin = shop.admin_as(&self.key);
        let page_size = 1_000;
        let keys = pb::ListApiKeysRequest {
            page_size,
            show_revoked: true,
            ..Default::default()
        };
        note!(admin.list_api_keys(keys), api_keys);
        let settings = admin.get_shop_settings(pb::GetShopSettingsRequest {}).await;
        let settings = settings.expect("settings").into_inner();
        state.insert(settings.name.clone(), json(&settings));
        let mut operator = shop.admin_as(&shop.operator_key);
        note!(operator.list_shops(pb::ListShopsRequest::default()), shops);
        let mut customers = shop.customers_as(&self.key);
        let titles = pb::ListTitlesRequest {
            page_size,
            ..Default::default()
        };
        note!(customers.list_titles(titles), titles);
        let addresses = pb::ListAddressesRequest {
            customer: self.name("customers/{id}"),
            ..Default::default()
        };
        note!(customers.list_addresses(addresses), addresses);
        let all = pb::ListCustomersRequest {
            page_size,
            show_deleted: true,
            ..Default::default()
        };
        note!(customers.list_customers(all), customers);
        let groups = pb::ListGroupsRequest {
            page_size,
            ..Default::default()
        };
        note!(shop.groups_as(&self.key).list_groups(groups), groups);
        let saved = pb::ListSavedFiltersRequest {
            page_size,
            ..Default::default()
        };
        let mut client = shop.saved_filters_as(Shop::with_key(&self.key));
        note!(client.list_saved_filters(saved), saved_filters);
        let carts = pb::ListCartsRequest {
            page_size,
            ..Default::default()
        };
        note!(shop.carts_as(&self.key).list_carts(carts), carts);
        State(state)
    }

    /// Waits for what follows from earlier calls.
    async fn work_done(&self) {
        let filter = "(state = PENDING OR state = RUNNING) AND kind != PURGE".to_owned();
        eventually("the end of all work", || async {
            let request = pb::ListOperationsRequest {
                filter: filter.clone(),
                ..Default::default()
            };
            let mut operations = self.shop.operations_as(&self.key);
            let left = operations.list_operations(request).await.expect("a list");
            left.into_inner().operations.is_empty().then_some(())
        })
        .await;
    }
}

/// A message as text that is the same whenever the message is.
fn json<M: prost::Message + prost::Name>(message: &M) -> String {
    let value = serde_json::to_value(reflect(message));
    value.expect("resources are JSON").to_string()
}
