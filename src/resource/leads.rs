//! The indexes of a table that lead from a filter to the few rows which can match it.
//!
//! Invariant: each row that matches a filter is among the rows of every [`Candidate`], so a page may use any of them.

use super::Partition;
use super::order::Order;
use crate::filter::{Bind as Literal, Filter};
use crate::store::{Bind, Engine, SearchColumn, SearchTerms, Statement};

/// A table of the database, with the alias `c`, and its indexes.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The table.
    pub table: &'static str,
    /// The columns that form the document of a row; empty if rows have a document and a version.
    pub parts: &'static [&'static str],
    /// The indexes. Of those of one field, the better comes first.
    pub leads: &'static [Lead],
}

/// An index of a table, and the field that it serves.
#[derive(Debug)]
pub struct Lead {
    /// The field that the filter must restrict.
    pub path: &'static str,
    /// How the field is looked up.
    pub index: Index,
    /// A condition that the statement must repeat for the index to be used.
    pub condition: &'static str,
}

/// The lookup that an index serves.
#[derive(Debug)]
pub enum Index {
    /// By its value, which at most one row has.
    Unique,
    /// By its value; rows of the same value lie in the order of their ids.
    Equal,
    /// By one value only, that in the condition of the index; the rows lie in the order of their ids.
    Value(i64),
    /// By bounds; rows lie in the order of the field.
    Range,
    /// By an element of a list, or by a value, in a table of pairs that lie in the order of the rows' ids.
    Pairs(Pairs),
    /// By an entry of a map, in a table that has the row's id. At most one row has the entry.
    Entries(Entries),
    /// By the words that must occur in the table's search text.
    Words(&'static SearchColumn),
}

/// A table of pairs, with its alias `m`.
#[derive(Debug)]
pub struct Pairs {
    /// The table and its alias, for example `memberships m`.
    pub from: &'static str,
    /// The column of the list's element.
    pub element: &'static str,
    /// The column of the row's id.
    pub id: &'static str,
}

/// A table of entries, with its alias `x`.
#[derive(Debug)]
pub struct Entries {
    /// The table and its alias, for example `customer_external_ids x`.
    pub from: &'static str,
    /// The column of the key.
    pub key: &'static str,
    /// The column of the value.
    pub value: &'static str,
    /// The column of the row's id.
    pub id: &'static str,
}

/// An index with the key to look up.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub(super) lead: &'static Lead,
    /// The column of the field.
    column: &'static str,
    pub(super) lookup: Lookup,
}

#[derive(Clone, Debug)]
pub(super) enum Lookup {
    Value(Bind),
    /// The condition of the index has the value.
    Condition,
    Bounds(Vec<(&'static str, Bind)>),
    Entry(String, String),
    Words(SearchTerms),
}

impl From<Literal> for Bind {
    fn from(literal: Literal) -> Self {
        match literal {
            Literal::Text(text) => Self::Text(text),
            Literal::Int(number) => Self::Int(number),
            Literal::Bool(value) => Self::Bool(value),
        }
    }
}

impl Source {
    /// Adds the version of a row; 0 if it has none.
    pub(super) fn push_version(&self, alias: &'static str, statement: &mut Statement) {
        match self.parts {
            [] => statement.push(alias).push(".version"),
            _ => statement.push("CAST(0 AS BIGINT)"),
        };
    }

    /// Adds the document of a row.
    pub(super) fn push_document(&self, alias: &'static str, statement: &mut Statement) {
        if self.parts.is_empty() {
            statement.push(alias).push(".doc");
            return;
        }
        let object = statement
            .engine()
            .pick("json_object(", "json_build_object(");
        statement.push("CAST(").push(object);
        for (place, part) in self.parts.iter().enumerate() {
            statement.push(if place == 0 { "'" } else { ", '" });
            statement
                .push(part)
                .push("', ")
                .push(alias)
                .push(".")
                .push(part);
        }
        statement.push(") AS TEXT)");
    }

    /// Returns the indexes that can serve a filter or a search.
    pub(super) fn candidates(
        &self,
        filter: &Filter,
        now: i64,
        search: Option<&SearchTerms>,
    ) -> Vec<Candidate> {
        let candidate = |lead: &'static Lead, lookup: Lookup| {
            let mut fields = filter.schema().fields.iter();
            let field = fields.find(|field| field.path == lead.path)?;
            let column = field.column;
            Some(Candidate {
                lead,
                column,
                lookup,
            })
        };
        let mut of_filter: Vec<Candidate> = Vec::new();
        for lead in self.leads {
            let is_new = of_filter.iter().all(|other| other.lead.path != lead.path);
            let lookup = lead.lookup(filter, now).filter(|_| is_new);
            of_filter.extend(lookup.and_then(|lookup| candidate(lead, lookup)));
        }
        let searched = self.leads.iter().find_map(|lead| {
            let terms = search.filter(|terms| terms.are_indexed())?;
            let by_words = matches!(lead.index, Index::Words(_));
            by_words.then(|| candidate(lead, Lookup::Words(terms.clone())))?
        });
        of_filter.extend(searched);
        of_filter
    }
}

impl Lead {
    /// Returns the lookup that a filter gives this index, if any.
    fn lookup(&self, filter: &Filter, now: i64) -> Option<Lookup> {
        let equality = || filter.equality(self.path).map(Bind::from);
        match &self.index {
            Index::Unique | Index::Equal => equality().map(Lookup::Value),
            Index::Value(value) => (equality()? == Bind::Int(*value)).then_some(Lookup::Condition),
            Index::Range => {
                let bounds = filter.bounds(self.path, now);
                let bounds: Vec<_> = bounds
                    .into_iter()
                    .map(|(operator, literal)| (operator, literal.into()))
                    .collect();
                (!bounds.is_empty()).then_some(Lookup::Bounds(bounds))
            }
            Index::Pairs(_) => match filter.element(self.path) {
                Some(element) => Some(Lookup::Value(element.into())),
                None => equality().map(Lookup::Value),
            },
            Index::Entries(_) => {
                let (key, value) = filter.entry(self.path)?;
                Some(Lookup::Entry(key, value))
            }
            Index::Words(_) => {
                let text = filter.needle(self.path).or_else(|| match equality() {
                    Some(Bind::Text(text)) => Some(text),
                    _ => None,
                })?;
                SearchTerms::within(&text).map(Lookup::Words)
            }
        }
    }
}

impl Candidate {
    /// Whether it has at most one row.
    pub(super) fn is_unique(&self) -> bool {
        matches!(self.lead.index, Index::Unique | Index::Entries(_))
    }

    /// The table of pairs in whose order its rows are read.
    pub(super) fn pairs(&self) -> Option<&'static Pairs> {
        match &self.lead.index {
            Index::Pairs(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Whether its rows lie in this order, so that a page needs only the first of them.
    pub(super) fn serves(&self, order: &Order) -> bool {
        match &self.lead.index {
            Index::Unique | Index::Entries(_) => true,
            Index::Equal => order.is_by_id() || order.is_by(self.lead.path),
            Index::Value(_) | Index::Pairs(_) => order.is_by_id(),
            Index::Range => order.first() == self.lead.path,
            Index::Words(_) => false,
        }
    }

    /// Adds a `SELECT` with the column `id` that finds the ids of at most `limit` rows.
    pub(super) fn push_ids(
        &self,
        source: Source,
        partition: &Partition,
        limit: i64,
        statement: &mut Statement,
    ) {
        statement.push("SELECT ");
        match (&self.lead.index, &self.lookup) {
            (Index::Pairs(pairs), _) => {
                statement
                    .push(pairs.id)
                    .push(" AS id FROM ")
                    .push(pairs.from);
                partition.push("m", statement.push(" WHERE "));
            }
            (Index::Entries(entries), _) => {
                statement.push(entries.id).push(" AS id FROM ");
                partition.push("x", statement.push(entries.from).push(" WHERE "));
            }
            (Index::Words(column), Lookup::Words(terms))
                if statement.engine() == Engine::Sqlite =>
            {
                statement.push("c.id AS id FROM ").push(column.fts);
                statement.push(" CROSS JOIN ").push(source.table).push(" c");
                terms.push_indexed(column, statement.push(" WHERE "));
                statement.push(" AND ").push(column.id).push(" = ");
                statement.push(column.fts).push(".rowid AND ");
                partition.push("c", statement);
            }
            _ => {
                statement.push("c.id AS id FROM ").push(source.table);
                partition.push("c", statement.push(" c WHERE "));
            }
        }
        self.push_condition(statement);
        statement.push(" LIMIT ").push_number(limit);
    }

    /// Adds a `SELECT` for counting the rows, up to `limit`. On SQLite, a search also counts rows of other shops.
    pub(super) fn push_rows(
        &self,
        source: Source,
        partition: &Partition,
        limit: i64,
        statement: &mut Statement,
    ) {
        if let (Index::Words(column), Lookup::Words(terms), Engine::Sqlite) =
            (&self.lead.index, &self.lookup, statement.engine())
        {
            statement.push("SELECT rowid AS id FROM ").push(column.fts);
            terms.push_indexed(column, statement.push(" WHERE "));
            statement.push(" LIMIT ").push_number(limit);
        } else {
            self.push_ids(source, partition, limit, statement);
        }
    }

    /// Adds the condition that all rows of the candidate meet.
    pub(super) fn push_condition(&self, statement: &mut Statement) {
        statement.push(self.lead.condition);
        match (&self.lead.index, &self.lookup) {
            (Index::Pairs(pairs), Lookup::Value(value)) => {
                statement.push(" AND ").push(pairs.element).push(" = ");
                statement.bind(value.clone());
            }
            (Index::Entries(entries), Lookup::Entry(key, value)) => {
                statement.push(" AND ").push(entries.key).push(" = ");
                statement.bind(key.clone());
                statement.push(" AND ").push(entries.value).push(" = ");
                statement.bind(value.clone());
            }
            (_, Lookup::Value(value)) => {
                statement.push(" AND ").push(self.column).push(" = ");
                statement.bind(value.clone());
            }
            (_, Lookup::Bounds(bounds)) => {
                for (operator, bound) in bounds {
                    statement.push(" AND ").push(self.column).push(operator);
                    statement.bind(bound.clone());
                }
            }
            (Index::Words(found), Lookup::Words(terms))
                if statement.engine() == Engine::Postgres =>
            {
                terms.push_indexed(found, statement.push(" AND "));
            }
            _ => {}
        }
    }
}
