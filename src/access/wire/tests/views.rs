use super::*;

fn customer() -> pb::Customer {
    let money = pb::Money {
        currency_code: "EUR".to_owned(),
        micros: 5,
    };
    pb::Customer {
        name: "customers/ada".to_owned(),
        credit_limit: Some(money),
        payment_days: Some(0),
        risk: pb::customer::Risk::High.into(),
        birth_date: "1815-12-10".to_owned(),
        accounting_number: "4711".to_owned(),
        etag: "\"1\"".to_owned(),
        ..pb::Customer::default()
    }
}

fn message(name: &str) -> MessageId {
    TABLES.find(name).unwrap()
}

#[test]
fn a_view_lacks_exactly_what_the_role_may_not_see() {
    let bytes = customer().encode_to_vec();
    let seen = |role| {
        let narrowed = view(message("Customer"), &bytes, Roles::of(role)).unwrap();
        narrowed.map(|bytes| pb::Customer::decode(bytes.as_slice()).unwrap())
    };

    let expected = pb::Customer {
        risk: 0,
        accounting_number: String::new(),
        ..customer()
    };
    assert_eq!(seen(pb::Role::Storefront), Some(expected.clone()));
    let expected = pb::Customer {
        credit_limit: None,
        payment_days: None,
        ..expected
    };
    assert_eq!(seen(pb::Role::Monitor), Some(expected));
    assert_eq!(seen(pb::Role::Support), None);
    let both = Roles::of(pb::Role::Monitor).with(Roles::of(pb::Role::Ingest));
    assert_eq!(view(message("Customer"), &bytes, both), Ok(None));
}

#[test]
fn views_reach_into_lists_and_leave_the_rest_as_it_is() {
    let plain = pb::Customer {
        name: "customers/bob".to_owned(),
        ..pb::Customer::default()
    };
    let page = pb::ListCustomersResponse {
        customers: vec![plain.clone(), customer(), plain.clone()],
        next_page_token: "next".to_owned(),
        count: None,
    };
    let monitor = Roles::of(pb::Role::Monitor);

    let bytes = view(
        message("ListCustomersResponse"),
        &page.encode_to_vec(),
        monitor,
    )
    .unwrap()
    .unwrap();

    let seen = pb::ListCustomersResponse::decode(bytes.as_slice()).unwrap();
    assert_eq!(seen.customers.len(), 3);
    assert_eq!(seen.customers[0], plain);
    assert_eq!(seen.customers[1].accounting_number, "");
    assert_eq!(seen.customers[1].etag, "\"1\"");
    assert_eq!(seen.next_page_token, "next");
    let nothing = pb::ListCustomersResponse {
        customers: vec![plain],
        ..page
    };
    let unchanged = view(
        message("ListCustomersResponse"),
        &nothing.encode_to_vec(),
        monitor,
    );
    assert_eq!(unchanged, Ok(None));
}

#[test]
fn a_digest_differs_between_visitors_and_does_not_reveal_a_password() {
    let request = |password: Option<&str>, visitor: &str, id: &str, phone: &str| {
        let customer = pb::Customer {
            password: password.map(str::to_owned),
            phone: phone.to_owned(),
            ..customer()
        };
        let request = pb::CreateCustomerRequest {
            customer: Some(customer),
            visitor: visitor.to_owned(),
            request_id: id.to_owned(),
            ..pb::CreateCustomerRequest::default()
        };
        canonical(method("CreateCustomer"), &request.encode_to_vec()).unwrap()
    };
    let one = request(Some("correct horse"), "a visitor's token", "1", "1");

    let visitor = "a visitor's token";
    assert_eq!(one, request(Some("another horse"), visitor, "2", "1"));
    assert_ne!(one, request(None, visitor, "1", "1"));
    assert_ne!(
        one,
        request(Some("correct horse"), "another's token", "1", "1")
    );
    assert_ne!(one, request(Some("correct horse"), visitor, "1", "2"));
    assert!(!String::from_utf8_lossy(&one).contains("horse"));
}

#[test]
fn the_order_of_entries_and_fields_makes_no_other_digest() {
    let entry = |key: &[u8], value: &[u8]| [&[0x12, 8, 0x0a, 2], key, &[0x12, 2], value].concat();
    let request = |group: &[Vec<u8>], rest: &[u8]| {
        let group = group.concat();
        let length = u8::try_from(group.len()).unwrap();
        [&[0x0a, length], group.as_slice(), rest].concat()
    };
    let (french, german) = (entry(b"fr", b"le"), entry(b"de", b"la"));
    let state = vec![0x38, 1];
    let digest = |bytes: &[u8]| canonical(method("CreateGroup"), bytes).unwrap();
    let one = request(
        &[french.clone(), german.clone(), state.clone()],
        &[0x12, 1, b'a'],
    );
    let other = request(&[state, german.clone(), french.clone()], &[0x12, 1, b'a']);
    assert!(pb::CreateGroupRequest::decode(one.as_slice()).is_ok());

    assert_eq!(digest(&one), digest(&other));
    assert_ne!(
        digest(&one),
        digest(&request(&[french, german], &[0x12, 1, b'a']))
    );
}

#[test]
fn the_request_id_is_found_before_the_request_is_decoded() {
    let request = pb::DeleteCartRequest {
        request_id: "once".to_owned(),
        ..pb::DeleteCartRequest::default()
    };
    let bytes = request.encode_to_vec();

    assert_eq!(request_id(method("DeleteCart"), &bytes), Ok(Some("once")));
    assert_eq!(request_id(method("DeleteCart"), &[]), Ok(None));
    assert_eq!(request_id(method("GetCart"), &bytes), Ok(None));
}
