//! Tests addresses.

use clientela::proto::pb::{self, ErrorReason};
use futures::future::join_all;
use tonic::{Code, Status};

use super::{Client, create, delete, get, metadata, person, update};
use crate::harness::{assert_refused, unique, violations};
use crate::on_both_engines;

fn in_city(customer: &str, city: &str) -> pb::CreateAddressRequest {
    pb::CreateAddressRequest {
        customer: customer.to_owned(),
        address: Some(pb::Address {
            city: city.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

async fn add(client: &mut Client, request: pb::CreateAddressRequest) -> pb::Address {
    client
        .create_address(request)
        .await
        .expect("the address is created")
        .into_inner()
}

fn deletion(name: &str) -> pb::DeleteAddressRequest {
    pb::DeleteAddressRequest {
        name: name.to_owned(),
        ..Default::default()
    }
}

async fn remove(client: &mut Client, name: &str) -> Result<(), Status> {
    let request = pb::DeleteAddressRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    client.delete_address(request).await.map(drop)
}

async fn defaults(client: &mut Client, customer: &str) -> (String, String) {
    let customer = get(client, customer).await;
    (
        customer.default_billing_address,
        customer.default_shipping_address,
    )
}

fn renamed(address: &pb::Address, label: &str) -> pb::UpdateAddressRequest {
    pb::UpdateAddressRequest {
        address: Some(pb::Address {
            label: label.to_owned(),
            ..address.clone()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["label".to_owned()],
        }),
        ..Default::default()
    }
}

on_both_engines! {
    async fn the_first_address_is_both_defaults_and_later_ones_on_request(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await.name;
        assert_eq!(defaults(&mut client, &ada).await, (String::new(), String::new()));

        let lyon = add(&mut client, in_city(&ada, "Lyon")).await.name;
        assert_eq!(defaults(&mut client, &ada).await, (lyon.clone(), lyon.clone()));
        add(&mut client, in_city(&ada, "Nice")).await;
        assert_eq!(defaults(&mut client, &ada).await, (lyon.clone(), lyon.clone()));
        let brest = pb::CreateAddressRequest { default_shipping: true, ..in_city(&ada, "Brest") };
        let brest = add(&mut client, brest).await.name;
        assert_eq!(defaults(&mut client, &ada).await, (lyon, brest));
    }

    async fn the_default_of_a_deleted_address_moves_to_the_oldest_other(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await.name;
        let lyon = add(&mut client, in_city(&ada, "Lyon")).await.name;
        let nice = add(&mut client, in_city(&ada, "Nice")).await.name;
        let brest = pb::CreateAddressRequest { default_billing: true, ..in_city(&ada, "Brest") };
        let brest = add(&mut client, brest).await.name;

        remove(&mut client, &brest).await.unwrap();
        assert_eq!(defaults(&mut client, &ada).await, (lyon.clone(), lyon.clone()));
        remove(&mut client, &lyon).await.unwrap();
        assert_eq!(defaults(&mut client, &ada).await, (nice.clone(), nice.clone()));
        remove(&mut client, &nice).await.unwrap();
        assert_eq!(defaults(&mut client, &ada).await, (String::new(), String::new()));
        let refused = remove(&mut client, &nice).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        assert_eq!(metadata(&refused, "type").as_deref(), Some("address"));
    }

    async fn a_default_is_chosen_among_the_customers_addresses(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await.name;
        let bob = create(&mut client, person("Bob")).await.name;
        add(&mut client, in_city(&ada, "Lyon")).await;
        let nice = add(&mut client, in_city(&ada, "Nice")).await.name;
        let foreign = add(&mut client, in_city(&bob, "Bonn")).await.name;
        let sent = |address: &str| pb::Customer {
            name: ada.clone(),
            default_billing_address: address.to_owned(),
            ..Default::default()
        };

        let path = ["default_billing_address"];
        let chosen = update(&mut client, sent(&nice), &path).await.unwrap();
        assert_eq!(chosen.default_billing_address, nice);
        for address in [foreign, format!("{ada}/addresses/none")] {
            let refused = update(&mut client, sent(&address), &path).await.unwrap_err();
            let field = "customer.default_billing_address";
            assert_eq!(violations(&refused), [(field.into(), "NOT_FOUND".into())]);
        }
    }

    async fn an_update_changes_only_the_fields_of_its_mask(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await.name;
        let lyon = add(&mut client, in_city(&ada, "Lyon")).await;

        let home = client.update_address(renamed(&lyon, "Home")).await.unwrap().into_inner();

        assert_eq!((home.label.as_str(), home.city.as_str()), ("Home", "Lyon"));
        let request = pb::GetAddressRequest { name: lyon.name.clone() };
        assert_eq!(client.get_address(request).await.unwrap().into_inner(), home);
        let refused = client.update_address(renamed(&lyon, "Work")).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, ErrorReason::EtagMismatch);
        assert_eq!(metadata(&refused, "current_etag"), Some(home.etag.clone()));
        let request = pb::DeleteAddressRequest {
            name: lyon.name,
            etag: lyon.etag,
            ..Default::default()
        };
        let refused = client.delete_address(request).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, ErrorReason::EtagMismatch);
    }

    async fn a_customer_has_at_most_fifty_addresses(shop: Shop) {
        let mut client = shop.customers();
        let address = pb::Address { city: "Lyon".to_owned(), ..Default::default() };
        let request = pb::CreateCustomerRequest {
            customer: Some(person("Ada")),
            addresses: vec![address; 49],
            ..Default::default()
        };
        let ada = client.create_customer(request).await.unwrap().into_inner().name;

        let outcomes = join_all((0..4).map(|_| {
            let (mut client, request) = (client.clone(), in_city(&ada, "Nice"));
            async move { client.create_address(request).await }
        }))
        .await;

        let refused: Vec<&Status> = outcomes.iter().filter_map(|done| done.as_ref().err()).collect();
        assert_eq!(refused.len(), 3);
        for refused in refused {
            assert_refused(refused, Code::FailedPrecondition, ErrorReason::TooManyAddresses);
            assert_eq!(metadata(refused, "limit").as_deref(), Some("50"));
        }
    }

    async fn pages_go_from_the_oldest_to_the_newest(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await.name;
        let mut names = Vec::new();
        for city in ["Lyon", "Nice", "Brest", "Metz", "Lens"] {
            names.push(add(&mut client, in_city(&ada, city)).await.name);
        }

        let mut request = pb::ListAddressesRequest {
            customer: ada.clone(),
            page_size: 2,
            ..Default::default()
        };
        let mut listed = Vec::new();
        loop {
            let page = client.list_addresses(request.clone()).await.unwrap().into_inner();
            listed.extend(page.addresses.into_iter().map(|address| address.name));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }

        assert_eq!(listed, names);
        let foreign = pb::ListAddressesRequest {
            customer: create(&mut client, person("Bob")).await.name,
            ..request
        };
        let refused = client.list_addresses(foreign).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidPageToken);
        let nobody = pb::ListAddressesRequest {
            customer: "customers/nobody".to_owned(),
            ..Default::default()
        };
        let refused = client.list_addresses(nobody).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
    }

    async fn a_name_is_unique_and_its_versions_continue_after_deletion(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await.name;
        let home =
            pb::CreateAddressRequest { address_id: "home".to_owned(), ..in_city(&ada, "Lyon") };
        let first = add(&mut client, home.clone()).await;

        let refused = client.create_address(home.clone()).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::NameTaken);
        assert_eq!(metadata(&refused, "name"), Some(first.name.clone()));
        remove(&mut client, &first.name).await.unwrap();
        let second = add(&mut client, home).await;
        assert_eq!(second.name, first.name);
        assert_ne!(second.etag, first.etag);
    }

    async fn a_deleted_customer_gets_no_address(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await.name;
        let lyon = add(&mut client, in_city(&ada, "Lyon")).await;
        delete(&mut client, &ada).await;

        let refused = client.create_address(in_city(&ada, "Nice")).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CustomerDeleted);
        let refused = client.update_address(renamed(&lyon, "Home")).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CustomerDeleted);
        let refused = client.create_address(in_city("customers/nobody", "Nice")).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        let request = pb::GetAddressRequest { name: lyon.name.clone() };
        assert_eq!(client.get_address(request).await.unwrap().into_inner(), lyon);
        // The address is treated like a deleted customer itself: it is shown, and not changed.
        for etag in ["", "\"77-0badcafe\""] {
            let request =
                pb::DeleteAddressRequest { etag: etag.into(), ..deletion(&lyon.name) };
            let refused = client.delete_address(request).await.unwrap_err();
            assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CustomerDeleted);
        }
        let request = pb::ListAddressesRequest { customer: ada.clone(), ..Default::default() };
        let listed = client.list_addresses(request).await.unwrap().into_inner();
        assert_eq!(listed.addresses, [lyon]);
        let request = pb::GetCustomerRequest { name: ada };
        assert!(client.get_customer(request).await.unwrap().into_inner().delete_time.is_some());
    }

    async fn a_repeated_request_adds_one_address(shop: Shop) {
        let client = shop.customers();
        let ada = create(&mut client.clone(), person("Ada")).await.name;
        let request = pb::CreateAddressRequest {
            request_id: format!("request-{}", unique()),
            ..in_city(&ada, "Lyon")
        };

        let answers = join_all((0..20).map(|_| {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.create_address(request).await.unwrap().into_inner() }
        }))
        .await;

        assert!(answers.iter().all(|answer| *answer == answers[0]));
        let listed = client.clone().list_addresses(pb::ListAddressesRequest {
            customer: ada,
            ..Default::default()
        })
        .await;
        assert_eq!(listed.unwrap().into_inner().addresses, answers[..1]);
    }

    async fn a_validation_adds_nothing(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let request =
            pb::CreateAddressRequest { validate_only: true, ..in_city(&ada.name, "Lyon") };

        let answer = client.create_address(request).await.unwrap().into_inner();

        assert_eq!(answer.city, "Lyon");
        assert_eq!(get(&mut client, &ada.name).await, ada);
    }
}
