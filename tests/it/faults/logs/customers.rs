//! Every call about customers, well and ill.

use clientela::proto::pb::customer_service_client::CustomerServiceClient;
use clientela::proto::pb::{self, ErrorReason};
use prost_types::FieldMask;

use super::Driver;
use super::plain::{EMAIL, PASSWORD, VISITOR, address, customer};

fn service(method: &str) -> String {
    format!("CustomerService/{method}")
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    Some(FieldMask { paths })
}

fn by_email(email: &str) -> pb::CustomerKey {
    let key = pb::customer_key::Key::Email(email.into());
    pb::CustomerKey { key: Some(key) }
}

pub async fn drive(driver: &mut Driver) {
    let mut client =
        CustomerServiceClient::with_interceptor(driver.channel.clone(), driver.key.clone());
    let client = &mut client;
    let name = creations(driver, client).await;
    readings(driver, client, &name).await;
    sign_ins(driver, client).await;
    addresses(driver, client, &name).await;

    let update = pb::UpdateCustomerRequest {
        customer: Some(pb::Customer {
            name: name.clone(),
            last_name: "Quaggadottir".into(),
            ..Default::default()
        }),
        update_mask: mask(&["last_name"]),
        ..Default::default()
    };
    let call = client.update_customer(update.clone());
    driver.call(&service("UpdateCustomer"), call).await.unwrap();
    let stale = pb::UpdateCustomerRequest {
        customer: update.customer.map(|customer| pb::Customer {
            etag: "\"zebra\"".into(),
            ..customer
        }),
        ..update
    };
    let call = client.update_customer(stale);
    driver
        .refused(&service("UpdateCustomer"), ErrorReason::EtagMismatch, call)
        .await;

    let delete = pb::DeleteCustomerRequest {
        name: name.clone(),
        ..Default::default()
    };
    let call = client.delete_customer(delete);
    driver.call(&service("DeleteCustomer"), call).await.unwrap();
    let undelete = pb::UndeleteCustomerRequest {
        name,
        ..Default::default()
    };
    let call = client.undelete_customer(undelete.clone());
    driver
        .call(&service("UndeleteCustomer"), call)
        .await
        .unwrap();
    let call = client.undelete_customer(undelete);
    driver
        .refused(
            &service("UndeleteCustomer"),
            ErrorReason::CustomerNotDeleted,
            call,
        )
        .await;
}

async fn creations(
    driver: &mut Driver,
    client: &mut CustomerServiceClient<crate::harness::Transport>,
) -> String {
    let create = pb::CreateCustomerRequest {
        customer: Some(customer()),
        addresses: vec![address()],
        visitor: VISITOR.into(),
        request_id: "the first".into(),
        ..Default::default()
    };
    let method = service("CreateCustomer");
    let made = driver
        .call(&method, client.create_customer(create.clone()))
        .await
        .unwrap();
    driver
        .call(&method, client.create_customer(create.clone()))
        .await
        .unwrap();
    let other = pb::CreateCustomerRequest {
        addresses: vec![],
        ..create.clone()
    };
    driver
        .refused(
            &method,
            ErrorReason::RequestIdReused,
            client.create_customer(other),
        )
        .await;
    let twin = pb::CreateCustomerRequest {
        request_id: String::new(),
        ..create.clone()
    };
    driver
        .refused(
            &method,
            ErrorReason::EmailTaken,
            client.create_customer(twin),
        )
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
            .refused(
                &method,
                ErrorReason::InvalidField,
                client.create_customer(request),
            )
            .await;
    }
    made.name
}

async fn readings(
    driver: &mut Driver,
    client: &mut CustomerServiceClient<crate::harness::Transport>,
    name: &str,
) {
    let get = pb::GetCustomerRequest {
        name: name.to_owned(),
    };
    driver
        .call(&service("GetCustomer"), client.get_customer(get))
        .await
        .unwrap();
    let get = pb::GetCustomerRequest {
        name: "customers/zebra".into(),
    };
    let call = client.get_customer(get);
    driver
        .refused(&service("GetCustomer"), ErrorReason::NotFound, call)
        .await;
    let lookup = pb::LookupCustomerRequest {
        key: Some(by_email(EMAIL)),
    };
    driver
        .call(&service("LookupCustomer"), client.lookup_customer(lookup))
        .await
        .unwrap();
    let lookup = pb::LookupCustomerRequest {
        key: Some(by_email("no.zebra@example.test")),
    };
    let call = client.lookup_customer(lookup);
    driver
        .refused(&service("LookupCustomer"), ErrorReason::NotFound, call)
        .await;
    let lookup = pb::BatchLookupCustomersRequest {
        keys: vec![by_email(EMAIL)],
    };
    let call = client.batch_lookup_customers(lookup);
    driver
        .call(&service("BatchLookupCustomers"), call)
        .await
        .unwrap();

    let list = pb::ListCustomersRequest {
        filter: format!("email = \"{EMAIL}\" OR company = \"Zebra Ltd\""),
        query: "zebrina".into(),
        ..Default::default()
    };
    driver
        .call(&service("ListCustomers"), client.list_customers(list))
        .await
        .unwrap();
    for filter in ["email = zebra quagga", "zebra = 1", "email = \"zebra"] {
        let list = pb::ListCustomersRequest {
            filter: filter.into(),
            ..Default::default()
        };
        let call = client.list_customers(list);
        driver
            .refused(&service("ListCustomers"), ErrorReason::InvalidFilter, call)
            .await;
    }
    let list = pb::ListCustomersRequest {
        page_token: "zebra".into(),
        ..Default::default()
    };
    let call = client.list_customers(list);
    driver
        .refused(
            &service("ListCustomers"),
            ErrorReason::InvalidPageToken,
            call,
        )
        .await;

    let watch = pb::WatchCustomersRequest {
        filter: format!("email = \"{EMAIL}\""),
        ..Default::default()
    };
    let call = client.watch_customers(watch);
    let mut stream = driver.call(&service("WatchCustomers"), call).await.unwrap();
    let token = loop {
        let message = stream.message().await.unwrap().expect("a watch goes on");
        if !message.resume_token.is_empty() {
            break message.resume_token;
        }
    };
    driver.secrets.push(token);
    drop(stream);
    // It is not known here when the server notices; the call as such is not looked for in the log.
    driver.calls.pop();
}

async fn sign_ins(
    driver: &mut Driver,
    client: &mut CustomerServiceClient<crate::harness::Transport>,
) {
    let method = service("VerifyPassword");
    let verify = |email: &str, password: &str| pb::VerifyPasswordRequest {
        email: email.into(),
        password: password.into(),
    };
    let call = client.verify_password(verify(EMAIL, PASSWORD));
    driver.call(&method, call).await.unwrap();
    for (email, password) in [
        (EMAIL, "wrong-horse-battery"),
        ("no.zebra@example.test", PASSWORD),
        ("zebra", PASSWORD),
    ] {
        let call = client.verify_password(verify(email, password));
        driver
            .refused(&method, ErrorReason::WrongCredentials, call)
            .await;
    }
}

async fn addresses(
    driver: &mut Driver,
    client: &mut CustomerServiceClient<crate::harness::Transport>,
    customer: &str,
) {
    let create = pb::CreateAddressRequest {
        customer: customer.to_owned(),
        address: Some(address()),
        ..Default::default()
    };
    let call = client.create_address(create.clone());
    let made = driver.call(&service("CreateAddress"), call).await.unwrap();
    let wrong = pb::Address {
        country_code: "Zebraland".into(),
        ..address()
    };
    let call = client.create_address(pb::CreateAddressRequest {
        address: Some(wrong),
        ..create
    });
    driver
        .refused(&service("CreateAddress"), ErrorReason::InvalidField, call)
        .await;
    let update = pb::UpdateAddressRequest {
        address: Some(pb::Address {
            name: made.name.clone(),
            city: "Zebraton".into(),
            ..Default::default()
        }),
        update_mask: mask(&["city"]),
        ..Default::default()
    };
    driver
        .call(&service("UpdateAddress"), client.update_address(update))
        .await
        .unwrap();
    let list = pb::ListAddressesRequest {
        customer: customer.to_owned(),
        ..Default::default()
    };
    driver
        .call(&service("ListAddresses"), client.list_addresses(list))
        .await
        .unwrap();
    let delete = pb::DeleteAddressRequest {
        name: made.name,
        ..Default::default()
    };
    driver
        .call(&service("DeleteAddress"), client.delete_address(delete))
        .await
        .unwrap();

    let title = pb::Title {
        display_names: [("en".to_owned(), "Zebra".to_owned())].into(),
        ..Default::default()
    };
    let create = pb::CreateTitleRequest {
        title: Some(title),
        ..Default::default()
    };
    let title = driver
        .call(&service("CreateTitle"), client.create_title(create))
        .await
        .unwrap();
    let delete = pb::DeleteTitleRequest {
        name: title.name,
        ..Default::default()
    };
    driver
        .call(&service("DeleteTitle"), client.delete_title(delete))
        .await
        .unwrap();
}
