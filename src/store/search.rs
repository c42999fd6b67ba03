//! Search by words, alike on both engines.
//!
//! What is searched is one column of folded text that begins with a blank and has one blank
//! between words ([`index_text`]). Each term of a query must occur in it: terms of three characters
//! and more anywhere, through an index (FTS5 with trigrams; `pg_trgm`), shorter ones at the beginning
//! of a word.

use super::{Engine, Statement, dialect};
use crate::filter::fold;

/// Terms beyond this many are not looked at.
const MAX_TERMS: usize = 10;
/// What the index of trigrams can find.
const INDEXED: usize = 3;

/// The folded text of a row, from all the fields in which it should be found.
#[must_use]
pub fn index_text<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for field in fields {
        for word in fold(field).split_whitespace() {
            text.push(' ');
            text.push_str(word);
        }
    }
    text
}

/// The terms of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchTerms(Vec<String>);

/// Where a kind of resource keeps its search text.
#[derive(Clone, Copy, Debug)]
pub struct SearchColumn {
    /// The column of [`index_text`], as the statement names it (`c.search_text`).
    pub text: &'static str,
    /// The number by which the row is known in `fts`, as the statement names it (`c.search_id`).
    pub id: &'static str,
    /// The FTS5 table with trigrams on SQLite, whose rowid is `id`.
    pub fts: &'static str,
}

impl SearchTerms {
    /// The terms of what a caller typed; none when there is nothing to search for.
    #[must_use]
    pub fn of(query: &str) -> Option<Self> {
        let folded = fold(query);
        let terms: Vec<String> = folded
            .split_whitespace()
            .take(MAX_TERMS)
            .map(str::to_owned)
            .collect();
        (!terms.is_empty()).then_some(Self(terms))
    }

    /// What must occur in the text of a row of which a field contains this folded text; none when an
    /// index finds nothing of it.
    #[must_use]
    pub fn within(text: &str) -> Option<Self> {
        let text = index_text([text]);
        let words = text.split_whitespace();
        let terms: Vec<String> = words
            .filter(|word| word.chars().count() >= INDEXED)
            .map(str::to_owned)
            .collect();
        (!terms.is_empty()).then_some(Self(terms))
    }

    /// Whether a text made by [`index_text`] is found.
    #[must_use]
    pub fn found_in(&self, text: &str) -> bool {
        self.0
            .iter()
            .all(|term| text.contains(needle(term).as_str()))
    }

    /// Whether an index can find the terms, so that a search may begin with what it finds.
    #[must_use]
    pub fn are_indexed(&self) -> bool {
        self.0
            .iter()
            .any(|term| needle(term).chars().count() >= INDEXED)
    }

    /// Adds the condition to a statement that goes through rows anyway: no index is asked.
    pub fn push_examining(&self, column: &SearchColumn, statement: &mut Statement) {
        let mut between = "(";
        for term in &self.0 {
            let placeholder = statement.keep(needle(term));
            let piece = dialect::contains(statement.engine(), column.text, &placeholder);
            statement.push(between).push_piece(&piece);
            between = " AND ";
        }
        statement.push(")");
    }

    /// Adds the condition that the index answers: of the terms that it can find. On SQLite it is one of the
    /// table `fts`.
    pub fn push_indexed(&self, column: &SearchColumn, statement: &mut Statement) {
        let needles = self.0.iter().map(|term| needle(term));
        let mut indexed = needles.filter(|needle| needle.chars().count() >= INDEXED);
        match statement.engine() {
            Engine::Sqlite => {
                let phrases: Vec<String> = indexed
                    .map(|needle| format!("\"{}\"", needle.replace('"', "\"\"")))
                    .collect();
                statement.push(column.fts).push(" MATCH ");
                statement.bind(phrases.join(" AND "));
            }
            Engine::Postgres => {
                let first = indexed.next().unwrap_or_default();
                push_like(column, &first, statement);
                for needle in indexed {
                    push_like(column, &needle, statement.push(" AND "));
                }
            }
        }
    }
}

fn push_like(column: &SearchColumn, needle: &str, statement: &mut Statement) {
    statement.push(column.text).push(" LIKE ");
    statement.bind(format!("%{}%", like_literal(needle)));
}

/// What must occur: the term, or for a short one a word that begins with it.
fn needle(term: &str) -> String {
    if term.chars().count() >= INDEXED {
        term.to_owned()
    } else {
        format!(" {term}")
    }
}

fn like_literal(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMN: SearchColumn = SearchColumn {
        text: "c.search_text",
        id: "c.search_id",
        fts: "customers_search",
    };

    #[test]
    fn every_term_must_occur_and_short_ones_begin_a_word() {
        let text = index_text(["Ada", "Lovelace", "ada@example.test"]);

        assert_eq!(text, " ada lovelace ada@example.test");
        for (query, found) in [
            ("lace", true),
            ("lo ada", true),
            ("ov", false),
            ("a l", true),
            ("lace x", false),
        ] {
            let terms = SearchTerms::of(query).unwrap();
            assert_eq!(terms.found_in(&text), found, "{query}");
        }
        assert_eq!(SearchTerms::of("  "), None);
    }

    #[test]
    fn what_a_caller_typed_is_always_bound() {
        let terms = SearchTerms::of("100%_\" ' a").unwrap();
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let mut statement = Statement::new(engine, "SELECT 1 WHERE ");
            terms.push_examining(&COLUMN, &mut statement);
            terms.push_indexed(&COLUMN, statement.push(" AND "));

            assert!(
                !statement.text().contains(['%', '"', '\'']),
                "{}",
                statement.text()
            );
        }
    }
}
