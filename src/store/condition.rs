//! The condition of the store's database: whether it takes writes, and how far its clock is off.

use futures::FutureExt as _;
use tokio::time::Instant;

use super::conn::Conn;
use super::{Engine, Purpose, Store};
use crate::clock::{self, Clock};
use crate::error::Result;
use crate::on;

/// The result of a check of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it takes writes. A standby of PostgreSQL only reads, and so does an embedded file that is
    /// damaged or missing.
    pub writable: bool,
    /// How many microseconds this machine's clock is ahead of the database's. 0 if both are one machine, or
    /// if the clock is held.
    pub clock_ahead: i64,
}

/// Reads whether a PostgreSQL server is a standby, and its time.
const LOOK: &str = "SELECT pg_is_in_recovery(),
    (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint";

impl Store {
    /// Checks the database, and sets the store's clock by the database's.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn condition(&self) -> Result<Condition> {
        let store = self.reserved_for(Purpose::Health);
        if store.engine() == Engine::Sqlite {
            let ping = store.read(|conn| ping(conn).boxed());
            return ping.await.map(|()| Condition {
                writable: self.inner.soundness.no_writes().is_none(),
                clock_ahead: 0,
            });
        }
        let clock = self.clock().clone();
        let look = store.read(|conn| {
            async move {
                let condition = look(conn, &clock).await?;
                if !condition.writable {
                    // The server behind the connection has changed, and perhaps behind all others.
                    conn.give_up();
                }
                Ok(condition)
            }
            .boxed()
        });
        look.await
    }
}

/// Reads from the database; a statement without a table would not touch its file.
const TOUCH: &str = "SELECT 1 FROM store_meta LIMIT 1";

async fn ping(conn: &mut Conn) -> Result<()> {
    on!(conn, |e| sqlx::query(TOUCH).execute(e).await.map(drop))?;
    Ok(())
}

/// Checks a PostgreSQL server, and sets `clock` by its time.
pub(super) async fn look(conn: &mut Conn, clock: &Clock) -> sqlx::Result<Condition> {
    let asked = Instant::now();
    let (standby, theirs): (bool, i64) = on!(conn, |e| sqlx::query_as(LOOK).fetch_one(e).await)?;
    // The server read its time at some moment in between.
    let doubt = clock::micros(asked.elapsed()) / 2;
    let clock_ahead = clock.follow(theirs.saturating_add(doubt), doubt);
    Ok(Condition {
        writable: !standby,
        clock_ahead,
    })
}
