use std::collections::BTreeSet;

use super::*;
use crate::{limits::FIELDS, proto::pb};

#[test]
fn every_rpc_says_who_may_call_it() {
    let services = POOL
        .services()
        .filter(|service| service.package_name() == PACKAGE);
    let expected: usize = services.map(|service| service.methods().len()).sum();

    assert_eq!(TABLES.methods().count(), expected);
    for method in TABLES.methods() {
        assert!(!method.roles.is_empty(), "{} grants nobody", method.path);
    }
    let add = TABLES.method("/clientela.v1.CartService/AddItem").unwrap();
    assert!(add.roles.has(pb::Role::Storefront) && !add.roles.has(pb::Role::Monitor));
    assert!(!add.reads_only && !add.streams);
}

#[test]
fn the_comments_say_how_fields_behave() {
    let field = |message, name| {
        let message = TABLES.message(TABLES.find(message).unwrap());
        message.named(name).unwrap()
    };

    assert!(field("Customer", "age").output_only);
    assert!(field("Customer", "create_time").output_only);
    assert!(field("Customer", "password").input_only);
    assert!(field("VerifyPasswordRequest", "password").input_only);
    assert!(field("Customer", "name").immutable);
    assert!(!field("Customer", "etag").output_only);
    let group = TABLES.message(TABLES.find("CreateGroupRequest").unwrap());
    let required = group.fields().filter(|field| field.required);
    let required: Vec<&str> = required.map(|field| field.name.as_str()).collect();
    assert_eq!(required, ["group"]);
    assert_eq!(field("Customer", "birthDate").name, "birth_date");
}

#[test]
fn narrowed_fields_are_found_however_deep() {
    let narrowed = |message, role| {
        let message = TABLES.message(TABLES.find(message).unwrap());
        message.is_narrowed_for(Roles::of(role))
    };

    for message in [
        "Customer",
        "ListCustomersResponse",
        "WatchCustomersResponse",
        "Member",
    ] {
        assert!(narrowed(message, pb::Role::Storefront), "{message}");
        assert!(narrowed(message, pb::Role::Monitor), "{message}");
        assert!(!narrowed(message, pb::Role::Support), "{message}");
    }
    assert!(narrowed("WatchCartsResponse", pb::Role::Storefront));
    assert!(!narrowed("WatchCartsResponse", pb::Role::Monitor));
    assert!(!narrowed("Address", pb::Role::Storefront));
    let customer = TABLES.message(TABLES.find("Customer").unwrap());
    let both = Roles::of(pb::Role::Storefront).with(Roles::of(pb::Role::Support));
    assert!(!customer.is_narrowed_for(both));
}

#[test]
fn a_seventh_role_sees_the_fields_of_everybody() {
    let seventh = Roles::UNKNOWN;
    assert!(!seventh.intersects(Roles::ALL));
    let message = |name| TABLES.message(TABLES.find(name).unwrap());

    assert!(!message("Address").is_narrowed_for(seventh));
    assert!(message("Customer").is_narrowed_for(seventh));
    let both = seventh.with(Roles::of(pb::Role::Support));
    assert!(!message("Customer").is_narrowed_for(both));
    let wide = Message {
        name: String::new(),
        known: None,
        oneofs: Vec::new(),
        fields: Vec::new(),
        narrowed: vec![seventh],
    };
    assert!(!wide.is_narrowed_for(seventh));
    assert!(wide.is_narrowed_for(Roles::ALL));
}

/// Every field of a request whose value matters, for example `Customer.email`.
fn reachable() -> Vec<(&'static Message, &'static Field)> {
    let mut found = Vec::new();
    let mut open: Vec<MessageId> = TABLES.methods().map(|method| method.request).collect();
    let mut seen = Vec::new();
    while let Some(id) = open.pop() {
        let message = TABLES.message(id);
        if seen.contains(&id) || message.known.is_some() {
            continue;
        }
        seen.push(id);
        for field in message.fields().filter(|field| !field.output_only) {
            found.push((message, field));
            match (&field.kind, field.shape) {
                (_, Shape::Map) => {}
                (Kind::Message(nested), _) => open.push(*nested),
                _ => {}
            }
        }
    }
    found
}

fn needs_rule(field: &Field) -> bool {
    match (&field.kind, field.shape) {
        (Kind::Message(id), Shape::One) => TABLES.message(*id).known == Some(Known::Struct),
        (Kind::Bool | Kind::Enum(_), Shape::One) => false,
        _ => true,
    }
}

#[test]
fn every_field_of_every_request_has_a_rule_and_no_other_has() {
    let mut used = BTreeSet::new();

    for (message, field) in reachable() {
        let path = format!("{}.{}", message.name, field.name);
        assert!(
            field.rule.is_some() || !needs_rule(field),
            "{path} has no rule"
        );
        if field.rule.is_some() {
            let listed = FIELDS.iter().any(|(entry, _)| *entry == path);
            used.insert(if listed {
                path
            } else {
                format!("*.{}", field.name)
            });
        }
    }

    for (entry, _) in FIELDS {
        assert!(used.contains(*entry), "{entry} is a rule of no field");
    }
}

#[test]
fn rules_fit_the_kinds_of_their_fields() {
    for (message, field) in reachable() {
        let path = format!("{}.{}", message.name, field.name);
        let Some(rule) = field.rule else { continue };
        let fits = match (rule, field.shape, &field.kind) {
            (Rule::Int(..), Shape::One, Kind::Int32 | Kind::Int64) => true,
            (Rule::Messages(_), Shape::List, Kind::Message(_)) => true,
            (Rule::Values(_), Shape::List, Kind::Enum(_)) => true,
            (Rule::List(..), Shape::List, Kind::Text) => true,
            (Rule::Map(..), Shape::Map, Kind::Message(_)) => true,
            (Rule::Price | Rule::Paid | Rule::PaidOrTaken, Shape::One, Kind::Message(id)) => {
                TABLES.message(*id).name == "Money"
            }
            (Rule::Attributes(_), Shape::One, Kind::Message(id)) => {
                TABLES.message(*id).known == Some(Known::Struct)
            }
            (_, Shape::One, Kind::Text) => true,
            _ => false,
        };
        assert!(fits, "{path}: {rule:?} does not fit");
    }
}

/// Fields for people, fields that identify something, and amounts that are paid. The tests of the limits
/// would not notice a looser rule, because they send the values that the table allows.
const STRICT: &[(&str, &[&str])] = &[
    (
        "Key",
        &[
            "Address.tax_id",
            "Address.vat_number",
            "Customer.accounting_number",
            "Customer.activity_code",
            "Customer.registration_number",
            "Customer.vat_number",
            "ExternalId.id",
            "ItemInput.category_ids",
            "ItemInput.product",
            "ItemInput.variant",
            "OrderCartRequest.order_reference",
            "UpdateItemPricesRequest.ProductPrice.product",
            "UpdateItemPricesRequest.ProductPrice.variant",
        ],
    ),
    (
        "Token",
        &[
            "CartOwner.visitor",
            "CreateCustomerRequest.visitor",
            "RecoverCartRequest.token",
            "RecoverCartRequest.visitor",
        ],
    ),
    (
        "Label",
        &[
            "ApiKey.display_name",
            "Cart.display_name",
            "Group.display_names",
            "ItemInput.display_name",
            "Shop.display_name",
            "Title.display_names",
        ],
    ),
    (
        "Number",
        &["Cart.number", "Customer.number", "CustomerKey.number"],
    ),
    (
        "Id",
        &[
            "Adjustment.kind",
            "CartOwner.slot",
            "Charge.kind",
            "CreateAddressRequest.address_id",
            "CreateCartRequest.cart_id",
            "CreateCustomerRequest.customer_id",
            "CreateGroupRequest.group_id",
            "CreateShopRequest.shop_id",
            "CreateTitleRequest.title_id",
            "ExternalId.system",
        ],
    ),
    ("Paid", &["Charge.amount"]),
    ("PaidOrTaken", &["Adjustment.amount"]),
    (
        "Price",
        &[
            "Customer.credit_limit",
            "ItemPrice.list_price",
            "PriceOverride.amount",
            "Reduction.amount",
        ],
    ),
];

/// The name of the rule of a field's values.
fn strict(rule: &Rule) -> &'static str {
    match rule {
        Rule::Key(_) => "Key",
        Rule::Token(..) => "Token",
        Rule::Label(_) => "Label",
        Rule::Number => "Number",
        Rule::Id => "Id",
        Rule::Paid => "Paid",
        Rule::PaidOrTaken => "PaidOrTaken",
        Rule::Price => "Price",
        Rule::List(_, values) | Rule::Map(_, _, values) => strict(values),
        _ => "a looser rule",
    }
}

#[test]
fn identifiers_and_amounts_keep_their_rules() {
    let rule = |path: &str| {
        let (message, field) = path.rsplit_once('.').unwrap();
        let id = TABLES.find(message);
        let message = TABLES.message(id.unwrap_or_else(|| panic!("there is no {message}")));
        message.named(field).unwrap().rule
    };

    let mut wrong = Vec::new();
    for (wanted, fields) in STRICT {
        for path in *fields {
            let found = rule(path);
            if found.as_ref().map(strict) != Some(wanted) {
                wrong.push(format!("{path} is to have {wanted}, and has {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_comments_of_the_contract_name_the_same_limits() {
    let comment = |path: &str| {
        let descriptor = POOL.all_messages().find_map(|message| {
            let fields: Vec<_> = message.fields().collect();
            fields
                .into_iter()
                .find(|field| field.full_name() == format!("{PACKAGE}.{path}"))
        });
        Comments::default().of(&descriptor.unwrap())
    };

    let mut wrong = Vec::new();
    for (path, rule) in FIELDS.iter().filter(|(path, _)| !path.starts_with("*.")) {
        let said = comment(path).replace([',', '\n'], "").replace("  ", " ");
        let limits: Vec<usize> = match *rule {
            Rule::Text(max)
            | Rule::Lines(max)
            | Rule::Label(max)
            | Rule::Key(max)
            | Rule::Url(max) => vec![max],
            Rule::Password(_, max) => vec![max],
            Rule::Token(min, max) if min > 1 => vec![min, max],
            Rule::Int(min, max) if min > 0 => vec![1, usize::try_from(max).unwrap()],
            Rule::List(max, _) | Rule::Messages(max) => vec![max],
            Rule::Map(max, _, _) => vec![max],
            Rule::Attributes(bytes) => vec![bytes / 1024],
            _ => continue,
        };
        for limit in limits {
            let named = said
                .split(|c: char| !c.is_ascii_digit())
                .any(|n| n == limit.to_string());
            if !named {
                wrong.push(format!(
                    "{path}: the contract says {said:?}, the table {rule:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
