//! The member counts. Each is spread over several rows, so that joins do not wait for each other.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{lock, sql};
use crate::error::Result;
use crate::jobs::Upkeep;
use crate::store::{Locks, Store};

/// How often the rows of member counts are summed up.
const SUM_INTERVAL: Duration = Duration::from_secs(5);
/// The number of rows of a count from which they are summed up.
const SUM_FROM: i64 = 64;
/// The most rows that are summed up at a time.
const SUM_ROWS: i64 = 1_000;
/// The most rows that one run examines.
const EXAMINED_ROWS: i64 = 10_000;

/// Sums up the rows of member counts. A run examines the rows that were added since the last one; the first
/// run of a process examines all.
#[derive(Debug, Default)]
pub struct SumCounts {
    /// The number of the last examined row.
    seen: AtomicI64,
}

impl Upkeep for SumCounts {
    fn interval(&self) -> Duration {
        SUM_INTERVAL
    }

    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        async move {
            let seen = self.seen.load(Ordering::Relaxed);
            let (spread, last) = store
                .read(|conn| {
                    async move {
                        let changed = sql::counted_since(conn, seen, EXAMINED_ROWS).await?;
                        let last = changed.iter().map(|(_, _, seq)| *seq).max();
                        let mut spread = Vec::new();
                        for (shop, id, _) in changed {
                            if sql::has_more_rows(conn, &shop, &id, SUM_FROM).await? {
                                spread.push((shop, id));
                            }
                        }
                        Ok((spread, last))
                    }
                    .boxed()
                })
                .await?;
            for (shop, id) in spread {
                // Joins may be faster than one sum per interval, so it repeats until few rows are
                // left.
                while sum_rows(store, &shop, &id).await? == SUM_ROWS {}
            }
            // The next run examines the row that this one has inserted, for the rest of its group.
            self.seen.store(last.unwrap_or(seen), Ordering::Relaxed);
            Ok(())
        }
        .boxed()
    }
}

/// Sums up the oldest rows of a group into one. Returns how many there were.
async fn sum_rows(store: &Store, shop: &str, id: &str) -> Result<i64> {
    let locks = Locks::none().and(lock(shop, id));
    let group = (shop.to_owned(), id.to_owned());
    let summed = store.write_job_with(locks, group, |tx, (shop, id)| {
        sql::sum_rows(tx, shop, id, SUM_ROWS).boxed()
    });
    summed.await
}
