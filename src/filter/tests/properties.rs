//! Random tests of the filter language: printed filters read back, no text makes the parser panic, and flips
//! are predicted exactly.

use proptest::prelude::*;

use super::*;
use crate::filter::expression::Comparison;
use crate::limits::FILTER_BYTES_MAX;

fn comparison() -> impl Strategy<Value = Comparison> {
    prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ])
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 .:*'\"\\\\()=<>\n\t-]{1,12}",
        "\\PC{1,8}",
        Just("AND".to_owned()),
        Just("now - 3d".to_owned()),
    ]
}

fn id() -> impl Strategy<Value = String> {
    "[a-z0-9-]{1,12}"
}

fn field(path: &'static str, test: impl Strategy<Value = Test>) -> impl Strategy<Value = Term> {
    test.prop_map(move |test| Term {
        field: ITEMS.index(path),
        test,
    })
}

fn compared_text() -> impl Strategy<Value = Test> {
    (comparison(), text()).prop_map(|(comparison, value)| Test::Text { comparison, value })
}

fn compared_number(values: impl Strategy<Value = i64>) -> impl Strategy<Value = Test> {
    (comparison(), values).prop_map(|(comparison, value)| Test::Number { comparison, value })
}

fn compared_clock() -> impl Strategy<Value = Test> {
    (comparison(), -3_000_000_000_i64..3_000_000_000).prop_map(|(comparison, offset_seconds)| {
        Test::Clock {
            comparison,
            offset_seconds,
        }
    })
}

fn compared_money() -> impl Strategy<Value = Test> {
    (comparison(), -i64::MAX..=i64::MAX, "[A-Z]{3}").prop_map(|(comparison, micros, currency)| {
        Test::Money {
            comparison,
            micros,
            currency,
        }
    })
}

fn term() -> impl Strategy<Value = Term> {
    let needle = text()
        .prop_map(|text| fold(&text))
        .prop_filter("not empty", |n| !n.is_empty());
    let dates = (1_i32..9_999, 1..13, 1..29).prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}"));
    let dated = (comparison(), dates);
    let states = (any::<bool>(), 1_i64..3);
    prop_oneof![
        (0..ITEMS.fields.len()).prop_map(|field| Term {
            field,
            test: Test::Present
        }),
        field("title", compared_text()),
        field("summary.kind", compared_text()),
        field("title", needle.prop_map(|needle| Test::Contains { needle })),
        field(
            "owner",
            (any::<bool>(), id()).prop_map(|(equal, id)| Test::Name { equal, id })
        ),
        field(
            "gift",
            any::<[bool; 2]>().prop_map(|[equal, value]| Test::Flag { equal, value })
        ),
        field("count", compared_number(any::<i64>())),
        field("discount_percent", compared_number(-i64::MAX..=i64::MAX)),
        field(
            "update_time",
            compared_number(-60_000_000_000_000_000_i64..250_000_000_000_000_000)
        ),
        field("update_time", compared_clock()),
        field("total", compared_money()),
        field(
            "birth_date",
            dated.prop_map(|(comparison, value)| Test::Text { comparison, value })
        ),
        field(
            "state",
            states.prop_map(|(equal, value)| {
                let comparison = if equal {
                    Comparison::Equal
                } else {
                    Comparison::NotEqual
                };
                Test::Number { comparison, value }
            })
        ),
        field("tags", text().prop_map(|element| Test::Element { element })),
        field("groups", id().prop_map(|element| Test::Element { element })),
        field("attributes", text().prop_map(|key| Test::Key { key })),
        field(
            "attributes",
            (text(), any::<bool>(), text()).prop_map(|(key, equal, value)| Test::Entry {
                key,
                equal,
                value
            })
        ),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    term()
        .prop_map(Expression::Term)
        .prop_recursive(5, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Expression::all),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Expression::any),
                inner.prop_map(Expression::not),
            ]
        })
}

/// Texts made of the words of the language in any order.
fn word_salad() -> impl Strategy<Value = String> {
    let words = vec![
        "count",
        "title",
        "attributes.",
        "total",
        "update_time",
        "state",
        "tags",
        "=",
        "!=",
        "<=",
        ">",
        ":",
        "*",
        "(",
        ")",
        "AND",
        "OR",
        "NOT",
        "-",
        "now",
        "- 3d",
        "\"",
        "'",
        "\\",
        "1",
        "OPEN",
        ".",
        "\"1 EUR\"",
        "2026-01-01T00:00:00Z",
        "é",
        " ",
        "\u{0}",
        "\u{1f}",
    ];
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn a_printed_filter_parses_to_the_same_filter(root in expression()) {
        let filter = Filter { schema: &ITEMS, root };
        let printed = filter.to_string();
        prop_assume!(printed.len() <= FILTER_BYTES_MAX);

        let read = Filter::parse(&printed, &ITEMS, &|_| true);

        prop_assert_eq!(read.as_ref(), Ok(&filter), "{}", printed);
        prop_assert_eq!(read.map(|read| read.to_string()), Ok(printed));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![any::<String>(), word_salad()]) {
        for read in [
            Filter::parse(&text, &ITEMS, &|_| true).map(|_| ()),
            parse_order_by(&text, &ITEMS, &|_| true).map(|_| ()),
        ] {
            if let Err(fault) = read {
                prop_assert!(text.is_char_boundary(fault.position), "{}", fault);
            }
        }
    }

    #[test]
    fn a_parsed_filter_prints_and_translates(text in word_salad()) {
        if let Ok(filter) = Filter::parse(&text, &ITEMS, &|_| true) {
            let printed = filter.to_string();
            prop_assert_eq!(Filter::parse(&printed, &ITEMS, &|_| true), Ok(filter.clone()));
            let mut sql = SqlText::new();
            filter.to_sql(&mut sql, NOW, Engine::Postgres);
            prop_assert_eq!(sql.text().matches('$').count(), sql.binds().len());
        }
    }

    #[test]
    fn nothing_changes_before_the_next_flip(
        tests in prop::collection::vec((comparison(), -40_i64..40, any::<bool>()), 1..6),
        any_of in any::<bool>(),
        time in -40_i64..40,
    ) {
        let parts = tests.into_iter().map(|(comparison, offset_seconds, inverted)| {
            let test = Test::Clock { comparison, offset_seconds };
            let term = Expression::Term(Term { field: ITEMS.index("update_time"), test });
            if inverted { Expression::not(term) } else { term }
        });
        let root = if any_of { Expression::any(parts) } else { Expression::all(parts) };
        let filter = Filter { schema: &ITEMS, root };
        let second = 1_000_000;
        let item = Item::default().with("update_time", Value::Int(NOW + time * second));
        let now_matches = filter.matches(&item, NOW);
        let flip = filter.next_flip(&item, NOW);

        // Comparisons change only within a microsecond of a whole second here.
        for seconds in 0..=90 {
            for instant in [NOW + seconds * second, NOW + seconds * second + 1] {
                if flip.is_none_or(|flip| instant < flip) {
                    prop_assert_eq!(filter.matches(&item, instant), now_matches);
                }
            }
        }
        if let Some(flip) = flip {
            prop_assert!(flip > NOW);
            prop_assert_ne!(filter.matches(&item, flip), now_matches);
        }
    }

    #[test]
    fn a_part_of_a_text_folds_to_a_part_of_its_fold(left in any::<String>(), right in any::<String>()) {
        prop_assert_eq!(fold(&format!("{left}{right}")), fold(&left) + &fold(&right));
    }
}
