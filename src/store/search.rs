//! Search by words, with equal results on both engines.
//!
//! A search reads one column of folded words ([`index_text`]), each after a blank. Each term of a query must
//! occur in it. Terms of three or more characters match anywhere. Shorter terms match at the beginning of a
//! word, or anywhere in scripts that put no blanks between words. The column is in ASCII ([`ascii`]), so that
//! each term of such a script has the three characters that a trigram index needs (FTS5; `pg_trgm`, which
//! knows only ASCII letters in the locale `C`).
//!
//! If the content of the column changes, increase `INDEX_VERSION` of the customers.

mod ascii;

use super::{Engine, Statement, dialect};
use crate::filter::fold;
use ascii::{has_no_blanks, push_ascii};

/// The least length of a term that the trigram index finds.
const INDEXED: usize = 3;

/// Makes the search text of a row from all the fields that the search covers.
///
/// A hyphenated word is included in parts and as a whole: `Jean-Luc` is found as `jean luc` and as `jeanluc`.
#[must_use]
pub fn index_text<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for field in fields {
        for word in fold(field).split_whitespace() {
            let mut parts = parts_of(word);
            let Some(first) = parts.next() else { continue };
            push_word(&mut text, first);
            let mut whole = first.to_owned();
            for part in parts {
                push_word(&mut text, part);
                whole.push_str(part);
            }
            if whole.len() > first.len() {
                push_word(&mut text, &whole);
            }
        }
    }
    text
}

/// Joins two parts of a name without a blank if their script has none, for example `王小明`; None for others.
#[must_use]
pub fn joined_name(one: &str, other: &str) -> Option<String> {
    let (end, begin) = (one.trim().chars().last()?, other.trim().chars().next()?);
    let joins = has_no_blanks(end) && has_no_blanks(begin);
    joins.then(|| format!("{}{}", one.trim(), other.trim()))
}

fn push_word(text: &mut String, word: &str) {
    text.push(' ');
    push_ascii(text, word);
}

/// The parts of a word between hyphens, and between the middle dots of Chinese and Japanese names.
fn parts_of(word: &str) -> impl Iterator<Item = &str> {
    let parts = word.split(['-', '·', '・']);
    parts.filter(|part| !part.is_empty())
}

/// The terms of a query, in the form in which they must occur in a search text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchTerms(Vec<String>);

/// The location of the search text of a kind of resource.
#[derive(Clone, Copy, Debug)]
pub struct SearchColumn {
    /// The column of [`index_text`], as the statement names it (`c.search_text`).
    pub text: &'static str,
    /// The number of the row in `fts`, as the statement names it (`c.search_id`).
    pub id: &'static str,
    /// The FTS5 table with trigrams on SQLite, whose rowid is `id`.
    pub fts: &'static str,
}

impl SearchTerms {
    /// Reads the terms of a query; None if it is blank, which means no search. A query without any term finds
    /// nothing.
    #[must_use]
    pub fn of(query: &str) -> Option<Self> {
        if query.trim().is_empty() {
            return None;
        }
        let mut needles: Vec<String> = Vec::new();
        for term in fold(query).split_whitespace() {
            let needle = needle(term);
            if !needle.is_empty() && !needles.contains(&needle) {
                needles.push(needle);
            }
        }
        Some(Self(needles))
    }

    /// Returns words that occur in the search text of every row with a field that contains this text. None if
    /// an index cannot find any of them.
    #[must_use]
    pub fn within(text: &str) -> Option<Self> {
        let mut needles = Vec::new();
        for part in fold(text).split_whitespace().flat_map(parts_of) {
            let mut needle = String::new();
            push_ascii(&mut needle, part);
            if needle.len() >= INDEXED {
                needles.push(needle);
            }
        }
        (!needles.is_empty()).then_some(Self(needles))
    }

    /// Whether no text can match.
    #[must_use]
    pub fn find_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a text made by [`index_text`] matches.
    #[cfg(test)]
    #[must_use]
    pub fn found_in(&self, text: &str) -> bool {
        !self.0.is_empty() && self.0.iter().all(|needle| text.contains(needle.as_str()))
    }

    /// Whether an index can find a term, so that a search may begin with the index.
    #[must_use]
    pub fn are_indexed(&self) -> bool {
        self.0.iter().any(|needle| needle.len() >= INDEXED)
    }

    /// Adds the condition to a statement that examines rows anyway, without an index.
    pub fn push_examining(&self, column: &SearchColumn, statement: &mut Statement) {
        if self.0.is_empty() {
            statement.push(NOTHING);
            return;
        }
        let mut between = "(";
        for needle in &self.0 {
            let placeholder = statement.keep(needle.as_str());
            let piece = dialect::contains(statement.engine(), column.text, &placeholder);
            statement.push(between).push_piece(&piece);
            between = " AND ";
        }
        statement.push(")");
    }

    /// Adds the condition of the terms that the index can find. On SQLite it is a condition on the table
    /// `fts`.
    pub fn push_indexed(&self, column: &SearchColumn, statement: &mut Statement) {
        let mut indexed = self.0.iter().filter(|needle| needle.len() >= INDEXED);
        match statement.engine() {
            Engine::Sqlite => {
                let phrases: Vec<String> = indexed
                    .map(|needle| format!("\"{}\"", needle.replace('"', "\"\"")))
                    .collect();
                statement.push(column.fts).push(" MATCH ");
                statement.bind(phrases.join(" AND "));
            }
            Engine::Postgres => {
                let first = indexed.next().map_or("", String::as_str);
                push_like(column, first, statement);
                for needle in indexed {
                    push_like(column, needle, statement.push(" AND "));
                }
            }
        }
    }
}

fn push_like(column: &SearchColumn, needle: &str, statement: &mut Statement) {
    statement.push(column.text).push(" LIKE ");
    statement.bind(format!("%{}%", like_literal(needle)));
}

/// The condition of a query without terms.
const NOTHING: &str = "(1 = 0)";

/// Returns the text that must occur for a folded term: its parts side by side. A blank precedes a term that
/// is too short to be found within words. Empty for a term that consists of hyphens.
fn needle(term: &str) -> String {
    let is_short = term.chars().count() < INDEXED && !term.chars().any(has_no_blanks);
    let mut needle = String::new();
    for part in parts_of(term) {
        if is_short || !needle.is_empty() {
            needle.push(' ');
        }
        push_ascii(&mut needle, part);
    }
    needle
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

    fn finds(query: &str, text: &str) -> bool {
        SearchTerms::of(query).unwrap().found_in(text)
    }

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
            ("ada ada ada ada ada ada ada ada ada ada ada x", false),
        ] {
            assert_eq!(finds(query, &text), found, "{query}");
        }
        assert_eq!(SearchTerms::of("  "), None);
    }

    #[test]
    fn a_query_of_nothing_that_can_be_found_finds_nothing() {
        for query in ["-", "'", "\u{640}", "\u{301} -- '", "\u{200b}"] {
            let terms = SearchTerms::of(query).unwrap();
            assert!(!terms.found_in(" ada"), "{query:?}");
            assert!(terms.find_nothing(), "{query:?}");
            let mut statement = Statement::new(Engine::Sqlite, "");
            terms.push_examining(&COLUMN, &mut statement);
            assert_eq!(statement.text(), "(1 = 0)");
        }
    }

    #[test]
    fn short_terms_match_within_words_where_the_script_has_no_blanks() {
        let wang = index_text(["小明", "王", "王小明"]);
        let thai = index_text(["สมชาย"]);
        let anna = index_text(["Анна"]);

        for query in ["小明", "明", "王", "王小", "王小明"] {
            assert!(finds(query, &wang), "{query}");
            assert!(SearchTerms::of(query).unwrap().are_indexed(), "{query}");
        }
        assert!(finds("ชา", &thai) && !finds("小", &thai));
        assert!(finds("ан", &anna) && !finds("нн", &anna) && finds("нна", &anna));
    }

    #[test]
    fn a_name_is_joined_where_its_script_has_no_blanks() {
        assert_eq!(joined_name("王", "小明").as_deref(), Some("王小明"));
        assert_eq!(joined_name("Lovelace", "Ada"), None);
        assert_eq!(joined_name("王", ""), None);
    }

    #[test]
    fn the_text_of_a_row_has_the_parts_of_its_fields() {
        let text = index_text(["Jean-Luc O’Brien", "王小明"]);

        for part in ["jean-luc obr", "n-luc", "obrien", "小", "王小明"] {
            let terms = SearchTerms::within(part).unwrap();
            assert!(terms.are_indexed() && terms.found_in(&text), "{part}");
        }
        assert_eq!(SearchTerms::within("n-l"), None);
        assert!(!SearchTerms::within("luc-jeans").unwrap().found_in(&text));
    }

    #[test]
    fn hyphens_may_be_left_out_or_be_blanks() {
        let hyphen = index_text(["Jean-Luc"]);
        let blank = index_text(["Jean Luc"]);

        assert_eq!(hyphen, " jean luc jeanluc");
        for query in [
            "jean-luc", "jean luc", "jeanluc", "JEAN‑L", "an-lu", "-luc-",
        ] {
            assert!(finds(query, &hyphen), "{query}");
        }
        assert!(finds("jean-luc", &blank) && !finds("luc-jean", &blank));
        assert!(finds("c-1", &index_text(["C-1"])));
        assert!(!finds("c-1", &index_text(["Cem", "1"])));
    }

    #[test]
    fn the_text_of_a_caller_is_always_bound() {
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
