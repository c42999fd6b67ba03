//! Tests of the filter language by example. `clock` tests `now`, `faults` refusals, `pins` the values that
//! a filter fixes, `translation` the SQL, and `properties` random filters.

mod clock;
mod faults;
mod pins;
mod properties;
mod translation;

use std::collections::BTreeMap;

use super::*;

const ITEMS: Schema = Schema {
    fields: &[
        Field::new("title", Kind::Text, "title")
            .searchable("title_folded")
            .sortable(),
        Field::new("code", Kind::Text, "code").sortable(),
        Field::new("owner", Kind::Name("customers"), "owner_id"),
        Field::new("gift", Kind::Bool, "gift"),
        Field::new("count", Kind::Int, "count").sortable(),
        Field::new("discount_percent", Kind::Decimal2, "discount"),
        Field::new(
            "total",
            Kind::Money {
                currency_column: "currency_code",
            },
            "total",
        ),
        Field::new("update_time", Kind::Time, "update_time").sortable(),
        Field::new("birth_date", Kind::Date, "birth_date"),
        Field::new("state", Kind::Enum(&[("OPEN", 1), ("ORDERED", 2)]), "state"),
        Field::new("tags", Kind::TextList, "tags"),
        Field::new("groups", Kind::NameList("groups"), "group_ids"),
        Field::new("attributes", Kind::TextMap, "attributes"),
        Field::new("summary.kind", Kind::Text, "summary_kind"),
        Field::new("secret", Kind::Text, "secret").sortable(),
    ],
};

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600_000_000;
const MINUTE: i64 = 60_000_000;

/// A record of the values given by path; all others are absent.
#[derive(Default)]
struct Item(BTreeMap<usize, Value<'static>>);

impl Item {
    fn with(mut self, path: &str, value: Value<'static>) -> Self {
        self.0.insert(ITEMS.index(path), value);
        self
    }

    fn text(self, path: &str, text: &'static str) -> Self {
        self.with(path, Value::text(text))
    }

    fn int(self, path: &str, number: i64) -> Self {
        self.with(path, Value::Int(number))
    }
}

impl Record for Item {
    fn value(&self, field: usize) -> Value<'_> {
        self.0.get(&field).cloned().unwrap_or(Value::Absent)
    }
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, &ITEMS, &|_| true).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn fault(text: &str) -> FilterError {
    match Filter::parse(text, &ITEMS, &|path| path != "secret") {
        Ok(filter) => panic!("{text} was accepted as {filter}"),
        Err(fault) => fault,
    }
}

fn matches(text: &str, item: &Item) -> bool {
    filter(text).matches(item, NOW)
}

fn sql(text: &str) -> (String, Vec<Bind>) {
    let mut sql = SqlText::new();
    filter(text).to_sql(&mut sql, NOW, Engine::Sqlite);
    sql.into_parts()
}

fn euros(micros: i64) -> Value<'static> {
    Value::Money {
        micros,
        currency: "EUR".into(),
    }
}

#[test]
fn an_empty_filter_matches_everything() {
    for text in ["", "  \n\t "] {
        assert!(filter(text).is_everything());
        assert!(matches(text, &Item::default()));
        assert_eq!(sql(text), ("(1 = 1)".to_owned(), vec![]));
        assert_eq!(filter(text).to_string(), "");
    }
    assert_eq!(Filter::everything(&ITEMS), filter(""));
}

#[test]
fn or_binds_tighter_than_and() {
    let text = "count = 1 AND count = 2 OR count = 3";

    assert_eq!(
        filter(text),
        filter("count = 1 AND (count = 2 OR count = 3)")
    );
    assert_ne!(
        filter(text),
        filter("(count = 1 AND count = 2) OR count = 3")
    );
    assert!(!matches(text, &Item::default().int("count", 3)));
}

#[test]
fn not_and_minus_invert_what_follows_them() {
    let item = Item::default().int("count", 3);

    assert!(!matches("NOT count = 3", &item));
    assert!(!matches("-count = 3", &item));
    assert!(matches("NOT (count = 4 OR count = 5) AND count = 3", &item));
    assert!(
        matches("NOT count = 4 OR count = 5", &item),
        "NOT binds tighter than OR"
    );
    assert_eq!(filter("NOT NOT count = 3"), filter("count = 3"));
    assert_eq!(filter("NOT(count=3)"), filter("-(count = 3)"));
}

#[test]
fn every_comparison_with_an_absent_value_is_false() {
    let present = "count:*";
    for text in [
        "title = a",
        "title != a",
        "title < a",
        "title >= a",
        "title:a",
        "owner = a",
        "owner != a",
        "gift = true",
        "gift != true",
        "count = 1",
        "count != 1",
        "count <= 1",
        "count > 1",
        "discount_percent != 1",
        "total != \"1 EUR\"",
        "update_time != now",
        "update_time < now",
        "update_time != 2026-01-01T00:00:00Z",
        "birth_date != 2026-01-01",
        "state != OPEN",
        "tags:a",
        "groups:a",
        "attributes:a",
        "attributes.a != b",
        "attributes.a = b",
        "attributes.a:*",
        present,
    ] {
        assert!(!matches(text, &Item::default()), "{text}");
        assert!(
            matches(&format!("NOT {text}"), &Item::default()),
            "NOT {text}"
        );
    }
}

#[test]
fn an_empty_text_is_an_absent_value() {
    let item = Item::default()
        .text("title", "")
        .text("birth_date", "")
        .with("tags", Value::Packed("".into()))
        .with(
            "total",
            Value::Money {
                micros: 0,
                currency: "".into(),
            },
        );

    for text in [
        "title:*",
        "title != a",
        "title < a",
        "birth_date:*",
        "tags:*",
        "total:*",
    ] {
        assert!(!matches(text, &item), "{text}");
    }
}

#[test]
fn presence_asks_for_any_value() {
    let item = Item::default()
        .text("title", "a")
        .int("count", 0)
        .with("gift", Value::Bool(false))
        .with("total", euros(0))
        .with(
            "attributes",
            Value::Packed(pack_map([("color", "red")]).into()),
        );

    for text in [
        "title:*",
        "count:*",
        "gift:*",
        "total:*",
        "attributes:*",
        "attributes.color:*",
    ] {
        assert!(matches(text, &item), "{text}");
    }
    assert!(!matches("attributes.size:*", &item));
}

#[test]
fn text_compares_exactly_and_byte_by_byte() {
    let item = Item::default().text("title", "Zoë");

    assert!(matches("title = \"Zoë\"", &item));
    assert!(matches("title = Zoë", &item));
    assert!(!matches("title = zoë", &item));
    assert!(matches("title < a", &item), "capitals come first");
    assert!(matches("title != Zoe", &item));
    assert!(matches(
        r#"title = "say \"hi\" \\ it's""#,
        &Item::default().text("title", r#"say "hi" \ it's"#)
    ));
    assert!(matches(
        "title = 'two words'",
        &Item::default().text("title", "two words")
    ));
    assert!(matches(
        "title = ada@example.test",
        &Item::default().text("title", "ada@example.test")
    ));
    assert!(matches(
        "summary.kind = now",
        &Item::default().text("summary.kind", "now")
    ));
}

#[test]
fn contains_ignores_case_and_accents() {
    let item = Item::default().text("title", "Crème Brûlée");

    for text in ["title:brulee", "title:\"CREME B\"", "title:é", "title : mé"] {
        assert!(matches(text, &item), "{text}");
    }
    assert!(!matches("title:tarte", &item));
}

#[test]
fn names_may_be_whole_or_bare_on_either_side() {
    for owner in ["customers/ada", "ada"] {
        let item = Item::default().text("owner", owner);
        assert!(matches("owner = \"customers/ada\"", &item));
        assert!(matches("owner = customers/ada", &item));
        assert!(matches("owner = ada", &item));
        assert!(!matches("owner != ada", &item));
        assert!(matches("owner != customers/bob", &item));
    }
}

#[test]
fn lists_have_elements() {
    let names: &'static [String] = Box::leak(Box::new(["groups/vip".to_owned()]));
    let item = Item::default()
        .with(
            "tags",
            Value::Packed(pack_list(["red", "dark blue"]).into()),
        )
        .with("groups", Value::List(names));

    assert!(matches("tags:red AND tags:\"dark blue\"", &item));
    assert!(!matches("tags:dark OR tags:re", &item));
    assert!(matches(
        "groups:vip AND groups:groups/vip AND groups:*",
        &item
    ));
    assert!(!matches("groups:vi", &item));
}

#[test]
fn maps_have_keys_and_values() {
    let packed = pack_map([
        ("color", "red"),
        ("my key", ""),
        ("a.b", "x=y"),
        ("c=d", "e"),
    ]);
    let item = Item::default().with("attributes", Value::Packed(packed.into()));

    for text in [
        "attributes.color = \"red\"",
        "attributes:color",
        "attributes.color != blue",
        "attributes.\"my key\" = \"\"",
        "attributes.a.b = 'x=y'",
        "attributes.'a.b' != x",
        "attributes.\"c=d\" = e",
    ] {
        assert!(matches(text, &item), "{text}");
    }
    for text in [
        "attributes.size != red",
        "attributes.color = re",
        "attributes.c:*",
        "attributes:r",
    ] {
        assert!(!matches(text, &item), "{text}");
    }
}

#[test]
fn money_of_another_currency_never_matches() {
    let item = Item::default().with("total", euros(100_000_000));

    for text in [
        "total = \"100.00 EUR\"",
        "total >= \"100 EUR\"",
        "total < \"100.000001 EUR\"",
        "total != \"99 EUR\"",
        "total > '-5 EUR'",
    ] {
        assert!(matches(text, &item), "{text}");
    }
    for operator in ["=", "!=", "<", "<=", ">", ">="] {
        let text = format!("total {operator} \"100.00 USD\"");
        assert!(!matches(&text, &item), "{text}");
        assert!(matches(&format!("NOT {text}"), &item), "NOT {text}");
    }
}

#[test]
fn numbers_compare_by_value() {
    let item = Item::default()
        .int("count", -5)
        .int("discount_percent", 1_250);

    assert!(matches("count >= -5 AND count < 0 AND -count > 7", &item));
    assert!(matches(
        "discount_percent = 12.5 AND discount_percent = 12.50",
        &item
    ));
    assert!(matches(
        "discount_percent > 12.49 AND discount_percent < 13",
        &item
    ));
    assert_eq!(
        filter("discount_percent = -0.05").to_string(),
        "discount_percent = -0.05"
    );
}

#[test]
fn times_and_dates_compare_as_instants_and_days() {
    let item = Item::default()
        .int("update_time", NOW)
        .text("birth_date", "1990-12-31");

    assert!(matches("update_time = 2026-01-01T00:00:00Z", &item));
    assert!(matches(
        "update_time = \"2026-01-01T01:00:00+01:00\"",
        &item
    ));
    assert!(matches("update_time < 2026-01-01T00:00:00.000001Z", &item));
    for (comparison, holds) in [
        ("= 2026-01-01T00:00:00.000000001Z", false),
        ("!= 2026-01-01T00:00:00.000000001Z", true),
        ("< 2026-01-01T00:00:00.000000001Z", true),
        ("<= 2026-01-01T00:00:00.000000001Z", true),
        ("> 2026-01-01T00:00:00.000000001Z", false),
        (">= 2026-01-01T00:00:00.000000001Z", false),
        ("> 2025-12-31T23:59:59.999999999Z", true),
        (">= 2025-12-31T23:59:59.999999999Z", true),
        ("<= 2025-12-31T23:59:59.999999999Z", false),
    ] {
        let text = format!("update_time {comparison}");
        assert_eq!(matches(&text, &item), holds, "{text}");
        let printed = filter(&text).to_string();
        assert_eq!(filter(&printed).to_string(), printed, "{text}");
    }
    assert!(matches(
        "birth_date < 1991-01-01 AND birth_date >= 1990-12-31",
        &item
    ));
}

#[test]
fn texts_that_mean_the_same_print_the_same() {
    for (text, canonical) in [
        (
            "count=1   AND(state=\"OPEN\")",
            "count = 1 AND state = OPEN",
        ),
        (
            "(count = 1 AND gift = true) AND title:É",
            "count = 1 AND gift = true AND title:\"e\"",
        ),
        (
            "(count = 1 AND gift = true) OR -state = OPEN",
            "(count = 1 AND gift = true) OR NOT state = OPEN",
        ),
        ("total >= \"100 EUR\"", "total >= \"100.00 EUR\""),
        ("total >= \"-0.125000  EUR\"", "total >= \"-0.125 EUR\""),
        (
            "update_time = 2026-01-01T01:00:00.50+01:00",
            "update_time = 2026-01-01T00:00:00.5Z",
        ),
        ("owner = customers/ada", "owner = \"ada\""),
        ("attributes:color", "attributes.color:*"),
        ("attributes.a.b = 1", "attributes.\"a.b\" = \"1\""),
        (
            "NOT (count = 1 OR count = 2)",
            "NOT (count = 1 OR count = 2)",
        ),
    ] {
        assert_eq!(filter(text).to_string(), canonical, "{text}");
        assert_eq!(filter(canonical).to_string(), canonical, "{text}");
    }
}
