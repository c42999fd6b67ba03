//! The rows that a page goes through, and which of them match.
//!
//! A page begins with the index that leads to the fewest rows, and the database judges those one by one
//! from their columns; documents are read of what matches. It examines a bounded number of rows: after
//! that it ends where it is, and the next page goes on from there.

use std::cmp::Ordering;

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::leads::{Candidate, Index};
use super::{Key, Order, Table};
use crate::error::Result;
use crate::feed::PageQuery;
use crate::filter::Filter;
use crate::limits;
use crate::store::{Bind, Conn, Engine, SearchColumn, SearchTerms, Statement, dialect};

/// Rows that one page examines.
const EXAMINED: i64 = limits::PAGE_ROWS_EXAMINED_MAX as i64;
/// Rows that are gathered by their index and put in order for each page. Where there are more, a page finds
/// enough of them in their order.
const GATHERED: i64 = 2_000;

/// The query of a list: its table, filter, search and order.
#[derive(Debug)]
pub struct Examination<'e> {
    /// The table.
    pub table: &'static Table,
    /// The columns that [`rows`](Self::rows) reads, each with its name in the result.
    pub columns: &'static [(&'static str, &'static str)],
    /// Whether the document of a row is read too, as `doc`.
    pub documents: bool,
    /// The shop.
    pub shop: &'e str,
    /// The filter that rows must match.
    pub filter: &'e Filter,
    /// The value of `now` in the filter, in microseconds.
    pub now: i64,
    /// A further SQL condition, a constant of the program; empty for none.
    pub condition: &'static str,
    /// The words that must occur, and the column that is searched.
    pub search: Option<(&'static SearchColumn, &'e SearchTerms)>,
    /// Indexes that do not lead to all rows which may match.
    pub without: &'e [&'e str],
    /// The order.
    pub order: &'e Order,
}

/// The rows that a page scans.
#[derive(Debug)]
pub enum Way {
    /// All of the shop, in their order.
    Whole,
    /// Those of an index that has them in their order.
    Along(Candidate),
    /// Those of an index that leads to few, which are put in order.
    Gathered(Candidate),
}

/// A row with its document.
pub type Document = (String, i64, String);

/// A page of a table in the order of names, and after which id the next one begins.
///
/// # Errors
/// The database's.
pub async fn by_name(
    conn: &mut Conn,
    table: &'static Table,
    condition: &'static str,
    query: &PageQuery,
    filter: &Filter,
) -> Result<(Vec<Document>, Option<String>)> {
    let order = Order::by_name(filter.schema());
    let examination = Examination {
        table,
        columns: &[("c.id", "id"), ("c.version", "version")],
        documents: true,
        shop: &query.shop,
        filter,
        now: query.now,
        condition,
        search: None,
        without: &[],
        order: &order,
    };
    let way = examination.way(conn).await?;
    let after = query.after.clone().map(Key::Text);
    let after = after.as_ref().map(std::slice::from_ref);
    let limit = usize::try_from(query.limit).unwrap_or_default();
    let rows: Vec<Document> = examination.rows(conn, &way, after, limit).await?;
    let next = if rows.len() == limit {
        rows.last().map(|(id, ..)| id.clone())
    } else {
        let last: Option<Document> = examination.last(conn, &way, after).await?;
        last.map(|(id, ..)| id)
    };
    Ok((rows, next))
}

/// A page, in the order of names, of the rows to which a condition leads. `select` adds the condition, from
/// ` AND ` on.
///
/// # Errors
/// The database's.
pub async fn selected(
    conn: &mut Conn,
    table: &'static Table,
    query: &PageQuery,
    select: impl FnOnce(&mut Statement),
) -> Result<Vec<Document>> {
    let mut statement = Statement::new(conn.engine(), "SELECT c.id, c.version, c.doc FROM ");
    statement.push(table.from).push(" WHERE c.shop_id = ");
    statement.bind(&*query.shop);
    select(&mut statement);
    if let Some(filter) = &query.filter {
        statement.push(" AND ").push_filter(filter, query.now);
    }
    if let Some(after) = &query.after {
        statement.push(" AND c.id > ").bind(&**after);
    }
    statement
        .push(" ORDER BY c.id LIMIT ")
        .push_number(query.limit);
    Ok(statement.fetch_all(conn).await?)
}

/// Adds the condition that a row has one of these ids.
pub fn push_ids(statement: &mut Statement, ids: &[String]) {
    let ids = statement.keep(Bind::Texts(ids.to_vec()));
    let any = dialect::any_of(statement.engine(), "c.id", &ids);
    statement.push(" AND ").push_piece(&any);
}

impl Examination<'_> {
    /// Chooses the rows that a page scans.
    ///
    /// # Errors
    /// The database's.
    pub async fn way(&self, conn: &mut Conn) -> Result<Way> {
        let search = self.search.map(|(_, terms)| terms);
        let mut candidates = self.table.candidates(self.filter, self.now, search);
        candidates.retain(|candidate| !self.without.contains(&candidate.lead.path));
        if let Some(unique) = candidates.iter().position(Candidate::is_unique) {
            return Ok(Way::Along(candidates.swap_remove(unique)));
        }
        let serves = |candidate: &Candidate| candidate.serves(self.order);
        match candidates.as_slice() {
            [] => return Ok(Way::Whole),
            [single] if serves(single) => return Ok(Way::Along(candidates.remove(0))),
            _ => {}
        }
        let mut counted: Vec<(i64, Candidate)> = self
            .count(conn, &candidates)
            .await?
            .into_iter()
            .zip(candidates)
            .collect();
        // Of equally few those that are in order already.
        counted.sort_by(|(few, one), (many, other)| match few.cmp(many) {
            Ordering::Equal => serves(other).cmp(&serves(one)),
            different => different,
        });
        let few = counted.first().is_some_and(|(rows, _)| *rows <= GATHERED);
        let mut counted = counted.into_iter().map(|(_, candidate)| candidate);
        let best = if few {
            counted.next()
        } else {
            counted.find(serves)
        };
        Ok(match best {
            Some(candidate) if serves(&candidate) => Way::Along(candidate),
            Some(candidate) => Way::Gathered(candidate),
            None => Way::Whole,
        })
    }

    /// How many rows each of the candidates has, up to one more than are gathered.
    async fn count(&self, conn: &mut Conn, candidates: &[Candidate]) -> Result<Vec<i64>> {
        let mut statement = Statement::new(conn.engine(), "");
        for (index, candidate) in candidates.iter().enumerate() {
            statement.push(if index == 0 { "" } else { " UNION ALL " });
            statement.push("SELECT CAST(");
            statement.push_number(i64::try_from(index).unwrap_or_default());
            statement.push(" AS BIGINT) AS lead, COUNT(*) AS found FROM (");
            candidate.push_rows(self.table, self.shop, GATHERED + 1, &mut statement);
            statement.push(") AS f");
        }
        let mut rows: Vec<(i64, i64)> = statement.fetch_all(conn).await?;
        rows.sort_unstable();
        Ok(rows.into_iter().map(|(_, found)| found).collect())
    }

    /// The first rows after a place that match, of those that one page may examine.
    ///
    /// # Errors
    /// The database's; INVALID_PAGE_TOKEN.
    pub async fn rows<R>(
        &self,
        conn: &mut Conn,
        way: &Way,
        place: Option<&[Key]>,
        limit: usize,
    ) -> Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut statement = Statement::new(conn.engine(), "SELECT ");
        for (index, (_, name)) in self.columns.iter().enumerate() {
            statement.push(if index == 0 { "e." } else { ", e." });
            statement.push(name);
        }
        if self.documents {
            statement
                .push(", (SELECT d.doc FROM ")
                .push(self.table.documents);
            statement.push(" WHERE d.id = e.id AND d.shop_id = ");
            statement.bind(self.shop).push(") AS doc");
        }
        statement.push(" FROM (");
        self.push_select(&mut statement);
        statement.push(", (");
        self.push_matches(&mut statement);
        statement.push(") AS fits");
        self.push_after(&mut statement, way, place)?;
        statement.push(" LIMIT ").push_number(EXAMINED);
        // The rows come as they were examined, and no more are than the page needs.
        statement.push(") AS e WHERE e.fits LIMIT ");
        statement.push_number(i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(statement.fetch_all(conn).await?)
    }

    /// The last row that one page may examine after a place; none if the page reaches the end.
    ///
    /// # Errors
    /// The database's; INVALID_PAGE_TOKEN.
    pub async fn last<R>(
        &self,
        conn: &mut Conn,
        way: &Way,
        place: Option<&[Key]>,
    ) -> Result<Option<R>>
    where
        R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        if matches!(way, Way::Gathered(_)) || self.is_unjudged() {
            return Ok(None);
        }
        let mut statement = Statement::new(conn.engine(), "");
        self.push_select(&mut statement);
        if self.documents {
            statement.push(", '' AS doc");
        }
        self.push_after(&mut statement, way, place)?;
        // This passes over what was just examined, which is bounded: no page costs more than the first.
        statement.push(" LIMIT 1 OFFSET ").push_number(EXAMINED - 1);
        Ok(statement.fetch_all(conn).await?.pop())
    }

    /// A statement over all rows that match, to be counted.
    pub fn matching(&self, engine: Engine, way: &Way) -> Statement {
        let mut statement = Statement::new(engine, "SELECT 1 AS one");
        self.push_from(&mut statement, way);
        statement.push(" AND ");
        self.push_matches(&mut statement);
        statement
    }

    /// Whether each row matches.
    fn is_unjudged(&self) -> bool {
        self.filter.is_everything() && self.condition.is_empty() && self.search.is_none()
    }

    fn push_select(&self, statement: &mut Statement) {
        for (index, (column, name)) in self.columns.iter().enumerate() {
            statement.push(if index == 0 { "SELECT " } else { ", " });
            statement.push(column).push(" AS ").push(name);
        }
    }

    /// Adds the FROM clause.
    fn push_from(&self, statement: &mut Statement, way: &Way) {
        let shop = self.shop;
        match way {
            Way::Whole => {
                statement.push(" FROM ").push(self.table.from);
                statement.push(" WHERE c.shop_id = ").bind(shop);
            }
            Way::Along(candidate) => {
                // `CROSS JOIN` has SQLite keep the order of the tables.
                let of = match &candidate.lead.index {
                    Index::Pairs(pairs) => Some((pairs.from, "m.shop_id", pairs.id)),
                    Index::Entries(entries) => Some((entries.from, "x.shop_id", entries.id)),
                    _ => None,
                };
                statement.push(" FROM ");
                if let Some((from, of_shop, id)) = of {
                    statement
                        .push(from)
                        .push(" CROSS JOIN ")
                        .push(self.table.from);
                    statement
                        .push(" WHERE ")
                        .push(of_shop)
                        .push(" = ")
                        .bind(shop);
                    statement.push(" AND c.id = ").push(id);
                    statement.push(" AND c.shop_id = ").bind(shop);
                } else {
                    statement.push(self.table.from);
                    statement.push(" WHERE c.shop_id = ").bind(shop);
                }
                candidate.push_condition(statement);
            }
            Way::Gathered(candidate) => match statement.engine() {
                Engine::Sqlite => {
                    statement.push(" FROM (");
                    candidate.push_ids(self.table, shop, EXAMINED, statement);
                    statement.push(") AS f CROSS JOIN ").push(self.table.from);
                    statement.push(" WHERE c.id = f.id AND c.shop_id = ");
                    statement.bind(shop);
                }
                Engine::Postgres => {
                    statement.push(" FROM ").push(self.table.from);
                    statement.push(" WHERE c.id = ANY(ARRAY(");
                    candidate.push_ids(self.table, shop, EXAMINED, statement);
                    statement.push(")) AND c.shop_id = ").bind(shop);
                }
            },
        }
    }

    /// Adds the FROM clause, the condition that rows come after a place, and the ORDER BY clause.
    fn push_after(
        &self,
        statement: &mut Statement,
        way: &Way,
        place: Option<&[Key]>,
    ) -> Result<()> {
        self.push_from(statement, way);
        if let Way::Along(candidate) = way
            && let Index::Pairs(pairs) = &candidate.lead.index
        {
            return self.order.push_by_id(statement, pairs.id, place);
        }
        match place {
            Some(place) => {
                statement.push(" AND ");
                self.order.push_after(statement, place)?;
            }
            None if matches!(way, Way::Whole) => self.order.push_from_first(statement),
            None => {}
        }
        self.order.push(statement);
        Ok(())
    }

    /// Adds whether a row matches.
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
