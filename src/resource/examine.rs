//! Chooses the rows that a page scans, and selects those that match.
//!
//! A page uses the index with the fewest rows. The database evaluates the filter on the columns of each row, and
//! reads the documents of matching rows only. A page examines a bounded number of rows. Then it ends, and the next
//! page continues there.

use std::cmp::Ordering;

use super::leads::{Candidate, Index, Source};
use super::order::{Key, Order};
use super::{Partition, Row};
use crate::error::Result;
use crate::filter::Filter;
use crate::limits;
use crate::store::{Conn, Engine, SearchColumn, SearchTerms, Statement};

/// The most rows that one page examines.
const EXAMINED_MAX: i64 = limits::PAGE_ROWS_EXAMINED_MAX as i64;
/// The most rows of an index that each page sorts. If there are more, a page scans in the order of the list, because
/// enough of the rows match soon.
const SORTED_MAX: i64 = 2_000;

/// The query of a list: its table, filter, search and order.
#[derive(Debug)]
pub struct Examination<'e> {
    /// The table and its indexes.
    pub source: Source,
    /// Whether the documents are read, too.
    pub documents: bool,
    /// The rows to scan, in one order. No two partitions have a row with the same id.
    pub partitions: &'e [Partition],
    /// The filter that rows must match.
    pub filter: &'e Filter,
    /// The value of `now` in the filter, in microseconds.
    pub now: i64,
    /// A further SQL condition, a constant of the program; empty for none.
    pub condition: &'static str,
    /// The words that must occur, and the column that is searched.
    pub search: Option<(&'static SearchColumn, &'e SearchTerms)>,
    /// The fields whose indexes do not have all rows that may match.
    pub without: &'e [&'e str],
    /// The order.
    pub order: &'e Order,
}

/// The rows that a page scans.
#[derive(Debug)]
pub enum Scan {
    /// All rows, in the order of the list.
    Full,
    /// The rows of an index that has them in the order of the list.
    Ordered(Candidate),
    /// The rows of an index that has few, which are sorted.
    Sorted(Candidate),
}

impl Examination<'_> {
    /// Chooses the rows that a page scans.
    ///
    /// # Errors
    /// The database's.
    pub async fn scan(&self, conn: &mut Conn) -> Result<Scan> {
        let search = self.search.map(|(_, terms)| terms);
        let mut candidates = self.source.candidates(self.filter, self.now, search);
        candidates.retain(|candidate| !self.without.contains(&candidate.lead.path));
        if let Some(unique) = candidates.iter().position(Candidate::is_unique) {
            return Ok(Scan::Ordered(candidates.swap_remove(unique)));
        }
        let serves = |candidate: &Candidate| candidate.serves(self.order);
        match candidates.as_slice() {
            [] => return Ok(Scan::Full),
            [single] if serves(single) => return Ok(Scan::Ordered(candidates.remove(0))),
            _ => {}
        }
        let mut counted: Vec<(i64, Candidate)> = self
            .count(conn, &candidates)
            .await?
            .into_iter()
            .zip(candidates)
            .collect();
        // With equal counts, prefer rows that are in order already.
        counted.sort_by(|(few, one), (many, other)| match few.cmp(many) {
            Ordering::Equal => serves(other).cmp(&serves(one)),
            different => different,
        });
        let few = counted.first().is_some_and(|(rows, _)| *rows <= SORTED_MAX);
        let mut counted = counted.into_iter().map(|(_, candidate)| candidate);
        let best = if few {
            counted.next()
        } else {
            counted.find(serves)
        };
        Ok(match best {
            Some(candidate) if serves(&candidate) => Scan::Ordered(candidate),
            Some(candidate) => Scan::Sorted(candidate),
            None => Scan::Full,
        })
    }

    /// Counts the rows of each candidate, up to one more than are sorted.
    async fn count(&self, conn: &mut Conn, candidates: &[Candidate]) -> Result<Vec<i64>> {
        let mut statement = Statement::new(conn.engine(), "");
        for (index, candidate) in candidates.iter().enumerate() {
            for partition in self.partitions {
                let is_first = statement.text().is_empty();
                statement.push(if is_first { "" } else { " UNION ALL " });
                statement.push("SELECT CAST(");
                statement.push_number(i64::try_from(index).unwrap_or_default());
                statement.push(" AS BIGINT) AS lead, COUNT(*) AS found FROM (");
                candidate.push_rows(self.source, partition, SORTED_MAX + 1, &mut statement);
                statement.push(") AS f");
            }
        }
        let mut found = vec![0; candidates.len()];
        let rows: Vec<(i64, i64)> = statement.fetch_all(conn).await?;
        for (lead, rows) in rows {
            found[usize::try_from(lead).unwrap_or_default()] += rows;
        }
        Ok(found)
    }

    /// Reads the first matching rows after a place, of those that one page may examine.
    ///
    /// # Errors
    /// The database's; INVALID_PAGE_TOKEN.
    pub async fn rows(
        &self,
        conn: &mut Conn,
        scan: &Scan,
        place: Option<&[Key]>,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let mut statement = Statement::new(conn.engine(), "SELECT e.id, e.version, ");
        if self.documents {
            statement.push("(SELECT ");
            self.source.push_document("d", &mut statement);
            statement.push(" FROM ").push(self.source.table);
            statement.push(" d WHERE d.id = e.id AND ");
            Partition::push_any(self.partitions, "d", &mut statement);
            statement.push(")");
        } else {
            statement.push("''");
        }
        for index in 0..self.order.columns() {
            statement.push(", e.key").push_number(index);
        }
        statement.push(" FROM (");
        self.push_examined(&mut statement, scan, place, true)?;
        statement.push(" LIMIT ").push_number(EXAMINED_MAX);
        // The rows keep the order of the scan, and the database examines no more than the page needs.
        statement.push(") AS e WHERE e.fits LIMIT ");
        statement.push_number(i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(statement.fetch_all(conn).await?)
    }

    /// Reads the last row that one page may examine after a place. None if the page reaches the end.
    ///
    /// # Errors
    /// The database's; INVALID_PAGE_TOKEN.
    pub async fn last(
        &self,
        conn: &mut Conn,
        scan: &Scan,
        place: Option<&[Key]>,
    ) -> Result<Option<Row>> {
        if matches!(scan, Scan::Sorted(_)) || self.matches_all() {
            return Ok(None);
        }
        let mut statement = Statement::new(conn.engine(), "");
        self.push_examined(&mut statement, scan, place, false)?;
        // The offset skips the rows that were just examined. It is bounded, so no page costs more than the first.
        statement
            .push(" LIMIT 1 OFFSET ")
            .push_number(EXAMINED_MAX - 1);
        Ok(statement.fetch_all(conn).await?.pop())
    }

    /// Returns a statement of all matching rows, for counting them.
    pub fn matching(&self, engine: Engine, scan: &Scan) -> Statement {
        let mut statement = Statement::new(engine, "");
        for (place, partition) in self.partitions.iter().enumerate() {
            statement.push(if place == 0 { "" } else { " UNION ALL " });
            statement.push("SELECT 1 AS one");
            self.push_from(&mut statement, scan, partition);
            self.push_matches(statement.push(" AND "));
        }
        statement
    }

    /// Whether every row matches.
    fn matches_all(&self) -> bool {
        self.filter.is_everything() && self.condition.is_empty() && self.search.is_none()
    }

    /// Adds a statement of the rows after a place, in order and without a limit. If `with_match`, it has the column
    /// `fits`, otherwise an empty document.
    fn push_examined(
        &self,
        statement: &mut Statement,
        scan: &Scan,
        place: Option<&[Key]>,
        with_match: bool,
    ) -> Result<()> {
        if let [partition] = self.partitions {
            return self.push_part(statement, scan, place, with_match, partition);
        }
        for (number, partition) in self.partitions.iter().enumerate() {
            statement.push(if number == 0 { "" } else { " UNION ALL " });
            statement.push("SELECT p.* FROM (");
            self.push_part(statement, scan, place, with_match, partition)?;
            // No more rows of each partition are sorted than a page may examine.
            statement.push(" LIMIT ").push_number(EXAMINED_MAX);
            statement.push(") AS p");
        }
        self.order.push(statement);
        Ok(())
    }

    fn push_part(
        &self,
        statement: &mut Statement,
        scan: &Scan,
        place: Option<&[Key]>,
        with_match: bool,
        partition: &Partition,
    ) -> Result<()> {
        statement.push("SELECT c.id AS id, ");
        self.source.push_version("c", statement);
        statement.push(" AS version");
        statement.push(if with_match { "" } else { ", ''" });
        self.order.push_columns(statement);
        if with_match {
            self.push_matches(statement.push(", ("));
            statement.push(") AS fits");
        }
        self.push_from(statement, scan, partition);
        let pairs = match scan {
            Scan::Ordered(candidate) => candidate.pairs(),
            _ => None,
        };
        match (place, pairs) {
            (Some(place), Some(pairs)) => self.order.push_after_id(statement, pairs.id, place)?,
            (Some(place), None) => self.order.push_after(statement.push(" AND "), place)?,
            (None, _) if matches!(scan, Scan::Full) => self.order.push_from_first(statement),
            (None, _) => {}
        }
        self.order
            .push_by(statement, pairs.map_or("id", |pairs| pairs.id));
        Ok(())
    }

    /// Adds the FROM clause.
    fn push_from(&self, statement: &mut Statement, scan: &Scan, partition: &Partition) {
        match scan {
            Scan::Full => {
                statement.push(" FROM ").push(self.source.table);
                partition.push("c", statement.push(" c WHERE "));
            }
            Scan::Ordered(candidate) => {
                // `CROSS JOIN` makes SQLite keep the order of the tables.
                let of = match &candidate.lead.index {
                    Index::Pairs(pairs) => Some((pairs.from, "m", pairs.id)),
                    Index::Entries(entries) => Some((entries.from, "x", entries.id)),
                    _ => None,
                };
                statement.push(" FROM ");
                if let Some((from, alias, id)) = of {
                    statement.push(from).push(" CROSS JOIN ");
                    statement.push(self.source.table).push(" c WHERE ");
                    partition.push(alias, statement);
                    statement.push(" AND c.id = ").push(id);
                    partition.push("c", statement.push(" AND "));
                } else {
                    statement.push(self.source.table);
                    partition.push("c", statement.push(" c WHERE "));
                }
                candidate.push_condition(statement);
            }
            Scan::Sorted(candidate) => match statement.engine() {
                Engine::Sqlite => {
                    statement.push(" FROM (");
                    candidate.push_ids(self.source, partition, EXAMINED_MAX, statement);
                    statement.push(") AS f CROSS JOIN ").push(self.source.table);
                    statement.push(" c WHERE c.id = f.id AND ");
                    partition.push("c", statement);
                }
                Engine::Postgres => {
                    statement.push(" FROM ").push(self.source.table);
                    statement.push(" c WHERE c.id = ANY(ARRAY(");
                    candidate.push_ids(self.source, partition, EXAMINED_MAX, statement);
                    partition.push("c", statement.push(")) AND "));
                }
            },
        }
    }

    /// Adds the condition that a row matches.
    fn push_matches(&self, statement: &mut Statement) {
        statement.push_filter(self.filter, self.now);
        if !self.condition.is_empty() {
            statement.push(" AND ").push(self.condition);
        }
        if let Some((column, terms)) = self.search {
            statement.push(" AND ");
            terms.push_examining(column, statement);
        }
    }
}
