//! Tests ListCustomers.

use std::collections::HashMap;

use clientela::proto::pb::{self, CountMode, ErrorReason, Role, customer};
use futures::future::join_all;
use tonic::{Code, Status};

use super::{Client, client_as, create, creation, delete, metadata, person, update};
use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;

/// Returns the request for the customers that match a filter.
fn filtered(filter: &str) -> pb::ListCustomersRequest {
    pb::ListCustomersRequest {
        filter: filter.to_owned(),
        ..Default::default()
    }
}

fn searched(query: &str) -> pb::ListCustomersRequest {
    pb::ListCustomersRequest {
        query: query.to_owned(),
        ..Default::default()
    }
}

/// Returns the customers of all pages of a list.
async fn walk(
    client: &mut Client,
    mut request: pb::ListCustomersRequest,
) -> Result<Vec<pb::Customer>, Status> {
    let mut customers = Vec::new();
    loop {
        let page = client.list_customers(request.clone()).await?.into_inner();
        customers.extend(page.customers);
        if page.next_page_token.is_empty() {
            return Ok(customers);
        }
        request.page_token = page.next_page_token;
    }
}

async fn first_names(client: &mut Client, request: pb::ListCustomersRequest) -> Vec<String> {
    let customers = walk(client, request).await.expect("the list is answered");
    let mut names: Vec<String> = customers
        .into_iter()
        .map(|customer| customer.first_name)
        .collect();
    names.sort_unstable();
    names
}

/// Creates three customers who differ in every field of filters.
async fn three(shop: &Shop) {
    super::group(shop, "vip", pb::Group::default()).await;
    let text = |text: &str| prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue(text.to_owned())),
    };
    let number = |number: f64| prost_types::Value {
        kind: Some(prost_types::value::Kind::NumberValue(number)),
    };
    let fields = |fields: [(&str, prost_types::Value); 2]| {
        let fields = fields.map(|(key, value)| (key.to_owned(), value));
        Some(prost_types::Struct {
            fields: fields.into(),
        })
    };
    let erp = |id: &str| pb::ExternalId {
        system: "erp".to_owned(),
        id: id.to_owned(),
    };
    let euros = |micros| {
        Some(pb::Money {
            currency_code: "EUR".to_owned(),
            micros,
        })
    };
    let mut client = shop.customers();
    for customer in [
        pb::Customer {
            last_name: "Ångström".to_owned(),
            company: "Forsmark AB".to_owned(),
            number: "C-1".to_owned(),
            phone: "+46 8 5550199".to_owned(),
            external_ids: vec![erp("X-700")],
            birth_date: "1985-06-21".to_owned(),
            credit_limit: euros(2_000_000_000),
            attributes: fields([("color", text("red")), ("size", number(12.0))]),
            language_code: "sv".to_owned(),
            newsletter: Some(pb::Consent {
                subscribed: true,
                ..Default::default()
            }),
            ..person("Ada")
        },
        pb::Customer {
            last_name: "Müller".to_owned(),
            state: customer::State::Disabled as i32,
            risk: customer::Risk::High as i32,
            groups: vec!["groups/vip".to_owned()],
            credit_limit: euros(500_000_000),
            external_ids: vec![erp("X-701")],
            tax_exempt: true,
            vat_number: "DE1".to_owned(),
            payment_days: Some(30),
            title: "titles/mr".to_owned(),
            attributes: fields([("color", text("blue")), ("size", number(1.5))]),
            storefront: "de".to_owned(),
            ..person("Bob")
        },
        pb::Customer {
            last_name: "O'Neil".to_owned(),
            kind: customer::Kind::Guest as i32,
            account_type: customer::AccountType::Customer as i32,
            accounting_number: "4711".to_owned(),
            ..person("Cem")
        },
    ] {
        create(&mut client, customer).await;
    }
}

on_both_engines! {
    async fn filters_find_the_matching_customers(shop: Shop) {
        three(&shop).await;
        let mut client = shop.customers();

        for (filter, expected) in [
            ("", "Ada Bob Cem"),
            ("number = C-1", "Ada"),
            ("email:\"ada.\"", "Ada"),
            ("first_name = Bob", "Bob"),
            ("last_name:angstrom", "Ada"),
            ("last_name:muller OR last_name:\"o'neil\"", "Bob Cem"),
            ("company:forsmark", "Ada"),
            ("phone = \"+46 8 5550199\"", "Ada"),
            ("kind = GUEST", "Cem"),
            ("NOT kind = GUEST", "Ada Bob"),
            ("state = DISABLED", "Bob"),
            ("account_type = CUSTOMER", "Ada Bob Cem"),
            ("title = titles/mr", "Bob"),
            ("language_code = sv", "Ada"),
            ("storefront = de", "Bob"),
            ("default_group = groups/vip", "Bob"),
            ("groups:groups/vip", "Bob"),
            ("groups:groups/guest OR groups:groups/vip", "Bob Cem"),
            ("tax_exempt = true", "Bob"),
            ("newsletter = true", "Ada"),
            ("partner_offers = false", "Ada Bob Cem"),
            ("birth_date < 1990-01-01", "Ada"),
            ("birth_date:*", "Ada"),
            ("NOT birth_date:*", "Bob Cem"),
            ("create_time > now - 1h AND update_time <= now + 1h", "Ada Bob Cem"),
            ("create_time < now - 1h", ""),
            ("delete_time:*", ""),
            ("external_ids.erp = \"X-700\"", "Ada"),
            ("external_ids.erp:*", "Ada Bob"),
            ("external_ids.crm:*", ""),
            ("attributes.color = red", "Ada"),
            ("attributes.size = \"12\"", "Ada"),
            ("attributes.size = \"1.5\"", "Bob"),
            ("attributes.color != red", "Bob"),
            ("accounting_number = \"4711\"", "Cem"),
            ("risk = HIGH", "Bob"),
            ("NOT risk:*", "Ada Cem"),
            ("credit_limit >= \"600 EUR\"", "Ada"),
            ("credit_limit >= \"1 USD\"", ""),
            ("vat_number = DE1", "Bob"),
            ("payment_days <= 30", "Bob"),
            ("first_name = \"' OR 1=1 --\"", ""),
        ] {
            let found = first_names(&mut client, filtered(filter)).await;
            assert_eq!(found.join(" "), expected, "{filter}");
        }
    }

    async fn an_invalid_filter_is_refused_with_its_position_and_a_suggestion(shop: Shop) {
        let mut client = shop.customers();

        for filter in ["shoe_size = 3", "state = OPEN", "state", "tax_exempt = 3", "((((((((((((((((((((((state = ACTIVE))))))))))))))))))))))", "email = a; DROP TABLE customers"] {
            let refused = client.list_customers(filtered(filter)).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidFilter);
            assert!(metadata(&refused, "position").is_some(), "{filter}");
        }
        let refused = client.list_customers(filtered("emial = a")).await.unwrap_err();
        assert_eq!(metadata(&refused, "nearest").as_deref(), Some("email"));
        for order_by in ["shoe_size", "phone", "email up", "email,,name", "email, email"] {
            let request =
                pb::ListCustomersRequest { order_by: order_by.to_owned(), ..Default::default() };
            let refused = client.list_customers(request).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidOrderBy);
        }
        let refused = client.list_customers(pb::ListCustomersRequest {
            page_size: -1,
            ..Default::default()
        });
        let refused = refused.await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
    }

    async fn a_role_cannot_filter_by_fields_that_it_may_not_see(shop: Shop) {
        three(&shop).await;
        let mut monitor = client_as(&shop, Role::Monitor).await;
        let unknown = monitor.list_customers(filtered("shoe_size = 3")).await.unwrap_err();

        for filter in ["risk = HIGH", "credit_limit > \"1 EUR\"", "accounting_number = a"] {
            let refused = monitor.list_customers(filtered(filter)).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidFilter);
            assert_eq!(metadata(&refused, "position"), metadata(&unknown, "position"));
        }
        assert_eq!(first_names(&mut monitor, filtered("state = DISABLED")).await, ["Bob"]);
    }

    async fn a_search_finds_parts_of_words_without_case_and_accents(shop: Shop) {
        three(&shop).await;
        let mut client = shop.customers();

        for (query, expected) in [
            ("ANGSTR", "Ada"),
            ("ström ada", "Ada"),
            ("mü", "Bob"),
            ("u", ""),
            ("m", "Bob"),
            ("example", "Ada Bob Cem"),
            ("example bob", "Bob"),
            ("forsmark", "Ada"),
            ("C-1", "Ada"),
            ("x-701", "Bob"),
            ("5550199", "Ada"),
            ("o'neil", "Cem"),
            ("100%_\"", ""),
            ("nothing of the kind", ""),
            ("  ", "Ada Bob Cem"),
            ("-", ""),
        ] {
            let found = first_names(&mut client, searched(query)).await;
            assert_eq!(found.join(" "), expected, "{query}");
        }
        let both = pb::ListCustomersRequest {
            filter: "state = DISABLED".to_owned(),
            ..searched("example")
        };
        assert_eq!(first_names(&mut client, both).await, ["Bob"]);
    }

    async fn a_search_follows_changes(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let renamed = pb::Customer { last_name: "Lovelace".to_owned(), ..ada.clone() };
        update(&mut client, renamed, &["last_name"]).await.unwrap();

        assert_eq!(first_names(&mut client, searched("lovela")).await, ["Ada"]);
        let renamed = pb::Customer { name: ada.name.clone(), ..Default::default() };
        update(&mut client, renamed, &["last_name"]).await.unwrap();
        assert_eq!(first_names(&mut client, searched("lovela")).await, Vec::<String>::new());
        delete(&mut client, &ada.name).await;
        assert_eq!(first_names(&mut client, searched("ada")).await, Vec::<String>::new());
    }

    async fn a_search_finds_all_customers_created_and_changed_at_once(shop: Shop) {
        let made = join_all((0..40).map(|number| {
            let mut client = shop.customers();
            async move { create(&mut client, person(&format!("Twin{number:02}"))).await }
        }));
        let made = made.await;
        let mut client = shop.customers();
        assert_eq!(first_names(&mut client, searched("twin")).await.len(), 40);

        let renamed = join_all(made.iter().enumerate().map(|(number, customer)| {
            let mut client = shop.customers();
            let first_name = format!("Other{number:02}");
            let renamed = pb::Customer { first_name, ..customer.clone() };
            async move { update(&mut client, renamed, &["first_name"]).await.unwrap() }
        }));
        renamed.await;
        // Their addresses still have the earlier names.
        assert_eq!(first_names(&mut client, searched("other")).await.len(), 40);
        assert_eq!(first_names(&mut client, searched("other07")).await, ["Other07"]);
        assert_eq!(first_names(&mut client, searched("twin07 other07")).await, ["Other07"]);
        assert_eq!(first_names(&mut client, searched("twin07 other08")).await, Vec::<String>::new());
    }

    async fn lists_are_ordered_by_their_fields(shop: Shop) {
        let mut client = shop.customers();
        for (first, last) in [("Ada", "B"), ("Bob", "A"), ("Cem", "B"), ("Dan", "")] {
            create(&mut client, pb::Customer { last_name: last.to_owned(), ..person(first) }).await;
        }

        for (order_by, expected) in [
            ("", "Ada Bob Cem Dan"),
            ("name desc", "Dan Cem Bob Ada"),
            ("last_name", "Dan Bob Ada Cem"),
            ("last_name desc", "Ada Cem Bob Dan"),
            ("last_name desc, name desc", "Cem Ada Bob Dan"),
            ("last_name, create_time desc", "Dan Bob Cem Ada"),
            ("create_time desc", "Dan Cem Bob Ada"),
            ("update_time", "Ada Bob Cem Dan"),
            ("email", "Ada Bob Cem Dan"),
        ] {
            for page_size in [1, 2, 50] {
                let request = pb::ListCustomersRequest {
                    order_by: order_by.to_owned(),
                    page_size,
                    ..Default::default()
                };
                let listed = walk(&mut client, request).await.unwrap();
                let names: Vec<&str> =
                    listed.iter().map(|customer| customer.first_name.as_str()).collect();
                assert_eq!(names.join(" "), expected, "{order_by} by {page_size}");
            }
        }
    }

    async fn a_token_belongs_to_its_request(shop: Shop) {
        let mut client = shop.customers();
        for name in ["Ada", "Bob", "Cem"] {
            create(&mut client, person(name)).await;
        }
        let request = pb::ListCustomersRequest { page_size: 1, ..Default::default() };
        let page = client.list_customers(request.clone()).await.unwrap().into_inner();
        let next = pb::ListCustomersRequest { page_token: page.next_page_token, ..request };

        for other in [
            pb::ListCustomersRequest { filter: "state = ACTIVE".to_owned(), ..next.clone() },
            pb::ListCustomersRequest { order_by: "email".to_owned(), ..next.clone() },
            pb::ListCustomersRequest { query: "ada".to_owned(), ..next.clone() },
            pb::ListCustomersRequest { show_deleted: true, ..next.clone() },
            pb::ListCustomersRequest { page_token: format!("{}A", next.page_token), ..next.clone() },
            pb::ListCustomersRequest { page_token: "nonsense".to_owned(), ..next.clone() },
        ] {
            let refused = client.list_customers(other).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidPageToken);
        }
        // The page size may differ between pages.
        let rest = pb::ListCustomersRequest { page_size: 10, ..next };
        assert_eq!(walk(&mut client, rest).await.unwrap().len(), 2);
    }

    async fn a_walk_under_writes_returns_each_old_row_once(shop: Shop) {
        let client = shop.customers();
        let mut old = Vec::new();
        for index in 0..60 {
            let request = pb::CreateCustomerRequest {
                customer_id: format!("old-{index:03}"),
                ..creation(person("Old"))
            };
            old.push(client.clone().create_customer(request).await.unwrap().into_inner().name);
        }
        let writes = join_all((0..3).map(|writer| {
            let mut client = client.clone();
            async move {
                for index in 0..40 {
                    let request = pb::CreateCustomerRequest {
                        customer_id: format!("old-{index:03}-new-{writer}"),
                        ..creation(person("New"))
                    };
                    let made = client.create_customer(request).await.unwrap().into_inner();
                    if index % 2 == 0 {
                        delete(&mut client, &made.name).await;
                    }
                }
            }
        }));
        let walks = async {
            let mut client = client.clone();
            for filter in ["", "first_name = Old"] {
                let request =
                    pb::ListCustomersRequest { page_size: 7, ..filtered(filter) };
                let mut seen: HashMap<String, usize> = HashMap::new();
                for customer in walk(&mut client, request).await.unwrap() {
                    *seen.entry(customer.name).or_default() += 1;
                }
                assert!(old.iter().all(|name| seen.get(name) == Some(&1)), "{filter}: {seen:?}");
                assert!(seen.values().all(|times| *times == 1));
            }
        };

        tokio::join!(writes, walks);
    }

    async fn counts_are_made_on_request(shop: Shop) {
        three(&shop).await;
        let mut client = shop.customers();
        let counting = client.clone();
        let count = |count: CountMode, request: pb::ListCustomersRequest| {
            let mut client = counting.clone();
            let request =
                pb::ListCustomersRequest { count: count as i32, page_size: 1, ..request };
            async move { client.list_customers(request).await.unwrap().into_inner().count }
        };

        let counted = |value| Some(pb::Count { value, at_least: false });
        assert_eq!(count(CountMode::None, filtered("")).await, None);
        assert_eq!(count(CountMode::Unspecified, filtered("")).await, None);
        assert_eq!(count(CountMode::Estimate, filtered("")).await, counted(3));
        assert_eq!(count(CountMode::Exact, filtered("kind = GUEST")).await, counted(1));
        assert_eq!(count(CountMode::Exact, searched("example")).await, counted(3));
        let guest = walk(&mut client, filtered("kind = GUEST")).await.unwrap().remove(0);
        delete(&mut client, &guest.name).await;
        assert_eq!(count(CountMode::Exact, filtered("")).await, counted(2));
        let deleted = pb::ListCustomersRequest { show_deleted: true, ..filtered("delete_time:*") };
        assert_eq!(count(CountMode::Exact, deleted).await, counted(1));
    }
}
