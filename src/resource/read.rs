//! Reading one resource.

use std::sync::Arc;

use futures::FutureExt as _;
use prost::{Message, Name};

use super::stored::{self, Resource, not_found};
use super::{Partition, Row, Table};
use crate::caller::Caller;
use crate::error::Result;
use crate::store::{Conn, Statement, Store};

/// Reads the resource with this name, without derived fields.
///
/// # Errors
/// NOT_FOUND.
pub async fn get<R: Resource>(store: &Store, caller: &Caller, name: &str) -> Result<R::Message> {
    let (shop, id) = (Arc::clone(&caller.shop), R::table().id_of(name).to_owned());
    let found: Option<R> = store
        .read(|conn| async move { stored::load(conn, &shop, &id).await }.boxed())
        .await?;
    found
        .map(|found| found.message())
        .filter(|message| R::table().owned.shows(caller, message))
        .ok_or_else(not_found::<R>)
}

impl<M: Message + Name + Default> Table<M> {
    /// Reads the resource with this id in some partitions; None if there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(
        &'static self,
        conn: &mut Conn,
        partitions: &[Partition],
        id: &str,
    ) -> Result<Option<M>> {
        let row = self.row(conn, partitions, id).await?;
        row.map(|row| (self.read)(row.id, row.version, &row.doc))
            .transpose()
    }

    /// Reads the row with this id in some partitions; None if there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn row(
        &'static self,
        conn: &mut Conn,
        partitions: &[Partition],
        id: &str,
    ) -> Result<Option<Row>> {
        let source = self.source();
        let mut statement = Statement::new(conn.engine(), "SELECT c.id, ");
        source.push_version("c", &mut statement);
        source.push_document("c", statement.push(", "));
        statement
            .push(" FROM ")
            .push(self.rows)
            .push(" c WHERE c.id = ");
        Partition::push_any(partitions, "c", statement.bind(id).push(" AND "));
        Ok(statement.fetch_all(conn).await?.pop())
    }
}
