//! Tests invalid customers: every refusal names its field, and nothing changes.

use clientela::proto::pb::{self, ErrorReason, customer};
use tonic::Code;

use super::{create, get, person, try_create, update};
use crate::harness::{assert_refused, violations};
use crate::on_both_engines;

/// Returns customers with one fault, each with the field that the refusal must name.
fn faults() -> Vec<(&'static str, pb::Customer)> {
    let good = || person("Ada");
    vec![
        (
            "customer.email",
            pb::Customer {
                email: "ada".to_owned(),
                ..good()
            },
        ),
        (
            "customer.email",
            pb::Customer {
                email: "ada@localhost".to_owned(),
                ..good()
            },
        ),
        (
            "customer.first_name",
            pb::Customer {
                first_name: "A\0da".to_owned(),
                ..good()
            },
        ),
        (
            "customer.first_name",
            pb::Customer {
                first_name: "A\u{7}da".to_owned(),
                ..good()
            },
        ),
        (
            "customer.last_name",
            pb::Customer {
                last_name: "x".repeat(256),
                ..good()
            },
        ),
        (
            "customer.birth_date",
            pb::Customer {
                birth_date: "2023-02-29".to_owned(),
                ..good()
            },
        ),
        (
            "customer.birth_date",
            pb::Customer {
                birth_date: "29.2.2024".to_owned(),
                ..good()
            },
        ),
        (
            "customer.birth_date",
            pb::Customer {
                birth_date: "2999-01-01".to_owned(),
                ..good()
            },
        ),
        (
            "customer.language_code",
            pb::Customer {
                language_code: "french".repeat(9),
                ..good()
            },
        ),
        (
            "customer.storefront",
            pb::Customer {
                storefront: "Ü".to_owned(),
                ..good()
            },
        ),
        (
            "customer.number",
            pb::Customer {
                number: "C 1".to_owned(),
                ..good()
            },
        ),
        (
            "customer.website",
            pb::Customer {
                website: "ftp://example.test".to_owned(),
                ..good()
            },
        ),
        (
            "customer.payment_days",
            pb::Customer {
                payment_days: Some(-1),
                ..good()
            },
        ),
        (
            "customer.payment_days",
            pb::Customer {
                payment_days: Some(3_651),
                ..good()
            },
        ),
        (
            "customer.password",
            pb::Customer {
                password: Some("short".to_owned()),
                ..good()
            },
        ),
        (
            "customer.title",
            pb::Customer {
                title: "mr".to_owned(),
                ..good()
            },
        ),
        (
            "customer.title",
            pb::Customer {
                title: "titles/dr".to_owned(),
                ..good()
            },
        ),
        (
            "customer.groups[0]",
            pb::Customer {
                groups: vec!["vip".to_owned()],
                ..good()
            },
        ),
        (
            "customer.state",
            pb::Customer {
                state: 99,
                ..good()
            },
        ),
        (
            "customer.credit_limit.currency_code",
            pb::Customer {
                credit_limit: Some(pb::Money {
                    currency_code: "EURO".to_owned(),
                    micros: 1,
                }),
                ..good()
            },
        ),
        (
            "customer.external_ids[0].system",
            pb::Customer {
                external_ids: vec![pb::ExternalId {
                    id: "1".to_owned(),
                    ..Default::default()
                }],
                ..good()
            },
        ),
    ]
}

on_both_engines! {
    async fn each_fault_names_its_field(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        for (field, faulty) in faults() {
            let refused = try_create(&mut client, faulty.clone()).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
            let fields: Vec<String> =
                violations(&refused).into_iter().map(|(field, _)| field).collect();
            assert_eq!(fields, [field], "{faulty:?}");

            let faulty = pb::Customer { name: ada.name.clone(), ..faulty };
            let path = field.split(['.', '[']).nth(1).unwrap();
            let refused = update(&mut client, faulty, &[path]).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        }
        assert_eq!(get(&mut client, &ada.name).await, ada);
        let list = client.list_customers(pb::ListCustomersRequest::default()).await.unwrap();
        assert_eq!(list.into_inner().customers, [ada]);
    }

    async fn all_faults_of_a_request_are_named_at_once(shop: Shop) {
        let customer = pb::Customer {
            first_name: "x".repeat(256),
            email: "nobody".to_owned(),
            state: customer::State::Active as i32,
            payment_days: Some(-1),
            ..Default::default()
        };

        let refused = try_create(&mut shop.customers(), customer).await.unwrap_err();

        let mut fields: Vec<String> =
            violations(&refused).into_iter().map(|(field, _)| field).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["customer.email", "customer.first_name", "customer.payment_days"]);
    }

    async fn a_request_without_a_customer_is_refused(shop: Shop) {
        let mut client = shop.customers();

        let refused =
            client.create_customer(pb::CreateCustomerRequest::default()).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let refused =
            client.lookup_customer(pb::LookupCustomerRequest::default()).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
    }
}
