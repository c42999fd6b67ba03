//! Tests which filters and orders are refused, at which position, and with which message.

use super::*;
use crate::limits::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX, ORDER_BY_BYTES_MAX};

#[test]
fn faults_name_their_position_and_what_to_do() {
    for (text, position, message) in [
        (
            "stat = OPEN",
            0,
            "unknown field \"stat\"; did you mean \"state\"?",
        ),
        ("count = 1 AND zzzzzz = 2", 14, "unknown field \"zzzzzz\""),
        (
            "state = OPNE",
            8,
            "\"OPNE\" is not a value of state; use one of OPEN, ORDERED",
        ),
        ("state > OPEN", 6, "state has no order: use = or !="),
        (
            "gift = maybe",
            7,
            "gift expects a boolean, not \"maybe\"; use one of true, false",
        ),
        (
            "count = 1.5",
            8,
            "count expects a whole number, not \"1.5\"",
        ),
        (
            "count:1",
            5,
            "count takes : only in the form :*; use = to compare",
        ),
        ("count = *", 6, "count takes * only after :"),
        ("code:a", 4, "code is not searchable with :"),
        ("tags = a", 5, "tags is a list: ask for an element with :"),
        (
            "attributes = a",
            11,
            "attributes is a map: name a key, as in map.key = value",
        ),
        ("attributes.a:b", 12, "attributes.a takes"),
        (
            "title = \"\"",
            8,
            "an empty text matches nothing; for absence use NOT title:*",
        ),
        (
            "owner = groups/a",
            8,
            "\"groups/a\" is not a name like customers/id, nor an id",
        ),
        (
            "total > 100",
            8,
            "total expects an amount with its currency, such as \"100.00 EUR\", not \"100\"",
        ),
        (
            "birth_date = now",
            13,
            "birth_date expects a date, such as 2026-01-31, not \"now\"",
        ),
        (
            "update_time > now - 3y",
            14,
            "update_time expects now, or now and an offset",
        ),
        ("count = 1 and gift = true", 10, "write AND in capitals"),
        (
            "count = 1 gift = true",
            10,
            "expected AND, OR or the end instead of \"gift\"",
        ),
        ("(count = 1", 0, "this parenthesis is never closed"),
        ("count = 1)", 9, "there is no open parenthesis to close"),
        ("title = \"a", 8, "this quotation is never closed"),
        ("title = \"a\\q\"", 10, "after a backslash only"),
        (
            "title = \"a\u{0}\"",
            10,
            "control characters cannot be compared",
        ),
        (
            "count",
            5,
            "expected one of = != < <= > >= : after the field",
        ),
        ("count = ", 8, "expected a value"),
        (
            "count = AND gift = true",
            8,
            "a value is missing before AND",
        ),
        ("AND count = 1", 0, "a comparison is missing beside AND"),
        ("count = 1 AND", 13, "expected the name of a field"),
        ("é = 1", 0, "unknown field \"é\""),
    ] {
        let fault = fault(text);
        let expected = message.replace("attributes.a takes", "attributes takes");
        assert!(
            fault.message.starts_with(&expected),
            "{text}: {}",
            fault.message
        );
        assert_eq!(fault.position, position, "{text}: {}", fault.message);
    }
    assert_eq!(fault("stat = OPEN").nearest, Some("state"));
    assert_eq!(fault("state = OPNE").allowed, ["OPEN", "ORDERED"]);
    assert_eq!(
        fault("count = x").to_string(),
        "at byte 8: count expects a whole number, not \"x\""
    );
}

#[test]
fn literals_of_the_wrong_spelling_are_refused() {
    for text in [
        "count = 9223372036854775808",
        "count = 0x1",
        "count = ''",
        "discount_percent = 1.234",
        "discount_percent = 1.",
        "discount_percent = .5",
        "discount_percent = --1",
        "discount_percent = 92233720368547758080",
        "total = \"1.1234567 EUR\"",
        "total = \"1 eur\"",
        "total = \"EUR 1\"",
        "total = \"1 EURO\"",
        "total = '1 €€'",
        "total = \"9223372036855 EUR\"",
        "update_time = 2026-01-01",
        "update_time = 2026-02-30T00:00:00Z",
        "update_time = 2026-01-01T00:00:00",
        "update_time = 2026-01-01T00:00:00.0000000001Z",
        "update_time > now - 99999999999999999999s",
        "update_time > now - 36526d",
        "update_time > now - m",
        "update_time > now -",
        "update_time > now - +3m",
        "update_time > nowadays",
        "birth_date = 2026-02-30",
        "birth_date = 20260101",
        "birth_date = 2026-1-1",
        "state = open",
        "gift = TRUE",
        "title:\u{301}",
        "owner = customers/",
        "owner = 'a/b'",
        "tags:''",
    ] {
        fault(text);
    }
}

#[test]
fn a_field_the_caller_may_not_see_answers_like_one_that_does_not_exist() {
    let hidden = fault("secret = a");
    let missing = Filter::parse("secret = a", &Schema { fields: &[] }, &|_| true).is_err();

    assert!(missing);
    assert_eq!(hidden.message, "unknown field \"secret\"");
    assert_eq!(fault("secre = a").nearest, None);
    assert_eq!(
        Filter::parse("attributes.a = 1", &ITEMS, &|path| path != "attributes")
            .unwrap_err()
            .message,
        "unknown field \"attributes.a\""
    );
    let order = parse_order_by("secret", &ITEMS, &|path| path != "secret").unwrap_err();
    assert_eq!(order.message, "unknown field \"secret\"");
}

#[test]
fn limits_hold_and_one_less_is_accepted() {
    let terms = |count: usize| vec!["count = 1"; count].join(" OR ");
    assert!(!filter(&terms(FILTER_TERMS_MAX)).is_everything());
    assert_eq!(
        fault(&terms(FILTER_TERMS_MAX + 1)).message,
        "there are more than 64 comparisons"
    );

    let nested = |depth: usize| format!("{}count = 1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(filter(&nested(FILTER_DEPTH_MAX)), filter("count = 1"));
    assert_eq!(
        fault(&nested(FILTER_DEPTH_MAX + 1)).message,
        "nested more than 16 deep"
    );
    assert_eq!(fault(&nested(900)).position, FILTER_DEPTH_MAX);
    assert_eq!(
        filter(&format!("{}count = 1", "NOT ".repeat(FILTER_DEPTH_MAX))),
        filter("count = 1")
    );
    assert_eq!(
        fault(&format!("{}count = 1", "-".repeat(2_000))).position,
        FILTER_DEPTH_MAX
    );

    let negated = format!(
        "{}-count = 1{}",
        "(".repeat(FILTER_DEPTH_MAX - 1),
        ")".repeat(FILTER_DEPTH_MAX - 1)
    );
    assert_eq!(filter(&filter(&negated).to_string()), filter(&negated));

    let padded = |bytes: usize| format!("{:bytes$}", "count = 1");
    assert_eq!(filter(&padded(FILTER_BYTES_MAX)), filter("count = 1"));
    assert_eq!(
        fault(&padded(FILTER_BYTES_MAX + 1)).message,
        "the text has 2049 bytes, at most 2048"
    );
}

#[test]
fn a_message_repeats_only_a_part_of_a_long_text() {
    let fault = fault(&format!("count = {}", "é".repeat(900)));

    assert!(fault.message.len() < 200, "{}", fault.message);
}

#[test]
fn an_order_names_fields_and_directions() {
    use Direction::{Ascending, Descending};
    let order = |text: &str| parse_order_by(text, &ITEMS, &|_| true);
    let [title, count, time] = ["title", "count", "update_time"].map(|path| ITEMS.index(path));

    assert_eq!(order(""), Ok(vec![]));
    assert_eq!(order("  "), Ok(vec![]));
    assert_eq!(
        order("update_time desc, title"),
        Ok(vec![(time, Descending), (title, Ascending)])
    );
    assert_eq!(
        order(" count asc ,title  desc"),
        Ok(vec![(count, Ascending), (title, Descending)])
    );
}

#[test]
fn faults_of_an_order_name_their_position() {
    for (text, position, message) in [
        (
            "titel",
            0,
            "unknown field \"titel\"; did you mean \"title\"?",
        ),
        ("title, title desc", 7, "title is named twice"),
        (
            "title, code, count, update_time",
            20,
            "there are more than 3 fields",
        ),
        (
            "title down",
            0,
            "expected asc or desc after \"title\", not \"down\"",
        ),
        ("title desc code", 0, "expected a comma before \"code\""),
        ("title,", 6, "expected the name of a field"),
        (",title", 0, "expected the name of a field"),
        (
            "title, gift",
            7,
            "gift cannot be sorted by; use one of title, code, count, update_time",
        ),
        (
            "title; DROP TABLE carts",
            0,
            "expected asc or desc after \"title;\", not \"DROP\"",
        ),
        (
            "title;",
            0,
            "unknown field \"title;\"; did you mean \"title\"?",
        ),
    ] {
        let fault = parse_order_by(text, &ITEMS, &|path| path != "secret").unwrap_err();
        assert_eq!(
            (fault.position, fault.message.as_str()),
            (position, message),
            "{text}"
        );
    }
    let long = " ".repeat(ORDER_BY_BYTES_MAX + 1);
    assert_eq!(
        parse_order_by(&long, &ITEMS, &|_| true)
            .unwrap_err()
            .position,
        ORDER_BY_BYTES_MAX
    );
}
