//! Calls about customers, successful and refused.

use clientela::proto::pb::{self, ErrorReason};
use prost_types::FieldMask;

use super::driver::Driver;
use super::plain::{EMAIL, PASSWORD, VISITOR, address, customer};
use crate::contract::call::next;
use crate::specimens::{Received, text};

fn mask(paths: &[&str]) -> Option<FieldMask> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    Some(FieldMask { paths })
}

fn by_email(email: &str) -> pb::CustomerKey {
    let key = pb::customer_key::Key::Email(email.into());
    pb::CustomerKey { key: Some(key) }
}

pub async fn drive(driver: &mut Driver) {
    let name = creations(driver).await;
    readings(driver, &name).await;
    sign_ins(driver).await;
    addresses(driver, &name).await;

    let update = pb::UpdateCustomerRequest {
        customer: Some(pb::Customer {
            name: name.clone(),
            last_name: "Quaggadottir".into(),
            ..Default::default()
        }),
        update_mask: mask(&["last_name"]),
        ..Default::default()
    };
    driver.done("UpdateCustomer", &update).await;
    let stale = pb::UpdateCustomerRequest {
        customer: update.customer.map(|customer| pb::Customer {
            etag: "\"zebra\"".into(),
            ..customer
        }),
        ..update
    };
    driver
        .refused("UpdateCustomer", ErrorReason::EtagMismatch, &stale)
        .await;

    let delete = pb::DeleteCustomerRequest {
        name: name.clone(),
        ..Default::default()
    };
    driver.done("DeleteCustomer", &delete).await;
    let undelete = pb::UndeleteCustomerRequest {
        name,
        ..Default::default()
    };
    driver.done("UndeleteCustomer", &undelete).await;
    driver
        .refused(
            "UndeleteCustomer",
            ErrorReason::CustomerNotDeleted,
            &undelete,
        )
        .await;
}

async fn creations(driver: &mut Driver) -> String {
    let create = pb::CreateCustomerRequest {
        customer: Some(customer()),
        addresses: vec![address()],
        visitor: VISITOR.into(),
        request_id: "the first".into(),
        ..Default::default()
    };
    let made = driver.done("CreateCustomer", &create).await;
    driver.done("CreateCustomer", &create).await;
    let other = pb::CreateCustomerRequest {
        addresses: vec![],
        ..create.clone()
    };
    driver
        .refused("CreateCustomer", ErrorReason::RequestIdReused, &other)
        .await;
    let twin = pb::CreateCustomerRequest {
        request_id: String::new(),
        ..create.clone()
    };
    driver
        .refused("CreateCustomer", ErrorReason::EmailTaken, &twin)
        .await;
    for wrong in [
        pb::Customer {
            email: "zebra at quagga".into(),
            ..customer()
        },
        pb::Customer {
            birth_date: "1987-06-05 zebra".into(),
            ..customer()
        },
        pb::Customer {
            phone: "+495550155778".repeat(5),
            ..customer()
        },
        pb::Customer {
            password: Some("zebra".into()),
            ..customer()
        },
        pb::Customer {
            website: "zebra.example.test".into(),
            ..customer()
        },
        pb::Customer {
            title: "titles/zebra".into(),
            email: "zebra@example.test".into(),
            ..customer()
        },
    ] {
        let request = pb::CreateCustomerRequest {
            customer: Some(wrong),
            ..Default::default()
        };
        driver
            .refused("CreateCustomer", ErrorReason::InvalidField, &request)
            .await;
    }
    text(&made, "name")
}

async fn readings(driver: &mut Driver, name: &str) {
    let get = pb::GetCustomerRequest {
        name: name.to_owned(),
    };
    driver.done("GetCustomer", &get).await;
    let get = pb::GetCustomerRequest {
        name: "customers/zebra".into(),
    };
    driver
        .refused("GetCustomer", ErrorReason::NotFound, &get)
        .await;
    let lookup = pb::LookupCustomerRequest {
        key: Some(by_email(EMAIL)),
    };
    driver.done("LookupCustomer", &lookup).await;
    let lookup = pb::LookupCustomerRequest {
        key: Some(by_email("no.zebra@example.test")),
    };
    driver
        .refused("LookupCustomer", ErrorReason::NotFound, &lookup)
        .await;
    let lookup = pb::BatchLookupCustomersRequest {
        keys: vec![by_email(EMAIL)],
    };
    driver.done("BatchLookupCustomers", &lookup).await;

    let list = pb::ListCustomersRequest {
        filter: format!("email = \"{EMAIL}\" OR company = \"Zebra Ltd\""),
        query: "zebrina".into(),
        ..Default::default()
    };
    driver.done("ListCustomers", &list).await;
    for filter in ["email = zebra quagga", "zebra = 1", "email = \"zebra"] {
        let list = pb::ListCustomersRequest {
            filter: filter.into(),
            ..Default::default()
        };
        driver
            .refused("ListCustomers", ErrorReason::InvalidFilter, &list)
            .await;
    }
    let list = pb::ListCustomersRequest {
        page_token: "zebra".into(),
        ..Default::default()
    };
    driver
        .refused("ListCustomers", ErrorReason::InvalidPageToken, &list)
        .await;

    let watch = pb::WatchCustomersRequest {
        filter: format!("email = \"{EMAIL}\""),
        ..Default::default()
    };
    let mut stream = driver.open("WatchCustomers", &watch).await;
    let token = loop {
        let message = next(&mut stream)
            .await
            .unwrap()
            .expect("the watch stays open");
        let received = Received::of(message);
        if !received.token.is_empty() {
            break received.token;
        }
    };
    driver.secrets.push(token);
    drop(stream);
    // The time at which the server notices the closed stream is unknown, so the log is not searched for
    // this call.
    driver.calls.pop();
}

async fn sign_ins(driver: &mut Driver) {
    let verify = |email: &str, password: &str| pb::VerifyPasswordRequest {
        email: email.into(),
        password: password.into(),
    };
    driver
        .done("VerifyPassword", &verify(EMAIL, PASSWORD))
        .await;
    for (email, password) in [
        (EMAIL, "wrong-horse-battery"),
        ("no.zebra@example.test", PASSWORD),
        ("zebra", PASSWORD),
    ] {
        driver
            .refused(
                "VerifyPassword",
                ErrorReason::WrongCredentials,
                &verify(email, password),
            )
            .await;
    }
}

async fn addresses(driver: &mut Driver, customer: &str) {
    let create = pb::CreateAddressRequest {
        customer: customer.to_owned(),
        address: Some(address()),
        ..Default::default()
    };
    let made = driver.done("CreateAddress", &create).await;
    let wrong = pb::Address {
        country_code: "Zebraland".into(),
        ..address()
    };
    driver
        .refused(
            "CreateAddress",
            ErrorReason::InvalidField,
            &pb::CreateAddressRequest {
                address: Some(wrong),
                ..create
            },
        )
        .await;
    let update = pb::UpdateAddressRequest {
        address: Some(pb::Address {
            name: text(&made, "name"),
            city: "Zebraton".into(),
            ..Default::default()
        }),
        update_mask: mask(&["city"]),
        ..Default::default()
    };
    driver.done("UpdateAddress", &update).await;
    let list = pb::ListAddressesRequest {
        customer: customer.to_owned(),
        ..Default::default()
    };
    driver.done("ListAddresses", &list).await;
    let delete = pb::DeleteAddressRequest {
        name: text(&made, "name"),
        ..Default::default()
    };
    driver.done("DeleteAddress", &delete).await;

    let title = pb::Title {
        display_names: [("en".to_owned(), "Zebra".to_owned())].into(),
        ..Default::default()
    };
    let create = pb::CreateTitleRequest {
        title: Some(title),
        ..Default::default()
    };
    let title = driver.done("CreateTitle", &create).await;
    let delete = pb::DeleteTitleRequest {
        name: text(&title, "name"),
        ..Default::default()
    };
    driver.done("DeleteTitle", &delete).await;
}
