//! Tests the exact SQL of filters.

use super::*;

#[test]
fn the_text_of_a_caller_reaches_sql_only_as_bound_values() {
    let hostile = "'; DROP TABLE customers; --";
    let text = format!(
        "title = \"{hostile}\" AND title:\"{hostile}\" AND attributes.\"{hostile}\" = \"{hostile}\" \
         AND tags:\"{hostile}\" OR owner = \"{hostile}\""
    );

    let (statement, binds) = sql(&text);

    assert!(!statement.contains("DROP"), "{statement}");
    assert_eq!(binds.len(), 5);
}

#[test]
fn sql_guards_every_comparison_against_null() {
    let text = |text: &str| sql(text).0;

    assert_eq!(text("count != 1"), "(count IS NOT NULL AND count <> $1)");
    assert_eq!(
        text("NOT title != a"),
        "(NOT (title IS NOT NULL AND title <> '' AND title <> $1))"
    );
    assert_eq!(
        text("total < \"1.5 EUR\" AND gift = true OR owner = x"),
        "((currency_code IS NOT NULL AND currency_code = $1 AND total_micros IS NOT NULL AND \
         total_micros < $2) AND ((gift IS NOT NULL AND gift = $3) OR \
         (owner_id IS NOT NULL AND owner_id = $4)))"
    );
    assert_eq!(
        sql("update_time >= now - 1m"),
        (
            "(update_time IS NOT NULL AND update_time >= $1)".to_owned(),
            vec![Bind::Int(NOW - MINUTE)]
        )
    );
}

#[test]
fn the_engines_differ_only_in_the_search_of_a_substring() {
    let filter = filter("title:É AND attributes.a != b");
    let text = |engine| {
        let mut sql = SqlText::new();
        sql.push("SELECT id FROM items WHERE shop_id = ")
            .bind(Bind::Text("s".into()))
            .push(" AND ");
        filter.to_sql(&mut sql, NOW, engine);
        sql.into_parts()
    };

    let (sqlite, binds) = text(Engine::Sqlite);
    let (postgres, _) = text(Engine::Postgres);

    assert_eq!(
        sqlite,
        "SELECT id FROM items WHERE shop_id = $1 AND \
         ((title_folded IS NOT NULL AND instr(title_folded, $2) > 0) AND \
         (attributes IS NOT NULL AND instr(attributes, $3) > 0 AND instr(attributes, $4) = 0))"
    );
    assert_eq!(postgres, sqlite.replace("instr(", "strpos("));
    let texts = ["s", "e", "\u{1f}a=", "\u{1f}a=b\u{1f}"];
    assert_eq!(binds, texts.map(|text| Bind::Text(text.to_owned())));
}

#[test]
fn a_piece_of_a_statement_goes_on_counting_placeholders() {
    let mut sql = SqlText::after(2);

    filter("count = 1 AND gift = true").to_sql(&mut sql, NOW, Engine::Sqlite);

    assert_eq!(
        sql.text(),
        "((count IS NOT NULL AND count = $3) AND (gift IS NOT NULL AND gift = $4))"
    );
}
