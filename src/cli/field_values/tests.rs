//! Tests of the conversion of arguments to messages.

use super::*;
use crate::proto::pb;

fn values(arguments: &[&str]) -> Vec<FieldValue> {
    arguments.iter().map(|text| text.parse().unwrap()).collect()
}

fn customer(arguments: &[&str]) -> (pb::Customer, Vec<String>) {
    let (customer, mask) = set(&pb::Customer::default(), &values(arguments)).unwrap();
    (customer, mask.paths)
}

fn refused(arguments: &[&str]) -> String {
    let refused = set(&pb::Customer::default(), &values(arguments));
    refused.unwrap_err().to_string()
}

#[test]
fn values_have_the_types_of_their_fields() {
    let (customer, paths) = customer(&[
        "first_name=Ada = Countess",
        "taxExempt=yes",
        "payment_days=30",
        "state=pending-approval",
        "risk=RISK_LOW",
        "credit_limit=1250.50 EUR",
        "newsletter.subscribed=true",
        "newsletter.time=2026-01-31T12:00:00Z",
        "attributes.size=5",
        "attributes.color=dark red",
        "external_ids=[{\"system\": \"erp\", \"id\": \"7\"}]",
    ]);

    assert_eq!(customer.first_name, "Ada = Countess");
    assert!(customer.tax_exempt);
    assert_eq!(customer.payment_days, Some(30));
    assert_eq!(customer.state(), pb::customer::State::PendingApproval);
    assert_eq!(customer.risk(), pb::customer::Risk::Low);
    let limit = customer.credit_limit.unwrap();
    assert_eq!(
        (limit.micros, &*limit.currency_code),
        (1_250_500_000, "EUR")
    );
    let newsletter = customer.newsletter.unwrap();
    assert!(newsletter.subscribed);
    assert_eq!(newsletter.time.unwrap().seconds, 1_769_860_800);
    let attributes = customer.attributes.unwrap().fields;
    let kind = |key: &str| attributes[key].kind.clone().unwrap();
    assert_eq!(kind("size"), prost_types::value::Kind::NumberValue(5.0));
    let color = prost_types::value::Kind::StringValue("dark red".to_owned());
    assert_eq!(kind("color"), color);
    assert_eq!(customer.external_ids[0].id, "7");
    assert_eq!(paths.iter().filter(|path| *path == "newsletter").count(), 1);
    assert_eq!(paths.iter().filter(|path| *path == "attributes").count(), 1);
}

#[test]
fn an_id_is_enough_where_a_name_is_wanted() {
    let (customer, _) = customer(&["default_group=trade", "groups=trade, groups/vip"]);

    assert_eq!(customer.default_group, "groups/trade");
    assert_eq!(customer.groups, ["groups/trade", "groups/vip"]);
}

#[test]
fn no_value_clears_a_field_or_an_entry() {
    let group = pb::Group {
        discount_percent: "10".to_owned(),
        display_names: [("en", "Trade"), ("fr", "Pro")]
            .map(|(language, name)| (language.to_owned(), name.to_owned()))
            .into(),
        ..pb::Group::default()
    };

    let cleared = values(&["discount_percent=", "display_names.fr="]);
    let (group, mask) = set(&group, &cleared).unwrap();

    assert_eq!(group.discount_percent, "");
    assert_eq!(group.display_names.len(), 1);
    assert_eq!(mask.paths, ["discount_percent", "display_names"]);
}

#[test]
fn a_refusal_says_what_to_write() {
    for (argument, expected) in [
        ("frist_name=Ada", "did you mean first_name?"),
        ("create_time=2026-01-31T12:00:00Z", "set by the server"),
        ("etag=x", "set by the server"),
        ("password=secret", "--password-stdin"),
        (
            "state=asleep",
            "active, disabled, pending-approval, invited",
        ),
        ("tax_exempt=maybe", "true or false"),
        ("payment_days=soon", "a whole number, 0 to 3650"),
        ("credit_limit=100", "\"100.00 EUR\""),
        ("newsletter.time=today", "2026-12-31T18:00:00Z"),
        ("external_ids=erp:7", "write JSON"),
        ("first_name.x=Ada", "has no parts"),
        ("groups.x=trade", "has no parts"),
    ] {
        let refused = refused(&[argument]);
        let field = argument.split('=').next().unwrap();
        assert!(refused.starts_with(field), "{refused}");
        assert!(refused.contains(expected), "{argument}: {refused}");
    }
    assert!(
        "phone"
            .parse::<FieldValue>()
            .unwrap_err()
            .contains("FIELD=VALUE")
    );
    assert!("=1".parse::<FieldValue>().is_err());
}

#[test]
fn the_help_has_every_field_that_can_be_set() {
    let text = help::text::<pb::Customer>();

    for part in [
        "  state=active|disabled|pending-approval|invited\n",
        "  newsletter.subscribed=true|false\n",
        "  credit_limit=\"AMOUNT CURRENCY\"\n          The highest total of unpaid invoices",
        "  groups=TEXT,…\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for absent in ["create_time", "password", "etag", "\n  name="] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
}
