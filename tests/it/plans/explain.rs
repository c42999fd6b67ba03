//! Reads the plan of a statement and finds steps that read rows without need.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _};

use super::fill::Beside;

/// Tables that grow with the size or the age of a shop.
const GROWING: &[&str] = &[
    "customers",
    "carts",
    "memberships",
    "membership_grants",
    "customer_external_ids",
    "credentials",
    "visits",
    "addresses",
    "change_log",
    "jobs",
    "answers",
    "tombstones",
    "used_links",
    "member_counts",
];

/// The rows that a page examines. A `SELECT` with a constant `LIMIT` up to this is bounded.
const BOUND: u32 = 5_000;

/// Returns each way in which a statement reads more rows than it needs.
pub async fn faults(beside: &mut Beside, statement: &str) -> Vec<String> {
    match beside {
        Beside::Sqlite(connection) => {
            let mut faults = Vec::new();
            // The text has several statements, and the driver runs them all.
            for part in statement.split(';').filter(|part| !part.trim().is_empty()) {
                let text = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {part}"));
                let rows = sqlx::query(text).fetch_all(&mut *connection).await;
                let rows = match rows {
                    Ok(rows) => rows,
                    Err(error) => {
                        faults.push(format!("it cannot be explained: {error}"));
                        continue;
                    }
                };
                let steps: Vec<(i64, String)> = rows
                    .iter()
                    .map(|row| (row.get("parent"), row.get("detail")))
                    .collect();
                let found = steps
                    .iter()
                    .filter(|step| is_sqlite_fault(part, step, &steps));
                faults.extend(found.map(|(_, detail)| detail.clone()));
            }
            faults
        }
        Beside::Postgres(connection) => {
            let prepare = AssertSqlSafe(format!("PREPARE explained AS {statement}"));
            let prepared = sqlx::raw_sql(prepare).execute(&mut *connection).await;
            if let Err(error) = prepared {
                return vec![format!("it cannot be explained: {error}")];
            }
            let nulls = vec!["NULL"; parameters(statement)].join(", ");
            let values = if nulls.is_empty() {
                String::new()
            } else {
                format!("({nulls})")
            };
            let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE explained{values}");
            let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain))
                .persistent(false)
                .fetch_one(&mut *connection)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
            let drop = sqlx::raw_sql("DEALLOCATE explained");
            drop.execute(&mut *connection).await.expect("it was made");
            let mut faults = Vec::new();
            let top = Above::default();
            visit(&plan[0]["Plan"], top, statement, &mut faults);
            faults
        }
    }
}

/// Returns the number of placeholders in a statement.
fn parameters(statement: &str) -> usize {
    let numbers = statement.split('$').skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_default()
    });
    numbers.max().unwrap_or_default()
}

/// Returns the table behind a name in a statement.
fn table<'s>(statement: &'s str, name: &'s str) -> &'s str {
    let words: Vec<&str> = statement
        .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let named = words.windows(3).find(|words| {
        GROWING.contains(&words[0]) && (words[1] == name || words[1] == "AS" && words[2] == name)
    });
    named.map_or(name, |words| words[0])
}

/// The limit of the `SELECT` that reads a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// No limit: the statement reads each row that its index finds.
    None,
    /// A limit that is a parameter, or the first row found.
    Given,
    /// A constant: at most the rows that a page examines.
    Constant,
}

/// Returns the weakest limit of those `SELECT`s of a statement that read a table by a name.
fn end(statement: &str, name: &str) -> End {
    let table = table(statement, name);
    let texts = [
        format!("{table} {name}"),
        format!("{table} AS {name}"),
        table.to_owned(),
    ];
    let found = texts.iter().map(|text| {
        let places = statement.match_indices(text.as_str());
        let places = places.filter_map(|(place, _)| {
            let after = statement[place + text.len()..].chars().next();
            let continues = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            if after.is_some_and(continues) {
                return None;
            }
            let before = statement[..place].trim_end();
            let is_written = before.ends_with("DELETE FROM") || before.ends_with("UPDATE");
            let is_read = ["FROM", "JOIN", ","]
                .iter()
                .any(|word| before.ends_with(word));
            (is_written || is_read).then_some((is_written, place))
        });
        places.collect::<Vec<_>>()
    });
    let mut places = found
        .into_iter()
        .find(|places| !places.is_empty())
        .unwrap_or_default();
    if places.iter().any(|(is_written, _)| !is_written) {
        // The statement writes the rows that the inner `SELECT` finds.
        places.retain(|(is_written, _)| !is_written);
    }
    let ends = places
        .into_iter()
        .map(|(_, place)| end_at(statement, place));
    ends.min().unwrap_or(End::None)
}

/// Returns the limit of the `SELECT` around a place.
fn end_at(statement: &str, place: usize) -> End {
    let mut depth = 0;
    for (index, letter) in statement[place..].char_indices() {
        let rest = &statement[place + index..];
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            'L' if depth == 0 && rest.starts_with("LIMIT ") => {
                let mut words = rest.split([' ', ')']);
                let number = words.nth(1).and_then(|word| word.parse::<u32>().ok());
                let offset = match words.next() {
                    Some("OFFSET") => words.next().and_then(|word| word.parse::<u32>().ok()),
                    _ => Some(0),
                };
                return match (number, offset) {
                    (Some(number), Some(offset)) if number + offset <= BOUND => End::Constant,
                    // Counts are bounded too, but by more rows than a page.
                    (Some(_), _) => End::None,
                    _ => End::Given,
                };
            }
            _ => {}
        }
    }
    // This is the start of the same `SELECT`.
    let mut depth = 0;
    for (index, letter) in statement[..place].char_indices().rev() {
        match letter {
            ')' => depth += 1,
            '(' if depth == 0 => {
                let before = statement[..index].trim_end();
                return if before.ends_with("EXISTS") {
                    End::Given
                } else {
                    End::None
                };
            }
            '(' => depth -= 1,
            _ => {}
        }
    }
    End::None
}

/// Returns whether a step reads rows without need, by itself or because the steps beside it sort all of them.
fn is_sqlite_fault(statement: &str, step: &(i64, String), steps: &[(i64, String)]) -> bool {
    let (parent, detail) = step;
    let words: Vec<&str> = detail.split_whitespace().collect();
    let [how @ ("SCAN" | "SEARCH"), name, ..] = words[..] else {
        return false;
    };
    if !GROWING.contains(&table(statement, name)) {
        return false;
    }
    // An existence check reads one row of a table.
    if words.get(2) == Some(&"EXISTS") {
        return false;
    }
    let is_sorted = steps.iter().any(|(other, detail)| {
        // Rows that are equal in the first terms may be sorted; those are not all rows.
        other == parent && detail.starts_with("USE TEMP B-TREE FOR ") && !detail.contains(" LAST ")
    });
    let whole_shop = detail.ends_with("(shop_id=?)");
    let range = detail.contains(">?") || detail.contains("<?");
    let end = end(statement, name);
    let ordered = detail.contains(" USING INDEX ") || detail.contains(" USING COVERING INDEX ");
    // These are the first rows of an index.
    let is_first = ordered && !is_sorted && end == End::Constant;
    how == "SCAN" && !is_first
        || detail.contains("AUTOMATIC")
        || (whole_shop || range) && is_sorted
        || whole_shop && end < End::Constant
        || range && end < End::Given
}

/// The context of a node of a plan.
#[derive(Clone, Copy, Debug, Default)]
struct Above<'p> {
    /// The table of a bitmap's index, and its name in the statement.
    table: Option<(&'p str, &'p str)>,
    /// Whether a node above reads all rows before it returns the first.
    is_sorted: bool,
    /// Whether a node above stops reading after enough rows.
    is_limited: bool,
}

/// Returns the name of a table in a statement for its name in a plan: `c` for `c_1`.
fn called(alias: &str) -> &str {
    match alias.rsplit_once('_') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => alias,
    }
}

/// Visits each node of a plan.
fn visit<'p>(node: &'p Value, above: Above<'p>, statement: &str, faults: &mut Vec<String>) {
    let text = |field: &str| node[field].as_str();
    let kind = text("Node Type").unwrap_or_default();
    let table = match (text("Relation Name"), text("Alias")) {
        (Some(relation), alias) => Some((relation, called(alias.unwrap_or(relation)))),
        _ => above.table,
    };
    if let Some((relation, alias)) = table.filter(|(relation, _)| GROWING.contains(relation)) {
        let condition = text("Index Cond").unwrap_or_default();
        let signs = [" > ", " < ", " >= ", " <= "];
        let by_ids = condition.contains("= ANY");
        let range = !by_ids && signs.iter().any(|sign| condition.contains(sign));
        let whole_shop = condition.starts_with("(shop_id = ") && !condition.contains(" AND ");
        let end = end(statement, alias);
        let is_fault = match kind {
            "Seq Scan" => true,
            "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" => {
                let all_first = above.is_sorted || kind == "Bitmap Index Scan";
                let is_walk = condition.is_empty();
                is_walk && !(above.is_limited && text("Filter").is_none())
                    || (whole_shop || range) && all_first
                    || whole_shop && end < End::Constant
                    || range && end < End::Given
            }
            _ => false,
        };
        if is_fault {
            faults.push(format!("{kind} of {relation} by {condition:?}"));
        }
    }
    let here = match kind {
        "Limit" => Above {
            is_limited: true,
            ..Above::default()
        },
        "Sort" | "Hash" | "Aggregate" | "Materialize" => Above {
            is_sorted: true,
            ..Above::default()
        },
        "Bitmap Heap Scan" => Above { table, ..above },
        _ => Above {
            table: None,
            ..above
        },
    };
    let finds_one = matches!(text("Join Type"), Some("Semi" | "Anti")) && kind == "Nested Loop";
    for child in node["Plans"].as_array().into_iter().flatten() {
        let relationship = child["Parent Relationship"].as_str();
        let is_apart = matches!(relationship, Some("InitPlan" | "SubPlan"))
            || finds_one && relationship == Some("Inner");
        let above = if is_apart { Above::default() } else { here };
        visit(child, above, statement, faults);
    }
}
