//! The sweeper of a table whose rows are deleted at a certain age.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::AssertSqlSafe;

use super::handler::Sweeper;
use super::model::{Job, Step};
use crate::clock;
use crate::error::Result;
use crate::store::{Conn, Locks, Store};
use crate::{execute, on};

/// The most rows that one step removes.
const ROWS: i64 = 200;

/// Rows of a table that are deleted at a certain age. The texts are parts of SQL statements.
///
/// An index on `time` finds the shops. A table that grows also has one on `shop_id` and `time`.
pub struct Aged {
    /// The table. Its rows have a `shop_id`.
    pub table: &'static str,
    /// The columns of its key, separated by commas.
    pub key: &'static str,
    /// The column with the time from which a row's age counts.
    pub time: &'static str,
    /// A further condition, which begins with ` AND `; empty for none.
    pub condition: &'static str,
    /// The age at which a row may be deleted.
    pub age: Duration,
    /// How much older the oldest row of a shop gets before a purge begins, so that one purge removes many
    /// rows.
    pub slack: Duration,
}

impl Aged {
    /// Returns the shops of the oldest rows from before a time.
    async fn shops(&self, conn: &mut Conn, before: i64) -> Result<Vec<String>> {
        let Self {
            table,
            time,
            condition,
            ..
        } = self;
        let text = format!(
            "SELECT DISTINCT shop_id FROM
             (SELECT shop_id FROM {table} WHERE {time} < $1{condition} ORDER BY {time} LIMIT 1000) AS oldest"
        );
        Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
            text.as_str()
        ))
        .bind(before)
        .fetch_all(e)
        .await)?)
    }

    /// The limit is part of the text: PostgreSQL may read the whole table if it is a parameter.
    fn deletion(&self) -> String {
        let Self {
            table,
            key,
            time,
            condition,
            ..
        } = self;
        format!(
            "DELETE FROM {table} WHERE ({key}) IN
             (SELECT {key} FROM {table} WHERE {time} < $2 AND shop_id = $1{condition}
              ORDER BY {time} LIMIT {ROWS})"
        )
    }
}

impl Sweeper for Aged {
    fn due<'a>(&'a self, conn: &'a mut Conn, now: i64) -> BoxFuture<'a, Result<Vec<String>>> {
        self.shops(conn, now - clock::micros(self.age + self.slack))
            .boxed()
    }

    fn sweep<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<bool>> {
        let now = store.clock().now();
        let before = now - clock::micros(self.age);
        let data = (job.clone(), self.deletion());
        store
            .write_job_with(Locks::none(), data, move |tx, (job, deletion)| {
                async move {
                    let gone = execute!(
                        tx,
                        sqlx::query(AssertSqlSafe(deletion.as_str()))
                            .bind(&*job.shop)
                            .bind(before)
                    )?;
                    let gone = i64::try_from(gone).unwrap_or(ROWS);
                    if gone > 0 {
                        let step = Step::more(job.cursor.clone(), gone);
                        job.advance(tx, now, &step).await?;
                    }
                    Ok(gone > 0)
                }
                .boxed()
            })
            .boxed()
    }
}
