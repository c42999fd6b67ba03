//! Watches of resources, and the pages of their snapshots.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prost::{Message, Name};

use super::examine::Examination;
use super::order::{Key, Order};
use super::{Partition, Row, Table, page};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Decoded, Feed, PageQuery, Rows, Scope, WatchRequest};
use crate::filter::Filter;
use crate::proto::pb;
use crate::store::{Bind, Conn, Statement, dialect};

/// Opens the watch of a collection: of all its resources, of those that match a filter, or of those with names.
///
/// # Errors
/// INVALID_FIELD for a filter together with names; INVALID_FILTER; those of the feed.
pub fn watch<M>(
    feed: &Feed,
    table: &'static Table<M>,
    caller: Arc<Caller>,
    filter: &str,
    names: &[String],
    options: Option<pb::WatchOptions>,
) -> Result<feed::Stream>
where
    M: Message + Name + Default + Send + Sync,
{
    if !filter.is_empty() && !names.is_empty() {
        let text = "a watch has a filter or names, not both";
        return Err(Error::invalid_field("names", "CONFLICT", text));
    }
    let filter = page::filter(filter, table.schema(), &table.visible_to(caller.roles))?;
    let filter = table.owned.narrowed(filter, &caller);
    let scope = if names.is_empty() {
        Scope::All
    } else {
        Scope::Ids(
            names
                .iter()
                .map(|name| table.id_of(name).to_owned())
                .collect(),
        )
    };
    feed.watch(WatchRequest {
        caller,
        resource: table,
        scope,
        filter: (!filter.is_everything()).then_some(filter),
        options,
    })
}

impl<M> feed::Resource for Table<M>
where
    M: Message + Name + Default + Send + Sync,
{
    fn kind(&self) -> feed::Kind {
        self.kind
    }

    fn collection(&self) -> &'static str {
        self.collection
    }

    fn is_owned(&self) -> bool {
        self.owned.is_some()
    }

    fn decode(&'static self, body: &[u8]) -> Result<Arc<dyn Decoded>> {
        Ok(Arc::new(Table::decode(self, body)?))
    }

    fn page<'c>(
        &'static self,
        conn: &'c mut Conn,
        query: PageQuery,
    ) -> BoxFuture<'c, Result<Rows>> {
        self.snapshot(conn, query).boxed()
    }
}

impl<M> Table<M>
where
    M: Message + Name + Default + Send + Sync,
{
    /// Reads a page of a snapshot, in the order of names. A version looks the same in a snapshot and in the log,
    /// because both show it as stored.
    async fn snapshot(&'static self, conn: &mut Conn, query: PageQuery) -> Result<Rows> {
        let (rows, next) = match &query.scope {
            Scope::All => self.examined(conn, &query).await?,
            Scope::Ids(_) | Scope::Topic(_) => self.selected(conn, &query).await?,
        };
        let mut shown = Vec::with_capacity(rows.len());
        for Row {
            id, version, doc, ..
        } in rows
        {
            let message = (self.read)(id.clone(), version, &doc)?;
            let body = Bytes::from(message.encode_to_vec());
            shown.push(feed::Row { id, version, body });
        }
        Ok(Rows { rows: shown, next })
    }

    /// Reads the rows that match a filter, of those that one page may examine, and the id after which the next page
    /// begins.
    async fn examined(
        &'static self,
        conn: &mut Conn,
        query: &PageQuery,
    ) -> Result<(Vec<Row>, Option<String>)> {
        let everything = Filter::everything(self.schema());
        let order = Order::by_name(self.schema());
        let examination = Examination {
            source: self.source(),
            documents: true,
            partitions: &[Partition::shop(&query.shop)],
            filter: query.filter.as_deref().unwrap_or(&everything),
            now: query.now,
            condition: self.living,
            search: None,
            without: &[],
            order: &order,
        };
        let scan = examination.scan(conn).await?;
        let place = query.after.clone().map(Key::Text);
        let place = place.as_ref().map(std::slice::from_ref);
        let limit = usize::try_from(query.limit).unwrap_or_default();
        let rows = examination.rows(conn, &scan, place, limit).await?;
        let next = if rows.len() == limit {
            rows.last().map(|row| row.id.clone())
        } else {
            examination
                .last(conn, &scan, place)
                .await?
                .map(|row| row.id)
        };
        Ok((rows, next))
    }

    /// Reads the rows with some ids or with a topic.
    async fn selected(
        &self,
        conn: &mut Conn,
        query: &PageQuery,
    ) -> Result<(Vec<Row>, Option<String>)> {
        let mut statement = Statement::new(conn.engine(), "SELECT c.id, c.version, c.doc FROM ");
        statement.push(self.rows).push(" c WHERE c.shop_id = ");
        statement.bind(&*query.shop);
        match (&query.scope, &self.topics) {
            (Scope::Ids(ids), _) => {
                let ids = statement.keep(Bind::Texts(ids.clone()));
                let any = dialect::any_of(statement.engine(), "c.id", &ids);
                statement.push(" AND ").push_piece(&any);
            }
            (Scope::Topic(topic), Some(topics)) => (topics.push)(&mut statement, topic),
            _ => return Ok((Vec::new(), None)),
        }
        if !self.living.is_empty() {
            statement.push(" AND ").push(self.living);
        }
        if let Some(filter) = &query.filter {
            statement.push(" AND ").push_filter(filter, query.now);
        }
        if let Some(after) = &query.after {
            statement.push(" AND c.id > ").bind(&**after);
        }
        statement
            .push(" ORDER BY c.id LIMIT ")
            .push_number(query.limit);
        let rows: Vec<Row> = statement.fetch_all(conn).await?;
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= query.limit;
        let next = rows.last().filter(|_| is_full).map(|row| row.id.clone());
        Ok((rows, next))
    }
}
