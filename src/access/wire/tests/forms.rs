use super::*;

fn add_item() -> pb::AddItemRequest {
    let owner = pb::CartOwner {
        owner: Some(pb::cart_owner::Owner::Visitor(
            "a visitor's token".to_owned(),
        )),
        slot: String::new(),
    };
    let price = pb::ItemPrice {
        list_price: Some(pb::Money {
            currency_code: "EUR".to_owned(),
            micros: 1_000_000,
        }),
        tax_rate: "20".to_owned(),
        ..pb::ItemPrice::default()
    };
    let item = pb::ItemInput {
        product: "mug".to_owned(),
        price: Some(price),
        quantity: 1,
        ..pb::ItemInput::default()
    };
    pb::AddItemRequest {
        target: Some(pb::CartTarget {
            target: Some(pb::cart_target::Target::Owner(owner)),
        }),
        item: Some(item),
        request_id: "1".to_owned(),
        ..pb::AddItemRequest::default()
    }
}

fn update(customer: pb::Customer, paths: &[&str]) -> pb::UpdateCustomerRequest {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    pb::UpdateCustomerRequest {
        customer: Some(customer),
        update_mask: (!paths.is_empty()).then_some(FieldMask { paths }),
        ..pb::UpdateCustomerRequest::default()
    }
}

#[test]
fn a_good_request_passes() {
    assert_eq!(broken(method("AddItem"), &add_item()), []);
}

#[test]
fn all_violations_are_named_with_their_paths() {
    let mut request = add_item();
    let item = request.item.as_mut().unwrap();
    item.quantity = 0;
    item.product = String::new();
    item.display_name = "a\u{7}b".to_owned();
    item.category_ids = vec!["a".to_owned(), String::new()];
    let price = item.price.as_mut().unwrap();
    price.list_price.as_mut().unwrap().micros = -1;
    price.tax_rate = "100.1".to_owned();
    price.reduction = Some(pb::Reduction::default());

    let found = broken(method("AddItem"), &request);

    let expected = pairs(&[
        ("item.display_name", "CONTROL_CHARACTER"),
        ("item.category_ids[1]", "REQUIRED"),
        ("item.price.list_price", "OUT_OF_RANGE"),
        ("item.price.tax_rate", "OUT_OF_RANGE"),
        ("item.price.reduction", "REQUIRED"),
        ("item.product", "REQUIRED"),
        ("item.quantity", "OUT_OF_RANGE"),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn an_empty_choice_is_required() {
    let mut request = add_item();
    request.target = Some(pb::CartTarget { target: None });
    assert_eq!(
        broken(method("AddItem"), &request),
        pairs(&[("target", "REQUIRED")])
    );

    let empty = pb::cart_target::Target::Cart(String::new());
    request.target = Some(pb::CartTarget {
        target: Some(empty),
    });
    assert_eq!(
        broken(method("AddItem"), &request),
        pairs(&[("target.cart", "REQUIRED")])
    );
}

#[test]
fn answers_name_no_more_violations_than_fit() {
    let names = vec!["no name".to_owned(); 1_000];
    let request = pb::BatchGetCustomersRequest { names };

    let found = broken(method("BatchGetCustomers"), &request);

    assert_eq!(found.len(), limits::VIOLATIONS_MAX);
    assert_eq!(found[31].0, "names[31]");
}

#[test]
fn bytes_that_are_no_message_are_malformed() {
    let good = add_item().encode_to_vec();
    let method = method("AddItem");
    let twice = [good.as_slice(), good.as_slice()].concat();
    let cases: [(&str, &[u8]); 8] = [
        ("cut short", &good[..good.len() - 1]),
        ("a message twice", &twice),
        ("a number instead of a message", &[0x08, 1]),
        ("text that is none", &[0x2a, 2, 0xc3, 0x28]),
        ("the field zero", &[0x00, 1]),
        ("a group", &[0x0b, 0x0c]),
        (
            "a length beyond the end",
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ),
        ("a number that never ends", &[0x80; 11]),
    ];

    for (what, bytes) in cases {
        let status = refusal(method, bytes, Roles::ALL);
        assert_eq!(status.code(), Code::InvalidArgument, "{what}");
        assert_eq!(reason(&status), "MALFORMED_REQUEST", "{what}");
    }
}

#[test]
fn a_message_that_passes_can_be_decoded() {
    // Every truncated or bit-flipped request is either refused or can be decoded.
    let mut request = add_item();
    let attribute = prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue("for Ada".to_owned())),
    };
    request.item.as_mut().unwrap().attributes = Some(prost_types::Struct {
        fields: [("engraving".to_owned(), attribute)].into(),
    });
    let good = request.encode_to_vec();

    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if check(method("AddItem"), &bytes, Roles::ALL).is_ok() {
            assert!(
                pb::AddItemRequest::decode(bytes.as_slice()).is_ok(),
                "bit {bit}"
            );
        }
    }
    for length in 0..good.len() {
        if check(method("AddItem"), &good[..length], Roles::ALL).is_ok() {
            assert!(
                pb::AddItemRequest::decode(&good[..length]).is_ok(),
                "length {length}"
            );
        }
    }
}

#[test]
fn unknown_fields_are_passed_over() {
    let mut bytes = add_item().encode_to_vec();
    bytes.extend([0xfa, 0x3f, 3, b'n', b'e', b'w']);

    assert!(check(method("AddItem"), &bytes, Roles::ALL).is_ok());
}

#[test]
fn unknown_enum_values_are_refused() {
    let mut request = update(
        pb::Customer {
            risk: 99,
            ..pb::Customer::default()
        },
        &[],
    );
    let found = broken(method("UpdateCustomer"), &request);
    assert_eq!(found, pairs(&[("customer.risk", "UNKNOWN_VALUE")]));

    request.customer.as_mut().unwrap().risk = pb::customer::Risk::High.into();
    assert_eq!(broken(method("UpdateCustomer"), &request), []);

    let key = pb::ApiKey {
        roles: vec![2, 0, 77],
        ..pb::ApiKey::default()
    };
    let request = pb::CreateApiKeyRequest {
        api_key: Some(key),
        request_id: String::new(),
    };
    let expected = pairs(&[
        ("api_key.roles[1]", "UNKNOWN_VALUE"),
        ("api_key.roles[2]", "UNKNOWN_VALUE"),
    ]);
    assert_eq!(broken(method("CreateApiKey"), &request), expected);
}

#[test]
fn output_only_fields_are_ignored() {
    let customer = pb::Customer {
        first_name: "Ada".to_owned(),
        age: Some(-3),
        create_time: Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: -1,
        }),
        ..pb::Customer::default()
    };

    assert_eq!(
        broken(
            method("UpdateCustomer"),
            &update(customer, &["age", "createTime"])
        ),
        []
    );
}

#[test]
fn the_name_of_a_new_resource_is_ignored() {
    let customer = pb::Customer {
        name: "not a name".to_owned(),
        ..pb::Customer::default()
    };
    let create = pb::CreateCustomerRequest {
        customer: Some(customer.clone()),
        ..pb::CreateCustomerRequest::default()
    };

    assert_eq!(broken(method("CreateCustomer"), &create), []);
    let found = broken(method("UpdateCustomer"), &update(customer, &[]));
    assert_eq!(found, pairs(&[("customer.name", "MALFORMED")]));
}

#[test]
fn masks_take_both_spellings_and_no_unknown_field() {
    let request = update(pb::Customer::default(), &["first_name", "lastName", "*"]);
    assert_eq!(broken(method("UpdateCustomer"), &request), []);

    let request = update(
        pb::Customer::default(),
        &["frist_name", "newsletter.source", ""],
    );
    let status = refusal(
        method("UpdateCustomer"),
        &request.encode_to_vec(),
        Roles::ALL,
    );
    let found = violations(&status);
    assert_eq!(found.len(), 3);
    assert!(
        found
            .iter()
            .all(|violation| violation.field == "update_mask")
    );
    assert!(
        found
            .iter()
            .all(|violation| violation.reason == "UNKNOWN_FIELD")
    );
    assert_eq!(
        found[0].description,
        "`frist_name` is not a field of Customer"
    );
    assert_eq!(
        found[1].description,
        "`newsletter.source`: only whole fields can be named, as `newsletter`"
    );
}

#[test]
fn a_refusal_names_the_field_that_a_role_may_not_set() {
    let storefront = Roles::of(pb::Role::Storefront);
    let method = method("UpdateCustomer");
    let set = update(
        pb::Customer {
            tax_exempt: true,
            ..pb::Customer::default()
        },
        &[],
    );
    let named = update(pb::Customer::default(), &["taxExempt"]);
    let all = update(pb::Customer::default(), &["*"]).encode_to_vec();
    let status = refusal(method, &all, storefront);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["field"], "customer.account_type");
    let unset = update(
        pb::Customer {
            phone: "1".to_owned(),
            ..pb::Customer::default()
        },
        &[],
    );

    for request in [&set, &named] {
        let bytes = request.encode_to_vec();
        let status = refusal(method, &bytes, storefront);
        assert_eq!(status.code(), Code::PermissionDenied);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "FIELD_NOT_WRITABLE");
        assert_eq!(info.metadata["field"], "customer.tax_exempt");
        assert_eq!(
            info.metadata["allowed"],
            "ROLE_OPERATOR, ROLE_ADMIN, ROLE_SUPPORT, ROLE_INGEST"
        );
        assert!(
            check(
                method,
                &bytes,
                storefront.with(Roles::of(pb::Role::Support))
            )
            .is_ok()
        );
    }
    assert!(check(method, &unset.encode_to_vec(), storefront).is_ok());
}

#[test]
fn attributes_accept_the_values_of_json() {
    let nested = |depth: usize| {
        let mut value = prost_types::Value {
            kind: Some(prost_types::value::Kind::BoolValue(true)),
        };
        for _ in 1..depth {
            let list = prost_types::ListValue {
                values: vec![value],
            };
            value = prost_types::Value {
                kind: Some(prost_types::value::Kind::ListValue(list)),
            };
        }
        value
    };
    let request = |value: prost_types::Value| {
        let mut request = add_item();
        request.item.as_mut().unwrap().attributes = Some(prost_types::Struct {
            fields: [("key".to_owned(), value)].into(),
        });
        request
    };
    let number = |number| prost_types::Value {
        kind: Some(prost_types::value::Kind::NumberValue(number)),
    };
    let text = |text: &str| prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue(text.to_owned())),
    };
    let method = method("AddItem");
    let path = "item.attributes";

    assert_eq!(
        broken(method, &request(nested(limits::ATTRIBUTE_NESTING_MAX))),
        []
    );
    assert_eq!(
        broken(method, &request(nested(limits::ATTRIBUTE_NESTING_MAX + 1))),
        pairs(&[(path, "TOO_DEEP")])
    );
    assert_eq!(
        broken(method, &request(number(f64::NAN))),
        pairs(&[(path, "OUT_OF_RANGE")])
    );
    assert_eq!(
        broken(method, &request(text("a\0"))),
        pairs(&[(path, "CONTROL_CHARACTER")])
    );
    let nothing = prost_types::Value { kind: None };
    assert_eq!(
        broken(method, &request(nothing)),
        pairs(&[(path, "MALFORMED")])
    );
}

#[test]
fn times_and_spans_are_within_their_range() {
    let consent = |seconds, nanos| pb::Customer {
        newsletter: Some(pb::Consent {
            time: Some(prost_types::Timestamp { seconds, nanos }),
            ..pb::Consent::default()
        }),
        ..pb::Customer::default()
    };
    let refused = pairs(&[("customer.newsletter.time", "OUT_OF_RANGE")]);
    let update_customer = method("UpdateCustomer");

    assert_eq!(
        broken(
            update_customer,
            &update(consent(253_402_300_799, 999_999_999), &[])
        ),
        []
    );
    assert_eq!(
        broken(update_customer, &update(consent(253_402_300_800, 0), &[])),
        refused
    );
    assert_eq!(
        broken(update_customer, &update(consent(0, -1), &[])),
        refused
    );

    let watch = |seconds, nanos| pb::WatchCustomersRequest {
        options: Some(pb::WatchOptions {
            heartbeat_interval: Some(prost_types::Duration { seconds, nanos }),
            ..pb::WatchOptions::default()
        }),
        ..pb::WatchCustomersRequest::default()
    };
    let refused = pairs(&[("options.heartbeat_interval", "OUT_OF_RANGE")]);
    assert_eq!(broken(method("WatchCustomers"), &watch(-3, -1)), []);
    assert_eq!(broken(method("WatchCustomers"), &watch(3, -1)), refused);
}

#[test]
fn entries_of_maps_are_named_by_their_key() {
    let display_names = [
        ("fr".to_owned(), "x".repeat(65)),
        ("de".to_owned(), "x".repeat(64)),
        ("not a language".to_owned(), "x".to_owned()),
    ];
    let group = pb::Group {
        display_names: display_names.into(),
        ..pb::Group::default()
    };
    let request = pb::CreateGroupRequest {
        group: Some(group),
        ..pb::CreateGroupRequest::default()
    };

    let mut found = broken(method("CreateGroup"), &request);

    found.sort();
    let expected = pairs(&[
        ("group.display_names", "MALFORMED"),
        ("group.display_names[\"fr\"]", "TOO_LONG"),
    ]);
    assert_eq!(found, expected);
}
