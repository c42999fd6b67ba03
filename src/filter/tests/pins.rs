//! Tests the values and bounds that a filter fixes, and the fields that it reads.

use super::*;

#[test]
fn bounds_of_a_field_are_those_that_every_match_keeps() {
    let bounds = |text: &str| filter(text).bounds("count", 0);

    assert_eq!(
        bounds("count > 1 AND count <= 7 AND gift = true"),
        [(" > ", Bind::Int(1)), (" <= ", Bind::Int(7))]
    );
    for text in [
        "count > 1 OR gift = true",
        "NOT count > 1",
        "count != 1",
        "",
    ] {
        assert_eq!(bounds(text), [], "{text}");
    }
}

#[test]
fn a_filter_pins_a_field_only_where_nothing_else_can_match() {
    let pinned = |text: &str, path: &str| filter(text).equality(path);

    assert_eq!(
        pinned("owner = customers/ada AND count > 1", "owner"),
        Some(Bind::Text("ada".into()))
    );
    assert_eq!(pinned("state = ORDERED", "state"), Some(Bind::Int(2)));
    assert_eq!(
        pinned("(count = 1 AND (gift = true))", "gift"),
        Some(Bind::Bool(true))
    );
    assert_eq!(pinned("title = a", "title"), Some(Bind::Text("a".into())));
    for text in [
        "count != 1",
        "count = 1 OR gift = true",
        "NOT count = 1",
        "count >= 1",
        "",
    ] {
        assert_eq!(pinned(text, "count"), None, "{text}");
    }
    assert_eq!(
        pinned("total = '1 EUR' AND update_time = now", "total"),
        None
    );
}

#[test]
fn a_filter_lists_the_fields_that_it_reads() {
    let read = filter("state = OPEN OR NOT count = 1 AND count = 2").fields();

    assert_eq!(read, [ITEMS.index("count"), ITEMS.index("state")]);
}
